"""Image files as an exported model reads them, beside how the images task reads them: the same pixels and inputs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.export.runtime import prepare, probabilities, read_image
from raynas.export.write import _preprocessing
from raynas.tasks.images.classification import ImageClassification
from raynas.tasks.images.decode import decode

RNG = np.random.default_rng(0)


def picture(mode: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A smooth random picture, so that resampling has something to do."""
    small = Image.fromarray(RNG.integers(0, 256, (7, 9, 4), dtype=np.uint8)).resize(size, Image.BICUBIC)
    if mode.startswith(("I", "F")):
        values = np.asarray(small.convert("L")).astype(np.uint16) * 257
        return Image.fromarray(values if mode == "I;16" else (values // 3).astype(mode[0].lower() + "4"))
    return small.convert(mode)


def rotated() -> bytes:
    image, file = picture("RGB"), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CASES = {
    "grey": lambda: saved(picture("L"), "PNG"),
    "colour": lambda: saved(picture("RGB"), "PNG"),
    "transparent": lambda: saved(picture("RGBA"), "PNG"),
    "grey and transparent": lambda: saved(picture("LA"), "PNG"),
    "palette": lambda: saved(picture("P"), "PNG"),
    "palette with a transparent colour": lambda: saved(picture("P"), "PNG", transparency=3),
    "one bit": lambda: saved(picture("1"), "PNG"),
    "16 bits": lambda: saved(picture("I;16"), "PNG"),
    "32 bits": lambda: saved(picture("I"), "TIFF"),
    "floats": lambda: saved(picture("F"), "TIFF"),
    "print colours": lambda: saved(picture("CMYK"), "JPEG"),
    "a large JPEG": lambda: saved(picture("RGB", (900, 700)), "JPEG"),
    "a camera held upright": rotated,
    "GIF": lambda: saved(picture("RGB"), "GIF"),
    "exact": lambda: saved(picture("RGB", (24, 16)), "PNG"),
}


@pytest.mark.parametrize("fit", ["crop", "resize"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_same_pixels(case: str, channels: int, fit: str, tmp_path: Path) -> None:
    content = CASES[case]()
    path = tmp_path / "image"
    path.write_bytes(content)
    about = {"channels": channels, "height": 16, "width": 24, "fit": fit, "levels": [1000.5, 21000.0]}
    expected = decode(content, (channels, 16, 24), fit, (1000.5, 21000.0))  # type: ignore[arg-type]
    assert torch.equal(read_image(path, about), torch.from_numpy(expected.copy()))


def test_the_same_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "cache"))
    for label in ("cat", "dog"):
        for number in range(6):
            (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
            picture("RGB", (20 + number, 18)).save(tmp_path / "data" / label / f"{number}.png")
    task = ImageClassification(tmp_path / "data", size=16)
    about = _preprocessing(task)  # compares it with task.prepare
    assert about is not None
    assert about["classes"] == ["cat", "dog"]
    assert (about["channels"], about["height"], about["width"], about["fit"]) == (3, 16, 16, "crop")
    pixels = task.data.valid_inputs
    assert torch.equal(prepare(pixels, about), task.prepare(pixels))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    found = probabilities(network, tmp_path / "data" / "dog" / "1.png", about)
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
