"""How far apart architectures are, in three ways; what a predictor learns over. Each distance is about 0 to 1.

- **holes**: the share of holes that differ. Numbers differ by how far they lie apart (of their logarithms, if the hole
  is logarithmic); a hole that is not active has a value of its own, so that a missing block is unlike any block.
- **walks**: one minus the cosine of the counts of label walks of one to three operations in the network's outline
  (``raynas.searchers.outline``), as in walk kernels: Gaertner, Flach, Wrobel 2003, "On graph kernels".
- **statistics**: Euclidean distance of figures of the outline, each standardised: how many operations, how many paths
  from input to output and how long they are, how often each label and each of its arguments occurs.

All is fixed by the space alone (vocabularies and scales come from a few hundred samples with a fixed seed), so a
feature never depends on what a process has seen before.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from raynas.searchers.outline import IN, OUT, LabelledGraph, Outline
from raynas.space import Architecture, Choice, Float, Int, Space
from raynas.space.nodes import Hole
from raynas.space.operators import MANY
from raynas.space.values import exact

Array = NDArray[np.float64]

#: Samples from which vocabularies and scales come.
_SAMPLES = 300
#: Walks with a column of their own, and columns that all the others share.
_WALKS, _SHARED = 512, 64
#: The mean distance by holes of two random architectures: what it is where holes have four options.
_MEAN = 0.75
#: Architectures whose features are remembered.
_REMEMBERED = 50_000


@dataclass(frozen=True)
class Points:
    """Features of n architectures: one row each."""

    holes: Array
    numbers: Array
    walks: Array
    statistics: Array

    def __len__(self) -> int:
        return len(self.holes)

    def rows(self, chosen: Sequence[int]) -> Points:
        """Some of them."""
        index = np.asarray(chosen, dtype=np.intp)
        return Points(self.holes[index], self.numbers[index], self.walks[index], self.statistics[index])


class Features:
    """The features of a space's architectures. Holds nothing but caches.

    Attributes:
        structured: whether networks differ in structure: without that there are distances by holes alone.
    """

    def __init__(self, space: Space) -> None:
        self._columns = _HoleColumns(space)
        self._outline = Outline(space)
        self._known: dict[Architecture, tuple[Array, Array, Array, Array]] = {}
        rng = random.Random("features")
        samples = [space.sample(rng) for _ in range(_SAMPLES)]
        graphs = [self._outline.graph(sample) for sample in samples]
        self.structured = len({_texture(graph) for graph in graphs}) > 1
        self._vocabulary: dict[str, int] = {}
        self._figures: dict[str, int] = {}
        if self.structured:
            self._learn(graphs)
        rows = [self._columns.row(sample) for sample in samples]
        first, second = rows[: _SAMPLES // 2], rows[_SAMPLES // 2 :]
        apart = [
            float(self._columns.distances(a[0][None], a[1][None], b[0][None], b[1][None])[0, 0])
            for a, b in zip(first, second, strict=True)
        ]
        self._scale = _MEAN / (sum(apart) / len(apart) or 1.0)

    @classmethod
    def of(cls, space: Space) -> Features:
        """The features of a space, made once a process."""
        known = _FEATURES.get(space)
        if known is None:
            known = _FEATURES[space] = cls(space)
        return known

    def points(self, architectures: Sequence[Architecture]) -> Points:
        """The features of architectures of the space."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        rows = [self._row(architecture) for architecture in architectures]
        stacked = [np.array([row[part] for row in rows]) for part in range(4)]
        return Points(*stacked)

    def distances(self, a: Points, b: Points) -> dict[str, Array]:
        """Matrices of shape ``(len(a), len(b))``: "holes", and for a space of structures "walks" and "statistics"."""
        found = {"holes": self._scale * self._columns.distances(a.holes, a.numbers, b.holes, b.numbers)}
        if self.structured:
            found["walks"] = np.maximum(1.0 - a.walks @ b.walks.T, 0.0)
            found["statistics"] = _euclidean(a.statistics, b.statistics) / (2 * math.sqrt(a.statistics.shape[1]))
        return found

    def _row(self, architecture: Architecture) -> tuple[Array, Array, Array, Array]:
        known = self._known.get(architecture)
        if known is None:
            categories, numbers = self._columns.row(architecture)
            walks, statistics = np.zeros(0), np.zeros(0)
            if self.structured:
                graph = self._outline.graph(architecture)
                walks, statistics = self._walks(graph), (self._statistics(graph) - self._centre) / self._spread
            known = self._known[architecture] = (categories, numbers, walks, statistics)
        return known

    def _learn(self, graphs: Sequence[LabelledGraph]) -> None:
        counts: Counter[str] = Counter()
        names: set[str] = set()
        for graph in graphs:
            counts.update(walk_counts(graph).keys())
            names |= figures(graph).keys()
        common = sorted(counts, key=lambda walk: (-counts[walk], walk))[:_WALKS]
        self._vocabulary = {walk: column for column, walk in enumerate(sorted(common))}
        self._figures = {name: column for column, name in enumerate(sorted(names))}
        self._kept = np.arange(len(names))
        table = np.array([self._statistics(graph) for graph in graphs])
        spread = table.std(axis=0)
        standard = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        kept: list[int] = []
        for column in np.flatnonzero(spread > 1e-9):  # a figure that says the same as an earlier one counts once
            if all(abs(float(standard[:, column] @ standard[:, other])) < 0.999 * len(table) for other in kept):
                kept.append(int(column))
        self._kept = np.array(kept, dtype=np.intp)
        self._centre, self._spread = table.mean(axis=0)[self._kept], spread[self._kept]

    def _walks(self, graph: LabelledGraph) -> Array:
        row = np.zeros(len(self._vocabulary) + _SHARED)
        for walk, count in walk_counts(graph).items():
            column = self._vocabulary.get(walk)
            if column is None:
                digest = hashlib.sha256(walk.encode()).digest()
                column = len(self._vocabulary) + digest[0] % _SHARED
            row[column] += count
        row = np.log1p(row)
        return row / (math.sqrt(float(row @ row)) or 1.0)

    def _statistics(self, graph: LabelledGraph) -> Array:
        row = np.zeros(len(self._figures))
        for name, value in figures(graph).items():
            column = self._figures.get(name)
            if column is not None:
                row[column] = value
        return row[self._kept]


