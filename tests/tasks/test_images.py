"""Images from folders, Parquet and arrays: what arrives, what is refused, and what processes share."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from raynas.errors import TaskError
from raynas.registry import find
from raynas.tasks.images import ImageClassification, fingerprint
from raynas.tasks.images.cache import Builder, cache_folder
from raynas.tasks.images.order import stratified_order
from raynas.testing import TaskContract


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RAYNAS_CACHE", str(folder))
    return folder


def picture(seed: int, size: tuple[int, int] = (20, 24), mode: str = "RGB") -> Image.Image:
    """Smooth colours, so that JPEG keeps them nearly."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def make_folder(root: Path, per_class: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            picture(100 * c + i).save(root / name / f"{i}.png")
    return root


def all_images(task: ImageClassification) -> dict[bytes, int]:
    """Every image of both parts with its label."""
    data = task.data
    images = torch.cat([data.train_inputs, data.valid_inputs])
    targets = torch.cat([data.train_targets, data.valid_targets])
    return {image.numpy().tobytes(): int(label) for image, label in zip(images, targets, strict=True)}


def write_parquet(path: Path, images: list[Any], labels: list[Any], names: list[str] | None = None) -> Path:
    table = pa.table({"image": images, "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return path


class TestImages(TaskContract):
    def task(self) -> ImageClassification:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 12, 10), dtype=np.uint8)
        labels = [number % 4 for number in range(40)]
        return ImageClassification.from_arrays(pixels, labels, classes=["a", "b", "c", "d"])


# What arrives


