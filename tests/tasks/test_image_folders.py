"""How a folder is read: what its folders are, which of its files are images, and what is said of all others."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError, features

from raynas.errors import TaskError
from raynas.export import runtime
from raynas.tasks.images import ImageClassification, formats
from raynas.tasks.images.decode import decode

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n0 0 moveto\nshowpage\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RAYNAS_CACHE", str(folder))
    return folder


def grey(number: int) -> bytes:
    """An image file of 4 by 4 pixels, the same bytes everywhere."""
    return b"P5 4 4 255\n" + bytes((number * 16 + place) % 256 for place in range(16))


def make(root: Path, *where: str, images: int = 4) -> Path:
    """So many images in each of these folders."""
    for at, name in enumerate(where):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            (root / name / f"{number}.pgm").write_bytes(grey(10 * at + number))
    return root


# What the folders are

READ = {
    # folders with images → classes, images to train on, images to validate with (0: split off)
    "classes": (["cat", "dog"], ["cat", "dog"], 8, 0),
    "a class called train": (["car", "ship", "train"], ["car", "ship", "train"], 12, 0),
    "train_station is a class": (["airport/big", "train_station/old"], ["airport", "train_station"], 8, 0),
    "alone": (["train/cat", "train/dog"], ["cat", "dog"], 8, 0),
    "parts": (["train/cat", "train/dog", "val/cat", "val/dog", "test/cat"], ["cat", "dog"], 8, 8),
    "years": (["train2017/cat", "train2017/dog", "val2017/cat"], ["cat", "dog"], 8, 4),
    "one prefix": (["leaf_train/cat", "leaf_train/dog", "leaf_valid/dog"], ["cat", "dog"], 8, 4),
    "words in one": (["TrainingData/cat", "TrainingData/dog", "testdata/cat"], ["cat", "dog"], 8, 0),
    "loose tests": (["train_cleaned/cat", "train_cleaned/dog", "test"], ["cat", "dog"], 8, 0),
    "repeated": (["seg_train/seg_train/sea", "seg_train/seg_train/wood", "seg_test/seg_test/sea", "seg_pred/seg_pred"],
                 ["sea", "wood"], 8, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_is_inside_decides(case: str, tmp_path: Path) -> None:
    where, classes, train, valid = READ[case]
    task = ImageClassification(make(tmp_path / "data", *where))
    assert list(task.classes) == classes
    about = task.cached.about
    assert (about.size - about.held_out, about.held_out) == (train, valid)


AMBIGUOUS = {
    "loose parts": (["train", "test"], r"classes \(test, train\), or test, train are parts .* layout: classes .*CLASS"),
    "loose parts and more": (["train", "test", "car"], r"classes \(car, test, train\), or test, train are parts"),
    "a part beside classes": (
        ["cat", "dog", "test/cat", "test/dog"],
        r"\(cat, dog, test\), or test are parts .*none is",
    ),
    "a class with folders": (
        ["train/steam", "train/diesel", "car/a"],
        r"classes \(car, train\), or train are parts .* classes diesel, steam, car left out; say which \(layout: ",
    ),
    "strangers": (["train/cat", "train/dog", "test/owl"], r"though 'test' has no class of the training part"),
    "two of one part": (
        ["train/a", "train/b", "val/a", "validation/b"],
        r"2 folders to validate with: val, validation",
    ),
    "two to train on": (["train/a", "train/b", "train_cleaned/a"], r"2 folders to train on: train, train_cleaned"),
    "loose validation": (["train/a", "train/b", "val"], r"val holds images but no class folders"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_two_readings_are_named_and_neither_is_taken(case: str, tmp_path: Path) -> None:
    where, message = AMBIGUOUS[case]
    with pytest.raises(TaskError, match=message) as caught:
        ImageClassification(make(tmp_path / "data", *where))
    assert "\n" not in str(caught.value)


def test_a_part_of_which_nothing_can_be_read_is_no_missing_part(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "train/cat", "train/dog")
    (root / "val" / "cat").mkdir(parents=True)
    assert not ImageClassification(root).cached.about.held_out
    (root / "val" / "cat" / "1.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(
        TaskError, match=r"val holds no image that can be read \(broken links\); mend it, or take it out"
    ):
        ImageClassification(root)


def test_an_option_decides(tmp_path: Path) -> None:
    loose = ImageClassification(make(tmp_path / "loose", "train", "test", "car"), layout="classes")
    assert loose.classes == ("car", "test", "train")
    mixed = make(tmp_path / "mixed", "train/steam", "train/diesel", "car/a")
    assert ImageClassification(mixed, layout="classes").classes == ("car", "train")
    assert ImageClassification(mixed, layout="splits").classes == ("diesel", "steam")
    with pytest.raises(TaskError, match="layout of the images is 'flat'; it must be 'classes' or 'splits'"):
        ImageClassification(mixed, layout="flat")  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="no folder to train on"):
        ImageClassification(make(tmp_path / "none", "a", "b"), layout="splits")


# What was begun with the first release


def first_content(root: Path, *where: str) -> str:
    """The hash that the first release gave the images in these folders, written down anew."""
    content = hashlib.blake2b(digest_size=16)
    for path in sorted((path for name in where for path in (root / name).rglob("*.pgm")), key=str):
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        content.update(repr((str(path.relative_to(root)), digest)).encode())
    return content.hexdigest()


def test_data_keep_their_name_and_their_cache(tmp_path: Path, cache: Path) -> None:
    root = make(tmp_path / "data", "cat", "dog")
    (root / "cat" / "notes.txt").write_text("no image")
    task = ImageClassification(root)
    assert task.content == first_content(root, "cat", "dog")
    options = {"size": None, "fit": "crop", "channels": None, "max_unreadable": 0.05, "columns": [None, None]}
    key = json.dumps([1, task.content, options], sort_keys=True)
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    assert [path.stem for path in (cache / "images").glob("*.arrow")] == [name]


@pytest.mark.parametrize(
    ("where", "first", "classes", "now"),
    [
        (["train", "test"], ["train", "test"], ["test", "train"], "in two ways"),
        (["train2017/a", "train2017/b", "val2017/a"], ["train2017", "val2017"], ["train2017", "val2017"], None),
        (["train/a", "train/b", "val/a", "validation/b"], ["train", "validation"], ["a", "b"], "to validate with"),
        (["train/a", "train/b", "car/c"], ["train"], ["a", "b"], "in two ways"),
    ],
)
def test_a_search_goes_on_by_the_reading_that_it_began_with(
    where: list[str], first: list[str], classes: list[str], now: str | None, tmp_path: Path
) -> None:
    """Also where its cache is gone; and data that is read otherwise now has another name."""
    root = make(tmp_path / "data", *where)
    content = first_content(root, *first)
    task = ImageClassification(root, content=content)
    assert list(task.classes) == classes
    if now is None:
        assert ImageClassification(root).content != content
    else:
        with pytest.raises(TaskError, match=now):
            ImageClassification(root)


# Which files are images


def test_the_content_says_what_is_an_image(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "cat", "dog")
    (root / "cat" / "4").write_bytes(grey(4))
    (root / "dog" / "4.dat").write_bytes(grey(14))
    task = ImageClassification(root)
    assert task.cached.about.counts == (5, 5)
    assert task.content != first_content(root, "cat", "dog")
    if features.check("avif"):
        for number in range(3):
            Image.new("L", (4, 4), 40 * number).save(root / "dog" / f"{number}.avif")
        assert ImageClassification(root).cached.about.counts == (5, 8)


def test_a_format_is_read_where_its_package_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package pillow_heif, which teaches Pillow the format under the same name."""
    root = make(tmp_path / "data", "cat", "dog")
    heic = struct.pack(">I4s4sI", 24, b"ftyp", b"heic", 0) + b"mif1heic"
    (root / "dog" / "phone.heic").write_bytes(heic)
    monkeypatch.setattr(formats, "decoders", formats.decoders.__wrapped__)
    with pytest.raises(
        TaskError, match=r"1 of 9 .*: 1 HEIC \(decoded where pillow-heif is installed\); class 'dog' lost"
    ):
        ImageClassification(root)

    class Picture(Image.Image):
        def __init__(self, file: object, name: object) -> None:
            super().__init__()
            self.im, self._mode, self._size = Image.new("L", (4, 4), 7).im, "L", (4, 4)

        def draft(self, *_: object) -> None:
            pass

    package = ModuleType("pillow_heif")
    stand_in: Any = Picture

    def register() -> None:
        Image.register_open("HEIF", stand_in, lambda head: head[4:8] == b"ftyp")

    monkeypatch.setattr(package, "register_heif_opener", register, raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    assert ImageClassification(root).cached.about.counts == (4, 5)


def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path / "data", "cat", "dog", images=20)
    (root / "owl").mkdir()
    (root / "cat" / "x.xml").write_text("<annotation/>")
    (root / "cat" / "y.xml").write_bytes("<Größe/>".encode("latin-1"))
    (root / "dog" / "broken.png").symlink_to("nowhere.png")
    (root / "loose.pgm").write_bytes(grey(1))
    task = ImageClassification(root)
    words = "2 .xml, 1 broken links, 1 images outside class folders"
    assert task.summary.endswith(f"; passed over: {words}; no images of owl")
    assert f"passed over in {root}: {words}" in capfd.readouterr().err
    for number in range(2):
        (root / "dog" / f"{number}.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(
        TaskError,
        match=r"4 of 44 images .* \(9.1%, more than the 5.0% .*: 2 .npy, .*; class 'dog' lost most \(3 of 23\);",
    ):
        ImageClassification(root)  # decoded before, and looked at again
    assert ImageClassification(root, max_unreadable=0.1).cached.about.size == 40