_FEATURES: WeakKeyDictionary[Space, Features] = WeakKeyDictionary()


# -- holes ---------------------------------------------------------------------------------------------------------


class _HoleColumns:
    """Holes as columns: a choice as a column an option (0 or 1), a number as its place in its range (NaN: inactive)."""

    def __init__(self, space: Space) -> None:
        self._codes: dict[str, dict[Any, int]] = {}
        self._numbers: dict[str, tuple[Hole, int]] = {}
        self._width = 0
        shares: list[float] = []  # per number: how much of its distance is by being equal or not
        for path, hole in space.holes():
            places = _places(hole)
            if places is None or hole.size <= MANY:
                codes = self._codes[path] = {None: self._width}
                for value in map(hole.at, range(int(hole.size))):
                    codes[exact(value)] = self._width + len(codes)
                self._width += len(codes)
            if places is not None:
                self._numbers[path] = (hole, len(shares))
                shares.append(0.5 if hole.size <= MANY else 0.0)
        self._ordered = 1.0 - np.array(shares)
        weights = np.ones(self._width)
        for path, codes in self._codes.items():
            if path in self._numbers:
                for column in codes.values():
                    weights[column] = 0.5
        self._weights = weights
        self._whole = sum(0.5 if path in self._numbers else 1.0 for path in self._codes)

    def row(self, architecture: Architecture) -> tuple[Array, Array]:
        categories = np.zeros(self._width)
        for path, codes in self._codes.items():
            key = exact(architecture[path]) if path in architecture else None
            categories[codes[key]] = 1.0
        numbers = np.full(len(self._numbers), np.nan)
        for path, (hole, column) in self._numbers.items():
            if path in architecture:
                numbers[column] = _place(hole, architecture[path])
        return categories, numbers

    def distances(self, a: Array, a_numbers: Array, b: Array, b_numbers: Array) -> Array:
        total = self._whole - (a * self._weights) @ b.T
        for column, weight in enumerate(self._ordered):
            one, other = a_numbers[:, column, None], b_numbers[None, :, column]
            apart = 2.0 * np.abs(
                one - other
            )  # inactive lies at 1 from every number, which random ones have in the mean
            missing = np.isnan(one).astype(float) + np.isnan(other)
            total = total + weight * np.where(missing == 0, apart, missing % 2)
        return total


