"""Which files are images: the content says so, not the name; what else a file may be is said by its kind."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

#: What is decoded, in Pillow's names, the usual ones first. Pillow is asked for these only: its readers of EPS and WMF
#: start other programs, that of IPTC opens whatever lies inside, and those of BUFR, GRIB, HDF5 and MPEG decode nothing.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "HEIF", "JXL", "JPEG2000", "DIB", "ICO", "ICNS"),
    *("CUR", "PCX", "DCX", "TGA", "SGI", "SUN", "QOI", "PSD", "DDS", "FITS", "SPIDER", "FLI", "IM", "MSP", "XBM"),
    *("XPM", "XVTHUMB", "PCD", "PIXAR", "MCIDAS", "GBR", "FTEX", "BLP"),
)
#: A file that is named so is to be an image: it is counted where its content is none.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
)
#: Without a mark at their beginning, so that almost any file could be one: read where the suffix says so too.
_UNMARKED = {"TGA", "SPIDER", "IM", "PCD"}
#: Packages that teach Pillow a format, used where they are installed: the function that does it ("": the import).
_PLUGINS = {"pillow_heif": "register_heif_opener", "pillow_avif": "", "pillow_jxl": ""}
_HEAD = 1024
_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"mif1": "HEIC",
    b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF",
}  # fmt: skip
_NEEDED = {"HEIC": "pillow-heif", "AVIF": "pillow-avif-plugin", "JPEG XL": "pillow-jxl-plugin"}


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


@functools.cache
def decoders() -> tuple[str, ...]:
    """The formats of ``FORMATS`` that this machine decodes."""
    Image.init()
    for package, register in _PLUGINS.items():
        with contextlib.suppress(ImportError):
            module = importlib.import_module(package)
            if register:
                getattr(module, register)()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def opened(content: Path | bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """An image whose header was read.

    Args:
        content: a file, or a file's content.
        formats: Pillow's names; None: all that this machine decodes.

    Raises:
        Unreadable: it is no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of very large images, and of formats that it might be
            file = io.BytesIO(content) if isinstance(content, bytes) else content
            return Image.open(file, formats=formats or decoders())
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except Exception as error:  # decoders raise what they like
        raise Unreadable(str(error) or type(error).__name__) from error


def is_image(path: Path) -> bool:
    """Whether a file's content is an image that this machine decodes, whatever its name."""
    known = decoders()
    named = Image.EXTENSION.get(path.suffix.lower())
    formats = tuple(name for name in known if name not in _UNMARKED or name == named)
    try:
        with opened(path, formats):
            return True
    except Unreadable:
        return False


def kind_of(path: Path) -> tuple[str, bool]:
    """What a file is that is no image, in a word or two, and whether an image may be lost with it.

    Text is not (lists of labels, notes, annotations), and no more are the files that desktops leave in folders.
    """
    if not path.exists():
        return "broken links", True
    if not path.is_file():
        return "devices and pipes", False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "files that may not be read", True
    suffix = path.suffix.lower() or "files without a suffix"
    if not head:
        decoders()  # fills Pillow's table of suffixes
        return "empty files", not path.suffix or path.suffix.lower() in Image.EXTENSION
    if path.name.lower() in ("thumbs.db", "desktop.ini"):
        return path.name, False
    picture = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
    if head.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        picture = "JPEG XL"
    if picture is not None:
        return f"{picture} (decoded where {_NEEDED[picture]} is installed)", True
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "EPS (another program would have to draw it)", True
    if suffix in (".svg", ".svgz"):
        return suffix, True
    return suffix, not _is_text(head)


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        return True
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
