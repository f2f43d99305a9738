"""Decodes a source into the cache: a look at every header first, then every image once, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from raynas.bars import bar
from raynas.errors import TaskError
from raynas.resources import available_cpus
from raynas.tasks.images.cache import About, Builder
from raynas.tasks.images.decode import Fit, Look, Unreadable, decode, look
from raynas.tasks.images.order import stratified_order
from raynas.tasks.images.source import Sample, Source

#: Images all of one size are kept so up to this many pixels a side; all others are made so large.
LARGEST_OWN_SIZE = 64
_EXAMPLES = 5
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
    """

    size: tuple[int, int] | None
    fit: Fit
    channels: int | None
    max_unreadable: float


def build(path: Path, source: Source, wanted: Wanted) -> None:
    """Makes the cache file of a source.

    Raises:
        TaskError: too many images are unreadable, there are none, or they are all of one class.
    """
    survey = _survey(source)
    survey.check(source, wanted)
    shape = survey.shape(wanted)
    order = survey.order()
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    labels = survey.labels[survey.usable][order]
    held_out = survey.held_out[survey.usable][order]

    builder = Builder(path, len(order), shape)
    try:
        broken = np.zeros(len(order), bool)
        place_of = np.full(len(survey.usable), -1)
        place_of[survey.usable] = places

        def one(numbered: tuple[int, Sample]) -> str | None:
            number, sample = numbered
            place = place_of[number]
            if place < 0:
                return None
            assert sample.content is not None
            try:
                builder.images[place] = decode(sample.content, shape, wanted.fit)
            except Unreadable as error:
                broken[place] = True
                return f"{sample.name} ({error})"
            return None

        with bar(f"decoding {source.name}", source.size) as advance:
            for problem in _on_all_cores(one, enumerate(source.samples()), advance):
                if problem is not None:
                    survey.problem(problem)
        kept = np.flatnonzero(~broken)
        survey.check(source, wanted, labels[kept])
        counts = np.bincount(labels[kept], minlength=len(source.classes))
        other = [size for size in survey.sizes if size != shape[1:]]
        extremes = sorted(survey.sizes, key=lambda size: (size[0] * size[1], size))
        about = About(
            shape=shape,
            classes=source.classes,
            counts=tuple(counts.tolist()),
            held_out=int(held_out[kept].sum()),
            fitted=sum(survey.sizes[size] for size in other),
            sizes=(extremes[0], extremes[-1]),
            unreadable=survey.unreadable,
            examples=tuple(survey.examples),
            mean=(),
            std=(),
            source=source.name,
        )
        builder.finish(kept, labels, about)
    finally:
        builder.close()


class _Survey:
    """State: what the headers say, by the sample's number."""

    def __init__(self, rows: int) -> None:
        self.usable = np.zeros(rows, bool)
        self.labels = np.zeros(rows, np.int64)
        self.held_out = np.zeros(rows, bool)
        self.sizes: dict[tuple[int, int], int] = {}
        self.grey = True
        self.unreadable = 0
        self.examples: list[str] = []

    def problem(self, words: str) -> None:
        self.unreadable += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(words)

    def shape(self, wanted: Wanted) -> tuple[int, int, int]:
        channels = wanted.channels or (1 if self.grey else 3)
        own = next(iter(self.sizes)) if len(self.sizes) == 1 else None
        if wanted.size is not None:
            return (channels, *wanted.size)
        if own is not None and max(own) <= LARGEST_OWN_SIZE:
            return (channels, *own)
        return (channels, LARGEST_OWN_SIZE, LARGEST_OWN_SIZE)

    def order(self) -> np.ndarray:
        """Of the usable samples: stratified, those held out last."""
        labels, held_out = self.labels[self.usable], self.held_out[self.usable]
        order = stratified_order(labels + held_out * (labels.max() + 1))
        return np.concatenate([order[~held_out[order]], order[held_out[order]]])

    def check(self, source: Source, wanted: Wanted, labels: np.ndarray | None = None) -> None:
        """Refuses data that nothing can be learnt from.

        Raises:
            TaskError: too much of it is unreadable, or fewer than two classes are there.
        """
        labels = self.labels[self.usable] if labels is None else labels
        everything = len(labels) + self.unreadable
        if not everything:
            raise TaskError(f"{source.name} holds no images")
        share = self.unreadable / everything
        if share > wanted.max_unreadable:
            more = ", …" if self.unreadable > len(self.examples) else ""
            raise TaskError(
                f"{self.unreadable} of {everything} images in {source.name} cannot be read ({share:.1%}, more than the "
                f"{wanted.max_unreadable:.1%} that may be skipped): {', '.join(self.examples)}{more}; "
                "mend or remove them, or allow more with max_unreadable"
            )
        there = np.unique(labels)
        if len(there) < 2:
            only = f"{source.classes[there[0]]!r}" if len(there) else "none"
            raise TaskError(
                f"all {len(labels)} images in {source.name} are of one class ({only}); "
                "a classifier needs images of at least two"
            )


def _survey(source: Source) -> _Survey:
    survey = _Survey(source.size)

    def one(sample: Sample) -> tuple[Sample, Look | str]:
        if sample.label is None:
            return sample, "no label that is a class"
        if sample.content is None:
            return sample, "no image"
        try:
            return sample, look(sample.content)
        except Unreadable as error:
            return sample, str(error)

    number = 0
    with bar(f"looking at {source.name}", source.size) as advance:
        for number, (sample, found) in enumerate(_on_all_cores(one, source.samples(), advance)):
            if isinstance(found, str):
                survey.problem(f"{sample.name} ({found})")
                continue
            assert sample.label is not None
            survey.usable[number] = True
            survey.labels[number] = sample.label
            survey.held_out[number] = sample.held_out
            size = (found.height, found.width)
            survey.sizes[size] = survey.sizes.get(size, 0) + 1
            survey.grey &= found.grey
    return survey


def _on_all_cores(function: Callable[[In], Out], items: Iterable[In], advance: Callable[[int], None]) -> Iterator[Out]:
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
