"""The task of telling a person's own images apart."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raynas.errors import TaskError
from raynas.paths import absolute
from raynas.tasks.images.arrays import Arrays
from raynas.tasks.images.build import build
from raynas.tasks.images.cache import Cached, building, cache_folder, cache_path, open_cache
from raynas.tasks.images.decode import FITS, Fit
from raynas.tasks.images.identity import identify, identify_again, source_at
from raynas.tasks.images.layout import LAYOUTS, Layout
from raynas.tasks.images.levels import Levels, refuse_deep
from raynas.tasks.images.losses import Losses, describe_kinds
from raynas.tasks.images.sizes import choices, largest_side
from raynas.tasks.images.source import Source
from raynas.tasks.images.summary import summary_of
from raynas.tasks.images.survey import Wanted, survey_of
from raynas.tasks.task import Data, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor

AUGMENTATIONS = ("crop", "flip", "cutout")
#: From so many images on, a tenth of them is enough to validate with (a standard error of 1.3 % at 80 %).
MANY_IMAGES = 10_000
_SKETCHED = 512  # images
_NUMBERS = {"whole": "whole numbers", "float": "floats"}


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
        layout: of a folder that can be read in two ways: ``"classes"`` (all its folders are classes) or ``"splits"``
            (it holds ``train``, and perhaps ``val`` and ``test``); None: its content decides.
        levels: of images deeper than 8 bits: the values that become black and white, the same in all of them; None:
            the range of the data (``levels.py``). ``[]``: such images are refused.
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
        layout: Layout | None = None,
        levels: Sequence[float] | None = None,
        content: str | None = None,
    ) -> None:
        _need("fit", fit, fit in FITS, "'crop' or 'resize'")
        _need("channels", channels, channels in (None, 1, 3), "1 or 3")
        _need("max_unreadable", max_unreadable, 0 <= max_unreadable < 1, "in [0, 1)")
        _need("layout", layout, layout is None or layout in LAYOUTS, "'classes' or 'splits'")
        self._wanted = Wanted(_size(size), fit, channels, max_unreadable, _levels(levels))
        self._columns = (image_column, label_column)
        self._layout = layout
        self._folder = Path.cwd()  # of a worker it may be another one
        self._path: Path | None = absolute(data) if data else None
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
        task._layout = None
        task._folder = Path.cwd()
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
        if about.deep and self._wanted.levels == ():
            refuse_deep(about.source, about.deep)
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
        self.most_epochs = 3 * self.default_epochs
        usual = ("crop",) if about.shape[0] == 1 else ("crop", "flip")
        self.augmentations = usual if augment is None else tuple(augment)

    def _find(self, source: Source | None, content: str | None) -> Path:
        """The cache file, decoded now where it is not there.

        Args:
            source: the data, where they are in memory.
            content: of the data that a search began with.
        """
        options: dict[str, Any] = {
            "size": self._wanted.size,
            "fit": self._wanted.fit,
            "channels": self._wanted.channels,
            "max_unreadable": self._wanted.max_unreadable,
            "columns": self._columns,
        }
        if self._wanted.levels:
            options["levels"] = self._wanted.levels
        if content is not None:
            path = cache_path(content, options)
            if open_cache(path) is not None:
                self.content = content
                return path
        notes = cache_folder() / "contents"

        def read(as_first: bool = False) -> Source:
            return source or source_at(self._path, notes, self._columns, self._layout, self._folder, as_first)

        found = identify(read(), notes) if content is None else identify_again(read, content, notes)
        self.content = found.content
        path = cache_path(found.content, options)
        before = open_cache(path)
        if before is None:
            with building(path):
                if open_cache(path) is None:  # else another process made it while we waited
                    losses = Losses(found.source.passed_over if content is None else (), begun=content is not None)
                    build(
                        path, found.source, self._wanted, found.survey or survey_of(found.source, losses), found.state
                    )
                    self._warn(path)
        elif content is None:  # what is passed over may have grown since
            losses = Losses(found.source.passed_over)
            losses.unreadable, losses.examples = before.about.unreadable, list(before.about.examples)
            counts = dict(zip(before.about.classes, before.about.counts, strict=True))
            losses.check_share(found.source.name, before.about.size, self._wanted.max_unreadable, counts)
            losses.check_classes(found.source.name, counts)
        return path

    def _warn(self, path: Path) -> None:
        """Says once, when the data is decoded, what was left out of it."""
        cached = open_cache(path)
        if cached is None:
            return
        about = cached.about
        if about.unreadable:
            more = ", …" if about.unreadable > len(about.examples) else ""
            print(
                f"skipped {about.unreadable} of {about.size + about.unreadable} images that cannot be read: "
                f"{', '.join(about.examples)}{more}",
                file=sys.stderr,
            )
        if about.passed_over:
            print(f"passed over in {about.source}: {describe_kinds(dict(about.passed_over))}", file=sys.stderr)
        if about.blank:
            print(f"{about.blank} of {about.size} images in {about.source} are of one value each", file=sys.stderr)

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
        """One line: how many images of what kind in which classes, and what was done to them."""
        return summary_of(self.cached.about, self.valid_size, self._wanted.fit)

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

    @property
    def picture_sizes(self) -> list[tuple[int, int]]:
        """Sizes (height, width) that a search may choose from, growing; none where the person has chosen one."""
        return [] if self._wanted.size is not None or self._path is None else choices(self.cached.about)

    def require_side(self, side: int) -> None:
        """Refuses a side in pixels that is larger than any picture's.

        Raises:
            TaskError: that.
        """
        about = self.cached.about
        if side > (largest := largest_side(about)):
            smallest, greatest = (f"{high}x{wide}" for high, wide in about.sizes)
            are = f"are {greatest}" if smallest == greatest else f"are from {smallest} to {greatest}"
            raise TaskError(
                f"image size {side} is larger than the pictures, which {are}; give {largest} or less, or leave it out"
            )

    def sketch(self, size: tuple[int, int]) -> ImageClassification:
        """A task like this one with random images of another size: to see how fast networks train on those.

        Args:
            size: (height, width).
        """
        import torch

        other = copy.copy(self)
        other.input_shape = (self.input_shape[0], *size)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (_SKETCHED, *other.input_shape), dtype=torch.uint8, generator=generator)
        labels = torch.arange(_SKETCHED) % self.num_classes
        other.__dict__["data"] = Data(images, labels, images, labels)
        return other

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
            layout="classes" if self._layout == "classes" else None,
            levels=self.cached.about.levels or (),
        )
        about, own = other.cached.about, self.cached.about
        if about.values and own.values and about.values != own.values:
            raise TaskError(
                f"{about.source} holds {_NUMBERS[about.values]} beyond 8 bits, and the network was trained on "
                f"{_NUMBERS[own.values]}; convert them as those were"
            )
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
        levels = self.cached.about.levels
        return {
            **(super().preprocessing() or {}),
            **({} if levels is None else {"levels": list(levels), "values": self.cached.about.values}),
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


def _levels(levels: Sequence[float] | None) -> Levels | tuple[()] | None:
    if levels is None:
        return None
    numbers = not isinstance(levels, str) and all(type(value) in (int, float) for value in levels)
    whole = numbers and (not levels or (len(levels) == 2 and -math.inf < levels[0] < levels[1] < math.inf))
    _need("levels", levels, whole, "[black, white], two numbers of which the second is larger")
    return (float(levels[0]), float(levels[1])) if levels else ()