def test_a_folder_of_mixed_sizes_and_kinds(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for c, name in enumerate(("cat", "dog", "owl")):
        (root / name / "more").mkdir(parents=True)
        picture(c, (100, 150)).save(root / name / "a.JPG", "JPEG")
        picture(c + 10, (90, 60), "L").save(root / name / "b.png")
        picture(c + 20, (64, 64)).convert("P").save(root / name / "c.gif")
        picture(c + 30, (30, 30)).convert("RGBA").save(root / name / "more" / "d.webp", lossless=True)
        (root / name / ".DS_Store").write_bytes(b"x")
        (root / name / "notes.txt").write_text("not an image")
    (root / "README.md").write_text("words")
    task = ImageClassification(root)
    assert task.classes == ("cat", "dog", "owl")
    assert task.input_shape == (3, 64, 64)
    assert task.num_classes == 3
    data = task.data
    assert (len(data.train_inputs), len(data.valid_inputs)) == (10, 2)
    assert data.train_inputs.dtype == torch.uint8
    assert task.summary == (
        "12 images in 3 classes (cat: 4, dog: 4, owl: 4), 64x64 colour (scaled, cropped to the middle from 30x30 to "
        "100x150); 2 to validate with (17% of each class); passed over: 3 .txt"
    )
    prepared = task.prepare(data.train_inputs)
    assert prepared.dtype == torch.float32
    assert task.augment(prepared, torch.Generator()).shape == prepared.shape


def test_pixels_and_labels_arrive_as_they_are(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "photos")
    task = ImageClassification(root)
    assert task.input_shape == (3, 20, 24)  # one size, and small: kept
    expected = {np.asarray(picture(100 * c + i)).transpose(2, 0, 1).tobytes(): c for c in range(2) for i in range(6)}
    assert all_images(task) == expected


def test_preprocessing_says_what_prepare_does(tmp_path: Path) -> None:
    task = ImageClassification(make_folder(tmp_path / "photos"), fit="resize")
    said = task.preprocessing()
    assert said is not None
    assert (said["channels"], said["height"], said["width"], said["fit"]) == (3, 20, 24, "resize")
    assert said["classes"] == ["cat", "dog"]
    (first, mean), (second, scale) = (next(iter(step.items())) for step in said["normalise"])
    assert (first, second) == ("subtract", "multiply")
    images = task.data.train_inputs
    by_hand = (images.float() - torch.tensor(mean)[:, None, None]) * torch.tensor(scale)[:, None, None]
    assert torch.equal(task.prepare(images), by_hand)


@pytest.mark.parametrize("fit", ["crop", "resize"])
def test_other_sizes_are_cropped_or_resized(tmp_path: Path, fit: str) -> None:
    """A picture in three stripes, twice as wide as high: the crop sees the middle alone, the resize all three."""
    root = make_folder(tmp_path / "photos")
    stripes = np.zeros((32, 64, 3), np.uint8)
    stripes[:, :16, 0] = stripes[:, 16:48, 1] = stripes[:, 48:, 2] = 255
    Image.fromarray(stripes).save(root / "cat" / "stripes.png")
    task = ImageClassification(root, size=16, fit=fit)  # type: ignore[arg-type]
    images = np.stack([np.frombuffer(image, np.uint8).reshape(3, 16, 16) for image in all_images(task)])
    striped = images[(images[:, 1, 8, 8] == 255) & (images[:, 0, 8, 8] == 0) & (images[:, 2, 8, 8] == 0)]
    assert len(striped) == 1
    left, right = striped[0][:, 8, 0], striped[0][:, 8, 15]
    if fit == "crop":
        assert left[1] > 200
        assert right[1] > 200
    else:
        assert left[0] > 200
        assert right[2] > 200


def test_a_camera_held_upright_gives_an_upright_picture(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    upright = picture(1, (24, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    for i in range(3):
        upright.rotate(90, expand=True).save(root / "a" / f"{i}.jpg", quality=100, subsampling=0, exif=exif)
        upright.save(root / "b" / f"{i}.jpg", quality=100, subsampling=0)
    task = ImageClassification(root)
    assert task.input_shape == (3, 24, 16)
    images = torch.cat([task.data.train_inputs, task.data.valid_inputs]).float()
    assert (images - images[:1]).abs().mean() < 4


def test_grey_images_stay_grey_and_16_bit_ones_become_8(tmp_path: Path) -> None:
    root = tmp_path / "scans"
    for c in range(2):
        (root / str(c)).mkdir(parents=True)
        for i in range(4):
            deep = np.full((8, 8), 257 * (10 * c + i), np.uint16)
            Image.fromarray(deep).save(root / str(c) / f"{i}.png")
    task = ImageClassification(root)
    assert task.input_shape == (1, 8, 8)
    assert task.augmentations == ("crop",)
    assert sorted(image[0] for image in all_images(task)) == [0, 20, 39, 59, 196, 216, 235, 255]  # of 0 to 13
    assert ImageClassification(root, channels=3).input_shape == (3, 8, 8)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "photos")
    Image.new("RGBA", (24, 20), (255, 0, 0, 0)).save(root / "cat" / "glass.png")
    assert b"\xff" * (3 * 20 * 24) in all_images(ImageClassification(root))


def test_hugging_faces_layout_and_its_class_names(tmp_path: Path) -> None:
    pictures = [encoded(picture(i)) for i in range(30)]
    images = [{"bytes": data, "path": None} for data in pictures]
    path = write_parquet(tmp_path / "train.parquet", images, [i % 3 for i in range(30)], ["ant", "bee", "cow"])
    task = ImageClassification(path)
    assert task.classes == ("ant", "bee", "cow")
    expected = {np.asarray(picture(i)).transpose(2, 0, 1).tobytes(): i % 3 for i in range(30)}
    assert all_images(task) == expected


def test_parquet_with_names_as_labels_and_columns_named_by_hand(tmp_path: Path) -> None:
    table = pa.table({"photograph": [encoded(picture(i)) for i in range(8)], "animal": ["dog", "ant"] * 4})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(TaskError, match=r"no image column .* photograph, animal .*image_column"):
        ImageClassification(tmp_path / "x.parquet")
    task = ImageClassification(tmp_path / "x.parquet", image_column="photograph", label_column="animal")
    assert task.classes == ("ant", "dog")
    with pytest.raises(TaskError, match="no column 'foto'"):
        ImageClassification(tmp_path / "x.parquet", image_column="foto")


ODD = {
    # what a person has → the columns, made from encoded images, their paths, and labels 0 and 1
    "labels 0.0 and 1.0": lambda images, paths, labels: {"image": images, "label": [*map(float, labels)]},
    "lists of one label": lambda images, paths, labels: {"image": images, "label": [[label] for label in labels]},
    "other names": lambda images, paths, labels: {"Jpeg": images, "cls": labels},
    "paths": lambda images, paths, labels: {"file_name": paths, "label": labels},
    "paths in structs": lambda images, paths, labels: {
        "image": [{"bytes": None, "path": path} for path in paths], "label": labels,
    },
    "some paths in structs": lambda images, paths, labels: {
        "image": [
            {"bytes": data if row % 2 else None, "path": path}
            for row, (data, path) in enumerate(zip(images, paths, strict=True))
        ],
        "label": labels,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_parquet_as_people_have_it(case: str, tmp_path: Path) -> None:
    images, labels = [encoded(picture(i)) for i in range(10)], [i % 2 for i in range(10)]
    (tmp_path / "files").mkdir()
    for number, data in enumerate(images):
        (tmp_path / "files" / f"{number}.png").write_bytes(data)
    paths = [f"files/{number}.png" for number in range(10)]
    pq.write_table(pa.table(ODD[case](images, paths, labels)), tmp_path / "x.parquet")
    task = ImageClassification(tmp_path / "x.parquet")
    assert task.classes == ("0", "1")
    expected = {np.asarray(picture(i)).transpose(2, 0, 1).tobytes(): i % 2 for i in range(10)}
    assert all_images(task) == expected
    if "paths" in case:
        picture(77).save(tmp_path / "files" / "4.png")
        assert ImageClassification(tmp_path / "x.parquet").content != task.content


def test_paths_in_parquet_may_be_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    make_folder(tmp_path / "here" / "photos")
    paths = [f"photos/{name}/{i}.png" for name in ("cat", "dog") for i in range(6)]
    monkeypatch.chdir(tmp_path / "here")
    path = write_parquet(tmp_path / "lists" / "x.parquet", paths, ["cat"] * 6 + ["dog"] * 6)
    task = ImageClassification(path)
    assert len(all_images(task)) == 12
    travelled = pickle.dumps(task)
    monkeypatch.chdir(tmp_path)  # a worker on another machine
    shutil.rmtree(cache)
    assert all_images(pickle.loads(travelled)) == all_images(task)


PARTS: dict[str, tuple[list[str], int | str, int]] = {
    # Parquet files of 4 rows each → images, of which to validate with; or why not
    "a test part": (["images", "test"], 4, 0),
    "a list beside": (["train", "test"], 4, 0),
    "a test and a validation part": (["images", "val-0000", "val-0001", "test"], 12, 8),
    "nothing but tests": (["test-0000", "test-0001"], 8, 0),
    "two names of a part": (["train", "train_clean"], "several names for one part of the data: train.parquet, tr", 0),
    "one beside": (["train", "images"], "in two ways: images.parquet belongs to the training data, or it does not", 0),
    "no training part": (["val", "test"], "no Parquet file to train on: test.parquet, val.parquet", 0),
}


@pytest.mark.parametrize("case", PARTS)
def test_the_parts_of_a_folder_of_parquet(case: str, tmp_path: Path) -> None:
    names, size, valid = PARTS[case]
    for at, name in enumerate(names):
        images = [encoded(picture(10 * at + i)) for i in range(4)]
        write_parquet(tmp_path / "data" / f"{name}.parquet", images, [0, 1, 0, 1])
    if "train" in names:  # what has no images is no part
        pq.write_table(pa.table({"licence": ["free"]}), tmp_path / "data" / "about.parquet")
    if isinstance(size, str):
        with pytest.raises(TaskError, match=size):
            ImageClassification(tmp_path / "data")
        return
    about = ImageClassification(tmp_path / "data").cached.about
    assert (about.size, about.held_out) == (size, valid)


@pytest.mark.parametrize("layout", ["HW", "HWC", "CHW", "flat", "flat colour"])
def test_parquet_with_arrays(tmp_path: Path, layout: str) -> None:
    rng = np.random.default_rng(0)
    grey = layout in ("HW", "flat")
    pixels = rng.integers(0, 256, (10, 1 if grey else 3, 6, 6), dtype=np.uint8)
    stored = {
        "HW": pixels[:, 0],
        "HWC": pixels.transpose(0, 2, 3, 1),
        "CHW": pixels,
        "flat": pixels.reshape(10, -1),
        "flat colour": pixels.reshape(10, -1),
    }[layout]
    path = write_parquet(tmp_path / "x.parquet", stored.tolist(), [i % 2 for i in range(10)])
    task = ImageClassification(path)
    assert all_images(task) == {pixels[i].tobytes(): i % 2 for i in range(10)}


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW", "floats"])
def test_arrays_in_memory(layout: str) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 1 if layout == "NHW" else 3, 7, 6), dtype=np.uint8)
    given: Any = {
        "NHW": pixels[:, 0],
        "NHWC": pixels.transpose(0, 2, 3, 1),
        "NCHW": torch.from_numpy(pixels),
        "floats": pixels / 255,
    }[layout]
    task = ImageClassification.from_arrays(given, [i % 4 for i in range(20)], classes=["a", "b", "c", "d"])
    assert task.classes == ("a", "b", "c", "d")
    assert all_images(task) == {pixels[i].tobytes(): i % 4 for i in range(20)}
    again = pickle.loads(pickle.dumps(task))
    assert len(pickle.dumps(task)) < 2000
    assert all_images(again) == all_images(task)


def test_the_datas_own_validation_part_is_taken_and_its_test_part_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    make_folder(root / "train", per_class=5)
    make_folder(root / "val", per_class=2)
    make_folder(root / "test", per_class=3, classes=("cat", "dog", "owl"))
    for task in (ImageClassification(root), pickle.loads(pickle.dumps(ImageClassification(root)))):
        assert task.classes == ("cat", "dog")
        assert (len(task.data.train_inputs), len(task.data.valid_inputs)) == (10, 4)
        assert task.data.valid_targets.bincount().tolist() == [2, 2]
        assert "4 to validate with (the data's own)" in task.summary
    with pytest.raises(TaskError, match="validation part of its own"):
        ImageClassification(root, validation=0.3)

    files = tmp_path / "hub" / "data"
    for name, count in (("train-00000-of-00002", 6), ("train-00001-of-00002", 4), ("validation-00000-of-00001", 4)):
        images = [encoded(picture(len(name) * count + i)) for i in range(count)]
        write_parquet(files / f"{name}.parquet", images, [i % 2 for i in range(count)])
    (files / "test-00000-of-00001.parquet").write_bytes(b"never looked at")
    task = ImageClassification(tmp_path / "hub")
    assert (len(task.data.train_inputs), len(task.data.valid_inputs)) == (10, 4)


def test_a_class_that_only_the_validation_part_has_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "val", classes=("cat", "owl"))
    with pytest.raises(TaskError, match="class 'owl' of .*val/owl has no images in .*train;"):
        ImageClassification(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.37])
def test_every_tail_of_the_order_is_stratified(share: float) -> None:
    labels = np.random.default_rng(1).choice(5, 2000, p=[0.4, 0.3, 0.2, 0.09, 0.01])
    order = stratified_order(labels)
    assert sorted(order) == list(range(2000))
    tail = labels[order][-round(2000 * share) :]
    for label in range(5):
        assert abs((tail == label).sum() - share * (labels == label).sum()) <= 1.5
    assert len(np.unique(labels[order][:60])) == 5


# What is refused


def test_a_few_unreadable_images_are_named_counted_and_skipped(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    root = make_folder(tmp_path / "photos", per_class=20)
    whole = (root / "cat" / "3.png").read_bytes()
    (root / "cat" / "3.png").write_bytes(whole[: len(whole) // 2])  # the header is whole, the pixels are not
    (root / "dog" / "7.png").write_bytes(b"no image at all")
    task = ImageClassification(root)
    said = capfd.readouterr().err
    assert "skipped 2 of 40 images" in said
    assert "cat/3.png (" in said
    assert "dog/7.png (not an image)" in said
    assert task.cached.about.counts == (19, 19)
    assert "2 skipped as unreadable" in task.summary
    expected = {
        np.asarray(picture(100 * c + i)).transpose(2, 0, 1).tobytes(): c
        for c, i in ((c, i) for c in range(2) for i in range(20))
        if (c, i) not in ((0, 3), (1, 7))
    }
    assert all_images(task) == expected
    with pytest.raises(
        TaskError, match=r"2 of 40 images in .*photos cannot be read \(5.0%, more than the 4.0%.*cat/3.png"
    ):
        ImageClassification(root, max_unreadable=0.04)


def test_rows_without_image_or_label_are_unreadable(tmp_path: Path) -> None:
    images = [encoded(picture(i)) for i in range(10)]
    labels: list[Any] = [i % 2 for i in range(10)]
    images[3], labels[5], labels[6] = None, None, -1  # type: ignore[call-overload]
    path = write_parquet(tmp_path / "x.parquet", images, labels)
    with pytest.raises(TaskError, match=r"3 of 10 .* row 5 \(no label that is a class\)"):
        ImageClassification(path)
    assert ImageClassification(path, max_unreadable=0.3).cached.about.size == 7


def test_data_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    loose = tmp_path / "loose"
    loose.mkdir()
    picture(1).save(loose / "1.png")
    one = make_folder(tmp_path / "one", classes=("cat",))
    words = tmp_path / "words.parquet"
    words.write_text("not parquet")
    nothing = write_parquet(tmp_path / "nothing.parquet", [], [])
    lists = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"image": [b"x"], "label": [[1, 2]]}), lists)
    quantities = write_parquet(tmp_path / "quantities.parquet", [b"x", b"x"], [1.0, 0.37])
    lost = write_parquet(tmp_path / "lost.parquet", ["gone/1.jpg", "gone/2.jpg"], [0, 1])
    cases: list[tuple[Any, str]] = [
        (tmp_path / "gone", "there is no data at .*gone; give a Parquet file, or a folder CLASS/NAME.jpg"),
        (empty, "no images in class folders in .*empty; put them as"),
        (loose, "no images in class folders"),
        (one, r"all 6 images in .*one are of one class \('cat'\)"),
        (words, "words.parquet cannot be read as Parquet"),
        (nothing, "holds"),
        (lists, r"column 'label' of .* holds several labels for one image \(\[1, 2\]\)"),
        (quantities, r"column 'label' of .* holds 0.37, a quantity and no class"),
        (lost, r"holds paths of images; there is no 'gone/1.jpg' in .*; put the Parquet file beside the images"),
        ("", "say which data: --data PATH"),
    ]
    for path, message in cases:
        with pytest.raises(TaskError, match=message) as caught:
            ImageClassification(path)
        assert "\n" not in str(caught.value)


def test_fewer_images_to_train_on_than_classes(tmp_path: Path, cache: Path) -> None:
    for name in ("ant", "bee", "cat"):
        (tmp_path / "few" / name).mkdir(parents=True)
        picture(len(name)).save(tmp_path / "few" / name / "0.png")
    with pytest.raises(TaskError, match="3 images of 3 classes; with 1 to validate, 2 are left .*; add images"):
        _ = ImageClassification(tmp_path / "few").data


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": "big"}, "size of the images is 'big'"),
        ({"size": 0}, "size"),
        ({"fit": "stretch"}, "'crop' or 'resize'"),
        ({"channels": 4}, "1 or 3"),
        ({"validation": 0.5}, "below 0.5"),
        ({"augment": ["crop", "mixup"]}, "crop, flip, cutout"),
        ({"max_unreadable": 2}, "max_unreadable"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path: Path, option: dict[str, Any], message: str) -> None:
    root = make_folder(tmp_path / "photos")
    with pytest.raises(TaskError, match=message):
        ImageClassification(root, **option)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 3), np.uint8), [0, 1, 0, 1], r"shape \(4, 3\) are not understood"),
        (np.zeros((4, 3, 3), np.uint8), [0, 1], "4 images need as many labels"),
        (np.full((4, 3, 3), 7.0), [0, 1, 0, 1], r"\[0, 1\]; these run from 7 to 7"),
        (np.zeros((4, 3, 3), np.int64), [0, 1, 0, 1], "images are int64"),
        (np.zeros((4, 3, 3), np.uint8), [0.5, 1, 0, 1], "labels are float64"),
    ],
)
def test_arrays_that_cannot_be_images_are_refused(images: Any, labels: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        ImageClassification.from_arrays(images, labels)


# The cache


def files(cache: Path) -> list[Path]:
    return sorted((cache / "images").glob("*.arrow"))


def test_images_are_decoded_once_and_again_when_the_source_changes(tmp_path: Path, cache: Path) -> None:
    root = make_folder(tmp_path / "photos")
    first = ImageClassification(root)
    (made,) = files(cache)
    written = made.stat().st_mtime_ns
    ImageClassification(root)
    moved = shutil.copytree(root, tmp_path / "moved")  # the same content elsewhere
    assert ImageClassification(moved).content == first.content
    ImageClassification(root, validation=0.4)  # another split of the same file
    assert [path.stat().st_mtime_ns for path in files(cache)] == [written]
    assert sorted(path.suffix for path in (cache / "images").iterdir()) == [".arrow", ".lock"]

    status = (root / "cat" / "0.png").stat()
    picture(77).save(root / "cat" / "0.png")
    os.utime(root / "cat" / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns))  # hides it as well as it can
    second = ImageClassification(root)
    assert second.content != first.content
    assert np.asarray(picture(77)).transpose(2, 0, 1).tobytes() in all_images(second)
    shutil.rmtree(root / "dog")
    with pytest.raises(TaskError, match="one class"):
        ImageClassification(root)


