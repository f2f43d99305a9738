"""Images deeper than 8 bits: one scale for a data set, kept with it, and the same for what is read later."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from raynas.errors import TaskError
from raynas.export.runtime import read_image
from raynas.export.write import _preprocessing
from raynas.tasks.images import ImageClassification
from raynas.tasks.images.fingerprint import content_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RAYNAS_CACHE", str(folder))
    return folder


def values(kind: str, level: float, seed: int) -> np.ndarray:
    """What instruments write: floats in [0, 1], 12 bits in a narrow window, dark frames, some with a hot pixel."""
    signal = np.random.default_rng(seed).normal(level, 0.1, (12, 12)).clip(0, 0.999)
    if kind == "float":
        return signal.astype(np.float32)
    if kind == "twelve":
        return (1024 + 255 * signal).astype(np.uint16)
    frame = (240 * signal).astype(np.uint16)
    if seed % 2:
        frame[0, 0] = 65535
    return frame


def make(root: Path, kind: str) -> Path:
    for c, (name, level) in enumerate((("ill", 0.35), ("well", 0.55))):
        (root / name).mkdir(parents=True)
        for number in range(10):
            image = Image.fromarray(values(kind, level, 10 * c + number))
            image.save(root / name / f"{number}.{'tif' if kind == 'float' else 'png'}")
    return root


def expected(kind: str, levels: tuple[float, float]) -> set[bytes]:
    """All images by the formula of docs/data.md."""
    low, high = levels
    found = set()
    for c, level in enumerate((0.35, 0.55)):
        for number in range(10):
            raw = values(kind, level, 10 * c + number).astype(np.float64)
            found.add(((raw - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8).tobytes())
    return found


def pixels(task: ImageClassification) -> set[bytes]:
    return {image.tobytes() for image in task.cached.images}


@pytest.mark.parametrize("kind", ["float", "twelve", "dark"])
def test_one_scale_for_a_data_set(kind: str, tmp_path: Path) -> None:
    task = ImageClassification(make(tmp_path / "data", kind))
    everything = np.stack([values(kind, (0.35, 0.55)[seed // 10], seed) for seed in range(20)]).astype(np.float64)
    each = np.sort(everything.reshape(20, -1), axis=1)  # of 144 pixels the darkest and the brightest one are left out
    levels = float(each[:, 1].min()), float(each[:, -2].max())
    assert task.cached.about.levels == levels
    assert levels[1] < 250 or kind == "twelve"  # no hot pixel
    assert pixels(task) == expected(kind, levels)
    assert len(np.unique(task.cached.images)) > 100
    assert f"deeper than 8 bits: values from {levels[0]:g} to {levels[1]:g} are black to white in all" in task.summary
    # A new file is read on the scale of the data, alone or with others of another range.
    described = _preprocessing(task)
    assert described is not None
    assert described["levels"] == list(levels)
    other = tmp_path / "other"
    for name in ("ill", "well"):
        (other / name).mkdir(parents=True)
        Image.fromarray(values(kind, 0.2, 98)).save(other / name / "0.tif")
    alone = read_image(other / "ill" / "0.tif", json.loads(json.dumps(described)))
    assert torch.equal(task.others(other)[0][0], alone)
    assert alone.numpy().tobytes() != ImageClassification(other).cached.images[0].tobytes()


def test_a_scale_may_be_given(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "twelve")
    task = ImageClassification(root, levels=[0, 4095])
    assert task.cached.about.levels == (0, 4095)
    assert pixels(task) == expected("twelve", (0, 4095))
    assert ImageClassification(root).cached.about.levels != (0, 4095)
    assert ImageClassification(root, levels=[0, 4095]).cached.about.levels == (0, 4095)
    with pytest.raises(TaskError, match=r"levels of the images is \[3, 3\]; it must be \[black, white\], two numbers"):
        ImageClassification(root, levels=[3, 3])
    with pytest.raises(
        TaskError, match="20 of the images in .* are deeper than 8 bits, and the network was trained on"
    ):
        ImageClassification(root, levels=[])


def test_a_network_of_8_bits_is_shown_no_deeper_images(tmp_path: Path) -> None:
    root, deep = tmp_path / "data", make(tmp_path / "deep", "dark")
    for name in ("ill", "well"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((12, 12), 40 * number, np.uint8)).save(root / name / f"{number}.png")
    task = ImageClassification(root)
    ImageClassification(deep)
    with pytest.raises(TaskError, match="deeper than 8 bits, and the network was trained on images of 8 bits"):
        task.others(deep)
    described = task.preprocessing()
    assert described is not None
    assert "levels" not in described
    with pytest.raises(ValueError, match="deeper than 8 bits"):
        read_image(deep / "ill" / "0.png", described)


def test_a_network_of_floats_is_shown_no_whole_numbers(tmp_path: Path) -> None:
    floats, whole = make(tmp_path / "floats", "float"), make(tmp_path / "whole", "dark")
    task = ImageClassification(floats)
    with pytest.raises(
        TaskError, match="whole holds whole numbers beyond 8 bits, and the network was trained on floats"
    ):
        task.others(whole)
    described = task.preprocessing()
    assert described is not None
    with pytest.raises(ValueError, match="where the training images held the other"):
        read_image(whole / "ill" / "0.png", described)


def test_mixed_depths(tmp_path: Path) -> None:
    """Images of 8 bits stay what they are beside deeper ones; whole numbers and floats do not go together."""
    root = make(tmp_path / "data", "twelve")
    Image.fromarray(np.full((12, 12), 77, np.uint8)).save(root / "ill" / "byte.png")
    task = ImageClassification(root)
    assert b"\x4d" * 144 in pixels(task)
    assert "; 20 deeper than 8 bits: values from " in task.summary
    assert "; 1 of one value each (blank)" in task.summary
    Image.fromarray(values("float", 0.5, 0)).save(root / "ill" / "float.tif")
    with pytest.raises(TaskError, match="20 images in .* hold whole numbers beyond 8 bits and 1 floats, .*: levels"):
        ImageClassification(root)


def test_what_is_no_number_and_what_is_blank(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path / "data", "float")
    frame = values("float", 0.5, 50)
    frame[3, 3], frame[4, 4] = np.nan, np.inf
    Image.fromarray(frame).save(root / "ill" / "gap.tif")
    Image.fromarray(np.full((12, 12), np.nan, np.float32)).save(root / "well" / "gone.tif")
    task = ImageClassification(root)
    assert "well/gone.tif (not one of its values is a number)" in capfd.readouterr().err
    (gap,) = [image[0] for image in task.cached.images if image[0, 3, 3] == 0 and image[0, 4, 4] == 255]
    assert gap.max() == 255
    blank = tmp_path / "blank"
    for name in ("ill", "well"):
        (blank / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), 900, np.uint16)).save(blank / name / "0.png")
    with pytest.raises(TaskError, match=r"all pixels of the images in .*blank have one value \(900\)"):
        ImageClassification(blank)


def test_a_search_that_began_with_the_earlier_reading_is_refused(tmp_path: Path, cache: Path) -> None:
    root = make(tmp_path / "data", "dark")
    files = {str(path.relative_to(root)): path for path in sorted(root.rglob("*.png"))}
    earlier = content_of(files, tmp_path / "notes")
    task = ImageClassification(root)
    assert task.content != earlier
    assert pixels(ImageClassification(root, content=task.content)) == pixels(task)
    with pytest.raises(
        TaskError, match="read on one scale now; this search began with the earlier reading, .*new search"
    ):
        ImageClassification(root, content=earlier)
    # A cache that the first release left behind is not taken either: it stands under the hash without the depth.
    for path in (cache / "images").glob("*.arrow"):
        path.unlink()
    assert pixels(ImageClassification(root)) == pixels(task)


@pytest.mark.parametrize(
    ("kind", "levels"), [("fractions", "own"), ("sixteen", "own"), ("bytes", None), ("floats of bytes", None)]
)
def test_arrays_in_parquet(kind: str, levels: str | None, tmp_path: Path) -> None:
    """Lists of numbers are bytes where all lie in 0 to 255; else they are scaled like the pixels of deep files."""
    raw = np.random.default_rng(0).integers(0, 256, (12, 6, 6))
    stored: Any = {
        "fractions": raw / 255,
        "sixteen": raw * 200,
        "bytes": raw,
        "floats of bytes": raw.astype(np.float64),
    }[kind]
    pq.write_table(pa.table({"image": stored.tolist(), "label": [0, 1] * 6}), tmp_path / "x.parquet")
    task = ImageClassification(tmp_path / "x.parquet")
    if levels is None:
        assert task.cached.about.levels is None
        assert pixels(task) == {image.astype(np.uint8).tobytes() for image in raw}
    else:
        low, high = task.cached.about.levels or (0, 0)
        each = np.sort(np.asarray(stored).reshape(12, -1), axis=1)
        assert (low, high) == (each[:, 1].min(), each[:, -2].max())
        scaled = ((np.asarray(stored) - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8)
        assert pixels(task) == {image.tobytes() for image in scaled}


def colour_of_16_bits() -> bytes:
    """A PNG, which Pillow cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + (np.arange(24) * 100 + y).astype(">u2").tobytes() for y in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_colours_of_16_bits_are_said_to_lose_half(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes(colour_of_16_bits())
        Image.open(io.BytesIO(colour_of_16_bits())).save(tmp_path / "data" / name / "1.png")
    summary = ImageClassification(tmp_path / "data").summary
    assert "8x8 colour; of 2 with 16 bits a colour the upper 8 are read" in summary