def test_a_class_that_is_lost_whole_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "cat", "dog", images=40)
    (root / "owl").mkdir()
    (root / "owl" / "1.pgm").write_bytes(b"P5 4 4 255\nshort")
    with pytest.raises(TaskError, match=r"class 'owl' of .* would be lost: none of its 1 images can be read \("):
        ImageClassification(root)
    (root / "owl" / "1.pgm").rename(root / "owl" / "1.bin")
    (root / "owl" / "1.bin").write_bytes(bytes(range(256)))
    with pytest.raises(TaskError, match=r"class 'owl' of .* would be lost: none of its 1 images can be read \(.bin\)"):
        ImageClassification(root)


def test_no_image_starts_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import PIL.EpsImagePlugin

    started: list[object] = []
    monkeypatch.setattr(PIL.EpsImagePlugin, "has_ghostscript", lambda: True)
    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", lambda *args, **_: started.append(args))
    path = tmp_path / "x.jpg"
    path.write_bytes(EPS)
    for content in (path, EPS):
        with pytest.raises(formats.Unreadable, match="not an image"):
            decode(content, (3, 8, 8), "crop")
    with pytest.raises(UnidentifiedImageError):
        runtime.read_image(path, {"channels": 3, "height": 8, "width": 8, "fit": "crop"})
    assert formats.kind_of(path)[0].startswith("EPS")
    assert not started
    assert runtime.FORMATS == formats.FORMATS  # the exported file has a list of its own


# What changes meanwhile


def test_images_that_change_while_they_are_decoded(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raynas.tasks.images import build

    root = make(tmp_path / "data", "cat", "dog")
    real = build.decode

    def meddling(content: object, *rest: object) -> np.ndarray:
        if content == root / "cat" / "0.pgm":
            shutil.copy(root / "dog" / "0.pgm", root / "cat" / "0.pgm")
        return real(content, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "decode", meddling)
    with pytest.raises(TaskError, match="was written to while its images were decoded; start again"):
        ImageClassification(root)
    assert not [*(cache / "images").glob("*.arrow"), *(cache / "images").glob("*.tmp")]
    monkeypatch.undo()
    monkeypatch.setenv("RAYNAS_CACHE", str(cache))
    assert ImageClassification(root).content == first_content(root, "cat", "dog")
