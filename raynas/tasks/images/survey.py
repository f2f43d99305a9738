"""A look at a whole source before anything is decoded: sizes, colours, depth, and what cannot be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from raynas.errors import TaskError
from raynas.progress_bar import bar
from raynas.resources import available_cpus
from raynas.tasks.images.decode import Fit, Look, look
from raynas.tasks.images.formats import Unreadable
from raynas.tasks.images.levels import Levels, refuse_deep, widest
from raynas.tasks.images.losses import Losses
from raynas.tasks.images.order import stratified_order
from raynas.tasks.images.source import Sample, Source

#: Images all of one size are kept so up to this many pixels a side; all others are made so large.
LARGEST_OWN_SIZE = 64
_BLOCK = 64  # images a task of a thread

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Wanted:
    """How to decode.

    Args:
        size: ``(H, W)``; None: the images' own where all have one of at most 64 pixels a side, else 64 by 64.
        fit: what becomes of other sizes.
        channels: 1 or 3; None: 1 where all images are grey.
        max_unreadable: the share of images that may be skipped.
        levels: which values of images deeper than 8 bits become 0 and 255; None: the data's own range; ``()``: such
            images are refused.
    """

    size: tuple[int, int] | None
    fit: Fit
    channels: int | None
    max_unreadable: float
    levels: Levels | tuple[()] | None = None


class Survey:
    """State: what there is in a source, by the sample's number."""

    def __init__(self, rows: int, losses: Losses) -> None:
        self.usable = np.zeros(rows, bool)
        self.labels = np.zeros(rows, np.int64)
        self.held_out = np.zeros(rows, bool)
        self.sizes: dict[tuple[int, int], int] = {}
        self.grey = True
        self.narrowed = 0
        self.losses = losses
        #: Ranges of the images deeper than 8 bits, of whole numbers and of floats.
        self._ranges: dict[str, list[tuple[float, float, float, float]]] = {"whole": [], "float": []}
        #: Likewise of arrays of numbers that may turn out to be bytes.
        self._numbers: dict[str, list[tuple[float, float, float, float]]] = {"whole": [], "float": []}

    def add(self, number: int, sample: Sample, found: Look) -> None:
        """Notes one image that can be read."""
        assert sample.label is not None
        self.usable[number] = True
        self.labels[number] = sample.label
        self.held_out[number] = sample.held_out
        size = (found.height, found.width)
        self.sizes[size] = self.sizes.get(size, 0) + 1
        self.grey &= found.grey
        self.narrowed += found.narrowed
        if found.ranges is not None:
            ranges = self._numbers if isinstance(sample.content, np.ndarray) else self._ranges
            ranges[found.values].append(found.ranges)

    def shape(self, wanted: Wanted) -> tuple[int, int, int]:
        """Of the decoded images: ``(C, H, W)``."""
        channels = wanted.channels or (1 if self.grey else 3)
        own = next(iter(self.sizes)) if len(self.sizes) == 1 else None
        if wanted.size is not None:
            return (channels, *wanted.size)
        if own is not None and max(own) <= LARGEST_OWN_SIZE:
            return (channels, *own)
        return (channels, LARGEST_OWN_SIZE, LARGEST_OWN_SIZE)

    @property
    def typical_side(self) -> int:
        """Half of the images have a shorter side of at least so many pixels."""
        sides = np.array([min(size) for size in self.sizes])
        counts = np.array(list(self.sizes.values()))
        falling = np.argsort(-sides)
        return int(sides[falling][np.searchsorted(np.cumsum(counts[falling]), counts.sum() / 2)])

    def order(self) -> np.ndarray:
        """Of the usable samples: stratified, those held out last."""
        labels, held_out = self.labels[self.usable], self.held_out[self.usable]
        order = stratified_order(labels + held_out * (labels.max() + 1))
        return np.concatenate([order[~held_out[order]], order[held_out[order]]])

    @property
    def deep(self) -> int:
        """How many images are deeper than 8 bits."""
        return sum(map(len, self._deep().values()))

    @property
    def values(self) -> str:
        """What those hold: ``"whole"`` or ``"float"`` numbers; ``""``: both, or there are none."""
        kinds = [kind for kind, ranges in self._deep().items() if ranges]
        return kinds[0] if len(kinds) == 1 else ""

    def levels(self, source: Source, wanted: Wanted) -> Levels | None:
        """Which values become 0 and 255 in images deeper than 8 bits; None where there are none.

        Raises:
            TaskError: these are not wanted, are floats beside whole numbers, or have all one value.
        """
        deep = self._deep()
        ranges = [each for kind in deep.values() for each in kind]
        if not ranges:
            return None
        if wanted.levels == ():
            refuse_deep(source.name, len(ranges))
        if wanted.levels:
            return wanted.levels[0], wanted.levels[1]
        if deep["whole"] and deep["float"]:
            raise TaskError(
                f"{len(deep['whole'])} images in {source.name} hold whole numbers beyond 8 bits and "
                f"{len(deep['float'])} floats, whose values may not mean the same; save all in one way, "
                "or say which values are black and white in all of them: levels"
            )
        return widest(ranges, source.name)

    def check(self, source: Source, wanted: Wanted) -> None:
        """Refuses data that nothing can be learnt from.

        Raises:
            TaskError: as :func:`check`.
        """
        check(source, wanted, self.labels[self.usable], self.losses)

    def _deep(self) -> dict[str, list[tuple[float, float, float, float]]]:
        """Numbers in arrays are bytes where all lie in 0 to 255, unless they are floats of which none is above 1."""
        everything = [each for kind in self._numbers.values() for each in kind]
        if not everything:
            return self._ranges
        least, greatest = min(each[2] for each in everything), max(each[3] for each in everything)
        fractions = bool(self._numbers["float"]) and greatest <= 1
        if least >= 0 and greatest <= 255 and not fractions:
            return self._ranges
        return {kind: [*self._ranges[kind], *self._numbers[kind]] for kind in self._ranges}