def test_hashes_are_remembered_once_the_files_have_settled(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "photos")
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", 3_600.0)
    first = ImageClassification(root)
    assert not list((cache / "contents").glob("*.json"))
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", -1.0)  # as if that time had gone by
    ImageClassification(root)
    assert len(list((cache / "contents").glob("*.json"))) == 1
    assert ImageClassification(root).content == first.content
    picture(5).save(root / "cat" / "0.png")
    assert ImageClassification(root).content != first.content


def test_a_search_goes_on_with_the_data_it_began_with(tmp_path: Path, cache: Path) -> None:
    root = make_folder(tmp_path / "photos")
    began = ImageClassification(root)
    travelled = pickle.dumps(began)
    picture(5).save(root / "cat" / "0.png")
    assert all_images(ImageClassification(root, content=began.content)) == all_images(began)
    assert all_images(pickle.loads(travelled)) == all_images(began)
    shutil.rmtree(cache)
    with pytest.raises(TaskError, match="has changed since this search began"):
        ImageClassification(root, content=began.content)
    with pytest.raises(TaskError, match="has changed since this search began"):
        all_images(pickle.loads(travelled))


def test_a_damaged_cache_file_is_made_again(tmp_path: Path, cache: Path) -> None:
    root = make_folder(tmp_path / "photos")
    expected = all_images(ImageClassification(root))
    (made,) = files(cache)
    whole = made.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"garbage" * 100):
        made.write_bytes(damaged)
        assert all_images(ImageClassification(root)) == expected