def _places(hole: Hole) -> Sequence[Any] | None:
    """The values of a hole in their order; None if they have none. (Options 0, 1, 2, … are taken for mere codes.)"""
    if isinstance(hole, (Int, Float)):
        return () if hole.size > 1 else None
    assert isinstance(hole, Choice)
    numbers = all(type(option) in (int, float) for option in hole.options)
    if not numbers or len(hole.options) < 3 or list(hole.options) == list(range(len(hole.options))):
        return None
    return sorted(hole.options)


def _place(hole: Hole, value: Any) -> float:
    """Where a value lies in its hole's range, from 0 to 1."""
    if isinstance(hole, Choice):
        order = sorted(hole.options)
        return order.index(value) / (len(order) - 1)
    assert isinstance(hole, (Int, Float))
    if hole.log:
        return (math.log(value) - math.log(hole.low)) / (math.log(hole.high) - math.log(hole.low))
    return (value - hole.low) / (hole.high - hole.low)


# -- structure -----------------------------------------------------------------------------------------------------


def walk_counts(graph: LabelledGraph) -> dict[str, int]:
    """How often each walk of one to three labels occurs, both ends of the network included."""
    labels = [*graph.labels, OUT]
    counts: Counter[str] = Counter()
    for node, sources in enumerate(graph.sources):
        counts[labels[node]] += 1
        for source, times in sources.items():
            before = IN if source < 0 else labels[source]
            counts[f"{before} > {labels[node]}"] += times
            if source >= 0:
                for first, more in graph.sources[source].items():
                    start = IN if first < 0 else labels[first]
                    counts[f"{start} > {before} > {labels[node]}"] += times * more
    return dict(counts)


def figures(graph: LabelledGraph) -> dict[str, float]:
    """The statistics of a graph by name."""
    count, longest, shortest, length = [1.0], [0.0], [0.0], [0.0]  # of paths from the input; at index 0, the input
    for sources in graph.sources:
        known = [(source + 1, times) for source, times in sources.items()]
        paths = sum(count[source] * times for source, times in known)
        count.append(paths)
        longest.append(1 + max((longest[source] for source, _ in known), default=-1))
        shortest.append(1 + min((shortest[source] for source, _ in known), default=-1))
        total = sum(count[source] * times * (length[source] + 1) for source, times in known)
        length.append(total / paths if paths else 0.0)
    found = {
        "operations": float(len(graph.labels)),
        "log paths": math.log1p(count[-1]),
        "longest": longest[-1],
        "shortest": shortest[-1],
        "mean": length[-1],
        "connected": float(count[-1] > 0),
    }
    for label, arguments in zip(graph.labels, graph.arguments, strict=True):
        found[f"count {label}"] = found.get(f"count {label}", 0.0) + 1
        for name, value in arguments.items():
            if type(value) in (int, float):
                key, amount = f"sum {label} {name}", float(value)
            else:
                key, amount = f"count {label} {name}={value!r}", 1.0
            found[key] = found.get(key, 0.0) + amount
    return found


def _texture(graph: LabelledGraph) -> tuple[Any, ...]:
    arguments = [tuple(sorted((name, repr(value)) for name, value in given.items())) for given in graph.arguments]
    return graph.labels, tuple(arguments), tuple(tuple(sorted(sources.items())) for sources in graph.sources)


def _euclidean(a: Array, b: Array) -> Array:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0))