def check(source: Source, wanted: Wanted, labels: np.ndarray, losses: Losses) -> None:
    """Refuses data that nothing can be learnt from.

    Args:
        source: the data.
        wanted: says how much may be lost.
        labels: of the images that are read.
        losses: of those that are not.

    Raises:
        TaskError: too much is lost, or fewer than two classes are there.
    """
    there, numbers = np.unique(labels, return_counts=True)
    counts = {source.classes[label]: number for label, number in zip(there, numbers.tolist(), strict=True)}
    losses.check_share(source.name, len(labels), wanted.max_unreadable, counts)
    if not len(labels):
        raise TaskError(f"{source.name} holds no images")
    losses.check_classes(source.name, counts)
    if len(there) < 2:
        raise TaskError(
            f"all {len(labels)} images in {source.name} are of one class ({source.classes[there[0]]!r}); "
            "a classifier needs images of at least two"
        )


def survey_of(source: Source, losses: Losses) -> Survey:
    """Looks at all samples of a source."""
    survey = Survey(source.size, losses)

    def one(sample: Sample) -> tuple[Sample, Look | str]:
        if sample.label is None:
            return sample, "no label that is a class"
        if sample.content is None:
            return sample, "no image"
        try:
            return sample, look(sample.content)
        except Unreadable as error:
            return sample, str(error)

    with bar(f"looking at {source.name}", source.size) as advance:
        for number, (sample, found) in enumerate(on_all_cores(one, source.samples(), advance)):
            if isinstance(found, str):
                label = None if sample.label is None else source.classes[sample.label]
                survey.losses.add(f"{sample.name} ({found})", label)
            else:
                survey.add(number, sample, found)
    return survey


def on_all_cores(function: Callable[[In], Out], items: Iterable[In], advance: Callable[[int], None]) -> Iterator[Out]:
    """The results in the items' order, a bounded number of items under way (Pillow lets other threads run)."""

    def block(part: list[In]) -> list[Out]:
        return [function(item) for item in part]

    iterator = iter(items)
    workers = available_cpus()
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[list[Out]]] = deque()
        try:
            while True:
                while len(under_way) < 2 * workers and (part := list(islice(iterator, _BLOCK))):
                    under_way.append(pool.submit(block, part))
                if not under_way:
                    return
                results = under_way.popleft().result()
                advance(len(results))
                yield from results
        finally:
            for future in under_way:
                future.cancel()