def test_an_unwritable_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "photos")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(TaskError, match="cannot be written: .*; set RAYNAS_CACHE to another"):
        ImageClassification(root)


def test_the_room_for_decoded_images_is_taken_before_they_are(tmp_path: Path) -> None:
    """A mapped file with holes would end the process by a signal where the disk is full."""
    builder = Builder(tmp_path / "x.arrow", 1000, (3, 20, 20))
    raw = tmp_path / "x.raw.tmp"
    assert raw.stat().st_blocks * 512 >= 1000 * 3 * 20 * 20
    builder.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(TaskError, match=r"\(1 MB, .*\) could not be written to .*; make room, or set RAYNAS_CACHE"):
            Builder(tmp_path / "x.arrow", 1000, (3, 20, 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not raw.exists()


LOAD = """
import sys
from raynas.tasks.images import ImageClassification
task = ImageClassification(sys.argv[1])
data = task.data
print(int(data.train_inputs.sum()) + int(data.valid_inputs.sum()), flush=True)
"""


STUCK = """
import itertools, sys, time
from raynas.tasks.images import build
count, decode = itertools.count(), build.decode

def stuck(*arguments):
    if next(count) == 100:
        print("in the middle", flush=True)
        sys.stdin.read()
    return decode(*arguments)

build.decode = stuck
"""


def start(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_processes_that_build_at_once_build_once_and_a_killed_one_holds_nothing(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "photos"
    for c in range(2):
        (root / str(c)).mkdir(parents=True)
        for i in range(150):
            picture(1000 * c + i, (200, 200)).save(root / str(c) / f"{i}.png", compress_level=0)
    killed = start(STUCK + LOAD, root, stdin=subprocess.PIPE)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "in the middle\n", killed.communicate()[1]
    assert list((cache / "images").glob("*.raw.tmp"))
    killed.kill()
    killed.communicate()
    assert not files(cache)
    both = [start(LOAD, root) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert outputs[0][0] == outputs[1][0] != ""
    assert len(files(cache)) == 1
    assert not list((cache / "images").glob("*.tmp"))


HOLD = (
    LOAD
    + """
input()
task.augment(task.prepare(data.train_inputs[:64]), __import__("torch").Generator())
import re
mapped = re.compile(r"^[0-9a-f]+-[0-9a-f]+ .*\\.arrow$")
inside, found = False, {}
for line in open("/proc/self/smaps"):
    if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
        inside = bool(mapped.match(line.strip()))
    elif inside:
        key, value, *_ = line.split()
        if key in ("Rss:", "Pss:", "Private_Dirty:"):
            found[key] = found.get(key, 0) + int(value)
print(found["Rss:"], found["Pss:"], found["Private_Dirty:"], flush=True)
input()
"""
)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_four_workers_share_one_copy_of_the_images(tmp_path: Path, cache: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    path = write_parquet(tmp_path / "x.parquet", [image.tobytes() for image in pixels], [i % 2 for i in range(2000)])
    pq.write_table(
        pa.table({"image": [encoded(Image.fromarray(image), "BMP") for image in pixels], "label": [0, 1] * 1000}), path
    )
    workers = [start(HOLD, path, stdin=subprocess.PIPE) for _ in range(4)]
    for _ in range(2):  # all have read every image; all have trained on some
        answers = []
        for worker in workers:
            assert worker.stdout is not None
            answers.append(worker.stdout.readline())
            assert answers[-1], worker.communicate()[1]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=300)
    size = pixels.nbytes / 1024
    for answer in answers:
        resident, proportional, dirty = map(int, answer.split())  # kB
        assert resident >= size  # every image is in this worker's memory,
        assert proportional <= size / 4 * 1.1  # of which a quarter is its share,
        assert dirty == 0  # and nothing its own


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    ImageClassification(make_folder(tmp_path / "photos"))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_it_is_found_by_name(tmp_path: Path) -> None:
    task = find("raynas.tasks", "images")(data=str(make_folder(tmp_path / "photos")), size=16)
    assert task.input_shape == (3, 16, 16)
    assert cache_folder().is_dir()


# Real data


@pytest.mark.parametrize(("name", "shape"), [("cifar10", (3, 32, 32)), ("fashion_mnist", (1, 28, 28))])
def test_real_data_sets(name: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    if "RAYNAS_DATA" not in os.environ:
        pytest.skip("RAYNAS_DATA is not set")
    whole = pq.read_table(Path(os.environ["RAYNAS_DATA"]) / name / "train.parquet").slice(0, 3000)
    pq.write_table(whole, tmp_path / "part.parquet")
    task = ImageClassification(tmp_path / "part.parquet")
    assert task.input_shape == shape
    assert task.num_classes == 10
    assert "0" not in task.classes  # names, from the metadata
    assert len(task.data.valid_inputs) == 600
    counts = np.bincount(whole["label"].to_numpy())
    assert np.abs(task.data.valid_targets.bincount().numpy() - 0.2 * counts).max() <= 1.5
    first = np.asarray(Image.open(io.BytesIO(whole["image"][0]["bytes"].as_py())))
    first = first[None] if first.ndim == 2 else first.transpose(2, 0, 1)
    assert all_images(task)[first.tobytes()] == whole["label"][0].as_py()
    prepared = task.prepare(task.data.train_inputs)
    assert prepared.mean().abs() < 0.05
    assert (prepared.std() - 1).abs() < 0.05
