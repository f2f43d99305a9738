"""What an exported file does besides being a network: it reads images, prepares them, and says what comes out.

The source of this module goes into the file as it stands (``program.py``), so it needs torch and Pillow, nothing else.
Images are decoded as the images task does it (``raynas.tasks.images.decode``, which needs NumPy).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
MANY = 32  # outputs; of more a summary is printed

#: What is decoded, in Pillow's names. Pillow is asked for these only: its readers of EPS and WMF start other programs.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "HEIF", "JXL", "JPEG2000", "DIB", "ICO", "ICNS"),
    *("CUR", "PCX", "DCX", "TGA", "SGI", "SUN", "QOI", "PSD", "DDS", "FITS", "SPIDER", "FLI", "IM", "MSP", "XBM"),
    *("XPM", "XVTHUMB", "PCD", "PIXAR", "MCIDAS", "GBR", "FTEX", "BLP"),
)


def read_image(path: str | Path, preprocessing: dict[str, Any]) -> Tensor:
    """An image file as ``(channels, height, width)`` pixels in uint8, the right way up.

    Another size than the network's is made to fit: with ``"crop"`` the image is scaled until it covers the wanted size
    and the middle is taken, with ``"resize"`` each side is scaled by itself. What is transparent becomes white. Values
    beyond 8 bits are scaled as those of the training images were (``levels``: which became 0 and 255).

    Raises:
        OSError: it is no image.
        ValueError: it is deeper than 8 bits, and no training image was, or it holds floats where those did not.
    """
    channels, height, width = (preprocessing[key] for key in ("channels", "height", "width"))
    mode = "L" if channels == 1 else "RGB"
    with Image.open(path, formats=decoders()) as file:
        file.draft(mode, (2 * max(width, height),) * 2)  # JPEGs far larger than wanted are decoded at a part of it
        image = flat(upright(file), mode, preprocessing.get("levels"), preprocessing.get("values"))
    if image.size != (width, height):
        resampling = Image.Resampling.BICUBIC
        if preprocessing["fit"] == "crop":
            image = ImageOps.fit(image, (width, height), resampling)
        else:
            image = image.resize((width, height), resampling)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(height, width, channels).permute(2, 0, 1).contiguous()


def decoders() -> tuple[str, ...]:
    """The formats of ``FORMATS`` that are decoded here (HEIC where the package pillow_heif is installed)."""
    Image.init()
    for package, register in (("pillow_heif", "register_heif_opener"), ("pillow_avif", ""), ("pillow_jxl", "")):
        with contextlib.suppress(ImportError):
            module = importlib.import_module(package)
            if register:
                getattr(module, register)()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def upright(image: Image.Image) -> Image.Image:
    """The image turned as the camera was held (EXIF); as it is where that is not known."""
    image.load()
    try:
        orientation = image.getexif().get(0x0112, 1)
        return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image
    except (OSError, SyntaxError, ValueError, TypeError, KeyError):  # damaged EXIF is no reason to lose the picture
        return image


def flat(image: Image.Image, mode: str, levels: list[float] | None, values_were: str | None) -> Image.Image:
    """The image in the mode ``"L"`` or ``"RGB"``: without transparency, palettes and values beyond 8 bits."""
    if image.mode.startswith(("I", "F")):
        if levels is None:
            raise ValueError("it is deeper than 8 bits, and the images that the network was trained on are not")
        deep = image if image.mode == "F" else image.convert("I")
        if values_were and (values_were == "float") != (deep.mode == "F"):
            raise ValueError("it holds floats or whole numbers beyond 8 bits, where the training images held the other")
        dtype = torch.float32 if deep.mode == "F" else torch.int32
        values = torch.frombuffer(bytearray(deep.tobytes()), dtype=dtype).double()
        scaled = (values - levels[0]) * (255 / (levels[1] - levels[0]))
        whole = scaled.nan_to_num(nan=0.0).round().clamp(0, 255).to(torch.uint8)
        return Image.frombytes("L", image.size, bytes(whole.tolist())).convert(mode)
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert(mode)


def prepare(pixels: Tensor, preprocessing: dict[str, Any]) -> Tensor:
    """Pixels ``(batch, channels, height, width)`` in uint8 as the network takes them: normalised floats."""
    inputs = pixels.float()
    for step in preprocessing["normalise"]:
        for operation, values in step.items():
            operand = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)  # one number, or one a channel
            if operation == "subtract":
                inputs = inputs - operand
            elif operation == "multiply":
                inputs = inputs * operand
            elif operation == "divide":
                inputs = inputs / operand
            else:
                raise ValueError(f"preprocessing.json: there is no operation {operation!r}")
    return inputs


@torch.no_grad()
def raw_outputs(network: nn.Module, path: str | Path, preprocessing: dict[str, Any]) -> Tensor:
    """What the network gives for an image file, as it is: without the batch, nothing applied to it."""
    outputs: Tensor = network(prepare(read_image(path, preprocessing)[None], preprocessing))[0]
    return outputs


def probabilities(network: nn.Module, path: str | Path, preprocessing: dict[str, Any]) -> dict[str, float]:
    """The probability of each class, or of each label, for an image file, the likeliest first."""
    kind = preprocessing.get("outputs", "classes")
    if kind not in ("classes", "labels"):
        raise ValueError("this network's outputs are no scores of classes: take raw_outputs")
    outputs = raw_outputs(network, path, preprocessing)
    shares = outputs.softmax(0) if kind == "classes" else outputs.sigmoid()
    found = dict(zip(preprocessing["classes"], shares.tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def likely(found: dict[str, float], kind: str, top: int | None) -> str:
    """Classes or labels in a line, the likeliest first: ``top`` of them, else one class, or all labels from 0.5 on."""
    items = list(found.items())
    if top is not None or kind == "classes":
        chosen = items[: max(1, top or 1)]
    else:
        chosen = [(name, value) for name, value in items if value >= 0.5]
    return ", ".join(f"{name} {value:.4f}" for name, value in chosen) or "no label"


def described(outputs: Tensor, names: list[str] | None) -> str:
    """Raw outputs in a line: each with its name, or its number alone; of many their shape and range."""
    numbers = [f"{value:.6g}" for value in outputs.flatten()[:MANY].tolist()]
    if names is not None and outputs.ndim == 1 and len(names) == outputs.numel() <= MANY:
        return ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
    if outputs.numel() <= MANY:
        return ", ".join(numbers)
    shape, values = " x ".join(map(str, outputs.shape)), outputs.float()
    return f"{shape} numbers from {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}"


def main(network: nn.Module) -> int:
    """Says what the network gives for each image named on the command line; returns the exit code."""
    preprocessing = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
    kind = preprocessing.get("outputs", "classes")
    about, usual = {
        "classes": ("Says which class each image belongs to, and how probable that is.", "1"),
        "labels": ("Says which labels each image has, and how probable each is.", "all from 0.5 on"),
    }.get(kind, ("Prints the network's raw outputs for each image.", ""))
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    if usual:
        parser.add_argument("--top", type=int, metavar="N", help=f"show the N likeliest {kind} (default: {usual})")
    arguments = parser.parse_args()
    code, read = 0, 0
    for path in arguments.images:
        try:
            if usual:
                words = likely(probabilities(network, path, preprocessing), kind, arguments.top)
            else:
                words = described(raw_outputs(network, path, preprocessing), preprocessing.get("classes"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            print(f"{path} cannot be read: {error}", file=sys.stderr)
            code = 2
            continue
        print(f"{path}: {words}")
        read += 1
    if read and not usual:
        print("these are the network's raw outputs: no softmax, sigmoid or scale was applied to them", file=sys.stderr)
    return code
