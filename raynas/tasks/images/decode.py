"""From an image as it is stored to pixels of the wanted shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from raynas.tasks.images.formats import Unreadable, opened
from raynas.tasks.images.levels import Levels, is_deep, own_range, to_bytes

Fit = Literal["crop", "resize"]
FITS = ("crop", "resize")

#: Pillow's modes without colour.
_GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112  # EXIF: which way up a camera held the picture


@dataclass(frozen=True)
class Look:
    """What an image is before it is decoded: size the right way up, whether it is grey, and how deep it is.

    Args:
        height: in pixels.
        width: in pixels.
        grey: whether it has no colour.
        values: ``"bytes"``; or ``"whole"`` or ``"float"`` numbers, which need a range to become bytes.
        ranges: of such numbers: without the picture's extremes, and in full (``levels.own_range``).
        narrowed: whether the decoder gives the upper 8 of 16 bits a channel (colour; Pillow can do no more).
    """

    height: int
    width: int
    grey: bool
    values: Literal["bytes", "whole", "float"] = "bytes"
    ranges: tuple[float, float, float, float] | None = None
    narrowed: bool = False


def look(content: Path | bytes | np.ndarray) -> Look:
    """Reads the header alone; of an image deeper than 8 bits all of it.

    Raises:
        Unreadable: it is no image.
    """
    if isinstance(content, np.ndarray):
        height, width, grey = content.shape[0], content.shape[1], content.ndim == 2
        return Look(height, width, grey) if content.dtype == np.uint8 else _deep(content, height, width, grey)
    with opened(content) as image:
        narrowed = _narrowed(image)  # before anything loads the image
        width, height = image.size
        if _orientation(image) >= 5:  # lying on its side
            width, height = height, width
        if image.mode.startswith(("I", "F")):
            try:
                return _deep(np.asarray(image), height, width, grey=True)
            except Unreadable:
                raise
            except Exception as error:
                raise Unreadable(str(error) or type(error).__name__) from error
        return Look(height, width, image.mode in _GREY, narrowed=narrowed)


def _deep(values: np.ndarray, height: int, width: int, grey: bool) -> Look:
    ranges = own_range(values)
    if ranges is None:
        raise Unreadable("not one of its values is a number")
    return Look(height, width, grey, "float" if values.dtype.kind == "f" else "whole", ranges)


def _narrowed(image: Image.Image) -> bool:
    tiles = getattr(image, "tile", ())
    return any(";16" in str(tile[3]) for tile in tiles)


def decode(
    content: Path | bytes | np.ndarray, shape: tuple[int, int, int], fit: Fit, levels: Levels | None = None
) -> np.ndarray:
    """An image as ``(C, H, W)`` in uint8.

    Another size than the wanted one is made to fit: ``"crop"`` scales until the image covers the wanted one and takes
    the middle; ``"resize"`` scales each side by itself, so proportions change. What is transparent becomes white.

    Args:
        content: a file, a file's content, or pixels.
        shape: the wanted one.
        fit: what becomes of other sizes.
        levels: which values of images deeper than 8 bits become 0 and 255; None: such images are unreadable.

    Raises:
        Unreadable: the image is damaged, too large (Pillow's limit), deeper than expected, or gone.
    """
    if isinstance(content, np.ndarray) and content.dtype != np.uint8:
        if levels is None and is_deep(content):
            raise Unreadable("it has values outside 0 to 255")
        content = to_bytes(content, levels) if levels else content.round().astype(np.uint8)
    channels, height, width = shape
    if isinstance(content, np.ndarray) and content.shape == (height, width, 3)[: 2 if channels == 1 else 3]:
        pixels = content
    else:
        mode = "L" if channels == 1 else "RGB"
        try:
            if isinstance(content, np.ndarray):
                image = Image.fromarray(content)
            else:
                with opened(content) as file:
                    # JPEGs far larger than wanted are decoded at a half, a quarter or an eighth.
                    file.draft(mode, (2 * max(width, height),) * 2)
                    file.load()
                    image = ImageOps.exif_transpose(file) if _orientation(file) != 1 else file
                    image = _flat(image, mode, levels)
            if image.mode != mode:
                image = image.convert(mode)
            if image.size != (width, height):
                resampling = Image.Resampling.BICUBIC  # with antialiasing, as Pillow does it
                if fit == "crop":
                    image = ImageOps.fit(image, (width, height), resampling)
                else:
                    image = image.resize((width, height), resampling)
            pixels = np.asarray(image)
        except Unreadable:
            raise
        except Exception as error:  # decoders raise what they like: OSError, SyntaxError, ValueError, struct.error
            raise Unreadable(str(error) or type(error).__name__) from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    """1 to 8, as in EXIF; 1 is upright."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in range(1, 9) else 1
    except Exception:  # damaged EXIF is no reason to lose the picture
        return 1


def _flat(image: Image.Image, mode: str, levels: Levels | None) -> Image.Image:
    """Without transparency, palettes and values beyond 8 bits."""
    if image.mode.startswith(("I", "F")):
        if levels is None:
            raise Unreadable("it is deeper than 8 bits, and which of its values are black and white is not known")
        return Image.fromarray(to_bytes(np.asarray(image), levels))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert(mode)
