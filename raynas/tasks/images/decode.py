"""From an image as it is stored to pixels of the wanted shape."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Fit = Literal["crop", "resize"]
FITS = ("crop", "resize")

#: Pillow's modes without colour.
_GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112  # EXIF: which way up a camera held the picture


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


@dataclass(frozen=True)
class Look:
    """What an image's header says: height and width the right way up, and whether it is grey."""

    height: int
    width: int
    grey: bool


def look(content: Path | bytes | np.ndarray) -> Look:
    """Reads the header alone.

    Raises:
        Unreadable: it is no image.
    """
    if isinstance(content, np.ndarray):
        return Look(content.shape[0], content.shape[1], content.ndim == 2)
    with _opened(content) as image:
        width, height = image.size
        if _orientation(image) >= 5:  # lying on its side
            width, height = height, width
        return Look(height, width, image.mode in _GREY)


def decode(content: Path | bytes | np.ndarray, shape: tuple[int, int, int], fit: Fit) -> np.ndarray:
    """An image as ``(C, H, W)`` in uint8.

    Another size than the wanted one is made to fit: ``"crop"`` scales until the image covers the wanted one and takes
    the middle; ``"resize"`` scales each side by itself, so proportions change. What is transparent becomes white.

    Raises:
        Unreadable: the image is damaged, too large (Pillow's limit), or gone.
    """
    channels, height, width = shape
    if isinstance(content, np.ndarray) and content.shape == (height, width, 3)[: 2 if channels == 1 else 3]:
        pixels = content
    else:
        mode = "L" if channels == 1 else "RGB"
        try:
            if isinstance(content, np.ndarray):
                image = Image.fromarray(content)
            else:
                with _opened(content) as opened:
                    # JPEGs far larger than wanted are decoded at a half, a quarter or an eighth.
                    opened.draft(mode, (2 * max(width, height),) * 2)
                    opened.load()
                    image = ImageOps.exif_transpose(opened) if _orientation(opened) != 1 else opened
                    image = _flat(image, mode)
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


def _opened(content: Path | bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except Exception as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> int:
    """1 to 8, as in EXIF; 1 is upright."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in range(1, 9) else 1
    except Exception:  # damaged EXIF is no reason to lose the picture
        return 1


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Without transparency, palettes and 16-bit values."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray((values / 257 if values.max(initial=0) > 255 else values).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert(mode)
