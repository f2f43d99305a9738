"""The task of telling a person's own images apart."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raynas.errors import TaskError
from raynas.tasks.images.arrays import Arrays
from raynas.tasks.images.build import Wanted, build
from raynas.tasks.images.cache import Cached, building, cache_folder, cache_path, open_cache
from raynas.tasks.images.decode import FITS, Fit
from raynas.tasks.images.folder import Folder
from raynas.tasks.images.parquet import Parquet
from raynas.tasks.images.source import Source
from raynas.tasks.task import Data, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor

AUGMENTATIONS = ("crop", "flip", "cutout")
#: From so many images on, a tenth of them is enough to validate with (a standard error of 1.3 % at 80 %).
MANY_IMAGES = 10_000


class ImageClassification(Task):
    """Classification of images from a Parquet file, a folder, or arrays.

    Making one decodes the data into this machine's cache, or finds it there (``cache.py``); that is the moment when
    unusable data is refused. Workers only map the file.

    Args:
        data: a Parquet file or a folder of them, or a folder ``CLASS/NAME.jpg`` (see :class:`Parquet`,
            :class:`Folder`). For arrays see :meth:`from_arrays`.
        size: pixels, one number or (height, width); None: the images' own where all have the same, at most 64 a side,
            and 64 otherwise.
        fit: what becomes of images of another size: ``"crop"`` (scaled to cover it, the middle is taken) or
            ``"resize"`` (scaled side by side, so proportions change).
        channels: 1 (grey) or 3 (colour); None: grey where all images are.
        validation: share of the images to validate with, in each class, below one half; None: a fifth, from 10,000
            images on a tenth. Where the data has a validation part of its own, that is taken and this must be None.
        max_unreadable: share of images that may be skipped because they cannot be decoded or have no label.
        augment: of ``"crop"`` (shifts by up to an eighth), ``"flip"`` (left to right), ``"cutout"`` (a square of half
            the side, gone); None: crop, and flip for colour (letters and digits have a side, and are mostly grey).
        image_column: of a Parquet file; None: found by name or metadata.
        label_column: likewise.
        content: the data's hash, as :attr:`content` gave it before; other data is then refused, and decoded data is
            used even where the source has moved.

    Raises:
        TaskError: the data cannot be had or used, or an argument has a value that cannot be.
    """

    name = "images"
    #: A rung compares averaged weights under a rate that does not know when the training ends (docs/training.md).
    input_dtype = "float32"
    outputs = "classes"
    recipe = MappingProxyType({"batch_size": 64, "label_smoothing": 0.1, "schedule": "wsd", "ema": 0.99})

    def __init__(
        self,
        data: str | Path,
        *,
        size: int | Sequence[int] | None = None,
        fit: Fit = "crop",
        channels: int | None = None,
        validation: float | None = None,
        max_unreadable: float = 0.05,
        augment: Sequence[str] | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        content: str | None = None,
    ) -> None:
        _need("fit", fit, fit in FITS, "'crop' or 'resize'")
        _need("channels", channels, channels in (None, 1, 3), "1 or 3")
        _need("max_unreadable", max_unreadable, 0 <= max_unreadable < 1, "in [0, 1)")
        self._wanted = Wanted(_size(size), fit, channels, max_unreadable)
        self._columns = (image_column, label_column)
        self._path: Path | None = Path(data).expanduser().absolute() if data else None
        self._set_up(None, validation, augment, content)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        *,
        classes: Sequence[str] | None = None,
        valid: tuple[Any, Any] | None = None,
        validation: float | None = None,
        augment: Sequence[str] | None = None,
    ) -> ImageClassification:
        """The task for images in memory.

        They are copied into the cache once, so that all workers of this machine share them; on other machines the
        task works where ``$RAYNAS_CACHE`` is a shared folder.

        Args:
            images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; uint8, or floats in [0, 1].
            labels: ``(N,)`` class numbers from 0, or names.
            classes: the classes' names.
            valid: images and labels to validate with; else ``validation`` is split off.
            validation: as above.
            augment: as above.
        """
        task = cls.__new__(cls)
        shape = tuple(images.shape)
        side = shape[2:4] if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3) else shape[1:3]
        task._wanted = Wanted((side[0], side[-1]) if side else None, "crop", None, 0.0)
        task._columns = (None, None)
        task._path = None
        task._set_up(Arrays(images, labels, classes, valid), validation, augment, None)
        return task

    def _set_up(
        self, source: Source | None, validation: float | None, augment: Sequence[str] | None, content: str | None
    ) -> None:
        _need("validation", validation, validation is None or 0 < validation < 0.5, "above 0 and below 0.5")
        known = augment is None or (not isinstance(augment, str) and set(augment) <= set(AUGMENTATIONS))
        _need("augment", augment, known, f"a list of {', '.join(AUGMENTATIONS)}")
        self._file = self._find(source, content)
        about = self.cached.about
        if about.held_out and validation is not None:
            raise TaskError(
                f"validation is {validation}, but {about.source} has a validation part of its own; leave it out"
            )
        share = validation if validation is not None else 0.2 if about.size < MANY_IMAGES else 0.1
        self.valid_size = about.held_out or max(1, round(about.size * share))
        self.train_size = about.size - self.valid_size
        if self.train_size < 1:
            raise TaskError(f"{about.source} has {about.size} images; none is left to train on")
        self.input_shape = about.shape
        self.classes = about.classes
        self.num_classes = len(about.classes)
        self.default_epochs = 27 if about.size < MANY_IMAGES else 9
        usual = ("crop",) if about.shape[0] == 1 else ("crop", "flip")
        self.augmentations = usual if augment is None else tuple(augment)

    def _find(self, source: Source | None, content: str | None) -> Path:
        """The cache file, decoded now where it is not there."""
        options = {
            "size": self._wanted.size,
            "fit": self._wanted.fit,
            "channels": self._wanted.channels,
            "max_unreadable": self._wanted.max_unreadable,
            "columns": self._columns,
        }
        if content is not None:
            path = cache_path(content, options)
            if open_cache(path) is not None:
                self.content = content
                return path
        source = source or self._source()
        try:
            self.content = source.content()
        except OSError as error:
            raise TaskError(f"{source.name} cannot be read: {error}") from None
        if content not in (None, self.content):
            raise TaskError(
                f"{source.name} has changed since this search began, and what was decoded then is gone; "
                "bring the old data back, or start a new search"
            )
        path = cache_path(self.content, options)
        if open_cache(path) is None:
            with building(path):
                if open_cache(path) is None:  # else another process made it while we waited
                    build(path, source, self._wanted)
                    self._warn(path)
        return path

    def _source(self) -> Source:
        path, notes = self._path, cache_folder() / "contents"
        if path is None:
            raise TaskError("say which data: --data PATH (a Parquet file, or a folder CLASS/NAME.jpg)")
        if not path.exists():
            raise TaskError(f"there is no data at {path}; give a Parquet file, or a folder CLASS/NAME.jpg")
        try:
            if path.is_file() or any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
                return Parquet(path, notes, *self._columns)
            return Folder(path, notes)
        except OSError as error:
            raise TaskError(f"{path} cannot be read: {error}") from None

    def _warn(self, path: Path) -> None:
        """Says once, when the data is decoded, what was left out of it."""
        cached = open_cache(path)
        if cached is not None and cached.about.unreadable:
            about = cached.about
            more = ", …" if about.unreadable > len(about.examples) else ""
            print(
                f"skipped {about.unreadable} of {about.size + about.unreadable} images that cannot be read: "
                f"{', '.join(about.examples)}{more}",
                file=sys.stderr,
            )

    @property
    def cached(self) -> Cached:
        """The decoded images, mapped; all that is known of them stands in ``about``.

        Raises:
            TaskError: the cache file is gone.
        """
        found = self.__dict__.get("_cached") or open_cache(self._file)
        if found is None and self._path is not None:
            self._file = self._find(None, self.content)  # another machine, or the cache was emptied
            found = open_cache(self._file)
        if found is None:
            raise TaskError(
                f"the decoded images {self._file} are not on this machine; set RAYNAS_CACHE to a shared folder"
            )
        self.__dict__["_cached"] = found
        return found

    @property
    def summary(self) -> str:
        """One line: how many images of what kind, and what was done to them."""
        about = self.cached.about
        channels, height, width = about.shape
        kind = "grey" if channels == 1 else "colour"
        words = f"{about.size:,} images in {self.num_classes} classes, {height}x{width} {kind}"
        if about.fitted:
            how = "scaled, cropped to the middle" if self._wanted.fit == "crop" else "resized"
            smallest, largest = (f"{high}x{wide}" for high, wide in about.sizes)
            words += f" ({how} from {smallest})" if smallest == largest else f" ({how} from {smallest} to {largest})"
        own = "the data's own" if about.held_out else f"{self.valid_size / about.size:.0%} of each class"
        words += f"; {self.valid_size:,} to validate with ({own})"
        return words + (f"; {about.unreadable} skipped as unreadable" if about.unreadable else "")

    def load(self) -> Data:
        """Views of the mapped file: nothing is copied.

        Raises:
            TaskError: there are fewer images to train on than classes.
        """
        import torch

        about = self.cached.about
        there = sum(1 for count in about.counts if count)
        if self.train_size < there:
            raise TaskError(
                f"{about.source} has {about.size} images of {there} classes; with {self.valid_size} to validate, "
                f"{self.train_size} are left to train on, fewer than one a class; add images"
            )
        images, labels = torch.from_numpy(self.cached.images), torch.from_numpy(self.cached.labels)
        at = self.train_size
        return Data(images[:at], labels[:at], images[at:], labels[at:])

    def others(self, data: str | Path) -> tuple[Tensor, Tensor]:
        """All images of another file or folder, in this task's size and with this task's class numbers.

        Args:
            data: as for the task; classes are matched by name.

        Returns:
            ``(N, C, H, W)`` uint8, and ``(N,)`` int64.

        Raises:
            TaskError: the data cannot be used, or has a class that this task does not know.
        """
        import torch

        channels, height, width = self.input_shape
        other = ImageClassification(
            data,
            size=(height, width),
            fit=self._wanted.fit,
            channels=channels,
            max_unreadable=self._wanted.max_unreadable,
            image_column=self._columns[0],
            label_column=self._columns[1],
        )
        about = other.cached.about
        there = [name for name, count in zip(about.classes, about.counts, strict=True) if count]
        strange = [name for name in there if name not in self.classes]
        if strange:
            raise TaskError(
                f"{about.source} has images of class {strange[0]!r}, which the network was never taught; "
                f"its classes are {', '.join(self.classes)}"
            )
        numbers = torch.tensor([self.classes.index(name) if name in self.classes else -1 for name in about.classes])
        return torch.from_numpy(other.cached.images), numbers[torch.from_numpy(other.cached.labels)]

    @cached_property
    def _normal(self) -> tuple[Tensor, Tensor]:
        """Mean and the inverse of the deviation, ``(C, 1, 1)``."""
        import torch

        about = self.cached.about
        mean, scale = torch.tensor(about.mean), torch.tensor([1 / std for std in about.std])
        return mean[:, None, None], scale[:, None, None]

    def prepare(self, inputs: Tensor) -> Tensor:
        """Floats of mean 0 and deviation 1 in each channel (of training images that no split validates with)."""
        mean, scale = (tensor.to(inputs.device) for tensor in self._normal)
        return inputs.float().sub_(mean).mul_(scale)

    def preprocessing(self) -> dict[str, Any] | None:
        mean, scale = (tensor.flatten().tolist() for tensor in self._normal)
        return {
            **(super().preprocessing() or {}),
            "fit": self._wanted.fit,
            "normalise": [{"subtract": mean}, {"multiply": scale}],
            "classes": list(self.classes),
        }

    def augment(self, inputs: Tensor, generator: Generator) -> Tensor:
        from raynas.tasks.augment import cutout, shift

        side = min(inputs.shape[2:])
        if "crop" in self.augmentations or "flip" in self.augmentations:
            pixels = side // 8 if "crop" in self.augmentations else 0
            inputs = shift(inputs, generator, pixels, mirror="flip" in self.augmentations)
        if "cutout" in self.augmentations:
            inputs = cutout(inputs, generator, side // 2)
        return inputs

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key not in ("_cached", "_normal")}


def _need(name: str, value: Any, holds: bool, wanted: str) -> None:
    if not holds:
        raise TaskError(f"{name} of the images is {value!r}; it must be {wanted}")


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    pair = (size, size) if isinstance(size, int) else size
    if pair is None:
        return None
    whole = not isinstance(pair, str) and len(pair) == 2 and all(type(side) is int and side >= 1 for side in pair)
    _need("size", size, whole, "a number of pixels, or [height, width]")
    return (pair[0], pair[1])
