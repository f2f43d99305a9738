"""How far apart architectures are, in three ways; what a predictor learns over. Each distance is about 0 to 1.

- **holes**: the share of holes that differ (``raynas.searchers.hole_distances``); all alike, or by learned weights.
- **walks**: one minus the cosine of the counts of label walks of one to three operations in the network's outline
  (``raynas.searchers.outline``), as in walk kernels: Gaertner, Flach, Wrobel 2003, "On graph kernels".
- **statistics**: squared Euclidean distance of figures of the outline, each standardised: how many operations, how many
  paths from input to output and how long they are, how often each label and each of its arguments occurs. Squared,
  since ``exp(-distance)`` is then the squared exponential kernel (Rasmussen & Williams 2006, section 4.2), whose
  functions are smooth: a trend such as "more convolutions are better" goes on beyond what was observed.

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

from raynas.searchers.hole_distances import HoleDistances, HolePoints, Row
from raynas.searchers.outline import IN, OUT, LabelledGraph, Operation, Outline
from raynas.space import Architecture, Space
from raynas.space.values import exact

Array = NDArray[np.float64]

#: Labels in a row, and what a figure is of.
Walk = tuple[str, ...]
Figure = tuple[Any, ...]
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

    holes: HolePoints
    walks: Array
    statistics: Array

    def __len__(self) -> int:
        return len(self.holes)


class Features:
    """The features of a space's architectures. Holds nothing but caches.

    Attributes:
        outline: of the space.
        holes: distances by holes.
        common: the weight of every hole where they are all alike.
        structured: whether networks differ in structure: without that there are distances by holes alone.
    """

    def __init__(self, space: Space) -> None:
        self.holes = HoleDistances(space)
        self.outline = Outline(space)
        self._known: dict[Architecture, tuple[Row, Array, Array]] = {}
        rng = random.Random("features")
        samples = [space.sample(rng) for _ in range(_SAMPLES)]
        graphs = [self.outline.graph(sample) for sample in samples]
        self.structured = len({_texture(graph) for graph in graphs}) > 1
        self._vocabulary: dict[Walk, int] = {}
        self._figures: dict[Figure, int] = {}
        self._of_operation: dict[Operation, list[tuple[int, float]]] = {}
        if self.structured:
            self._learn(graphs)
        one, other = (self.holes.points([self.holes.row(sample) for sample in samples[at::2]]) for at in (0, 1))
        (apart,) = self.holes.weighted(one, other, np.ones(self.holes.count))
        self.common = _MEAN / (float(apart.mean()) or 1.0)

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
        walks, statistics = (np.array([row[part] for row in rows]) for part in (1, 2))
        return Points(self.holes.points([row[0] for row in rows]), walks, statistics)

    def distances(self, a: Points, b: Points, weights: Array | None = None) -> dict[str, Array]:
        """Matrices of shape ``(len(a), len(b))``.

        They are called "holes", "weighted holes" if there are weights, and for a space of structures "walks" and
        "statistics".
        """
        known = [np.full(self.holes.count, self.common), *([] if weights is None else [weights])]
        by_holes = self.holes.weighted(a.holes, b.holes, *known)
        found = dict(zip(("holes", "weighted holes"), by_holes, strict=False))
        if self.structured:
            found["walks"] = np.maximum(1.0 - a.walks @ b.walks.T, 0.0)
            found["statistics"] = _squared(a.statistics, b.statistics) / (4 * a.statistics.shape[1])
        return found

    def _row(self, architecture: Architecture) -> tuple[Row, Array, Array]:
        known = self._known.get(architecture)
        if known is None:
            walks, statistics = np.zeros(0), np.zeros(0)
            if self.structured:
                graph = self.outline.graph(architecture)
                walks, statistics = self._walks(graph), (self._statistics(graph) - self._centre) / self._spread
            known = self._known[architecture] = (self.holes.row(architecture), walks, statistics)
        return known

    def _learn(self, graphs: Sequence[LabelledGraph]) -> None:
        counts: Counter[Walk] = Counter()
        names: set[Figure] = set()
        for graph in graphs:
            counts.update(walk_counts(graph).keys())
            names |= path_figures(graph).keys()
            for operation in graph.operations:
                names |= own_figures(operation).keys()
        common = sorted(counts, key=lambda walk: (-counts[walk], walk))[:_WALKS]
        self._vocabulary = {walk: column for column, walk in enumerate(sorted(common))}
        self._own_walks = len(common)  # the vocabulary grows: walks that share a column are remembered there
        self._figures = {name: column for column, name in enumerate(sorted(names, key=repr))}
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
        row = [0] * (self._own_walks + _SHARED)
        for walk, count in walk_counts(graph).items():
            column = self._vocabulary.get(walk)
            if column is None:
                digest = hashlib.sha256(" > ".join(walk).encode()).digest()
                column = self._vocabulary[walk] = self._own_walks + digest[0] % _SHARED
            row[column] += count
        logs = np.log1p(np.array(row, dtype=float))
        return logs / (math.sqrt(float(logs @ logs)) or 1.0)

    def _statistics(self, graph: LabelledGraph) -> Array:
        row = [0.0] * len(self._figures)
        for name, value in path_figures(graph).items():
            row[self._figures[name]] = value
        for operation in graph.operations:
            for column, value in self._added(operation):
                row[column] += value
        return np.array(row)[self._kept]

    def _added(self, operation: Operation) -> list[tuple[int, float]]:
        """What an operation adds to the figures, by column."""
        known = self._of_operation.get(operation)
        if known is None:
            if len(self._of_operation) > _REMEMBERED:
                self._of_operation.clear()
            own = own_figures(operation).items()
            known = [(self._figures[name], value) for name, value in own if name in self._figures]
            self._of_operation[operation] = known
        return known


_FEATURES: WeakKeyDictionary[Space, Features] = WeakKeyDictionary()


def walk_counts(graph: LabelledGraph) -> dict[Walk, int]:
    """How often each walk of one to three labels occurs, both ends of the network included."""
    labels = [*graph.labels, OUT, IN]  # the input is number -1
    counts: dict[Walk, int] = {}
    for node, sources in enumerate(graph.sources):
        last = labels[node]
        counts[(last,)] = counts.get((last,), 0) + 1
        for source, times in sources.items():
            middle = labels[source]
            walk: Walk = (middle, last)
            counts[walk] = counts.get(walk, 0) + times
            if source >= 0:
                for first, more in graph.sources[source].items():
                    walk = (labels[first], middle, last)
                    counts[walk] = counts.get(walk, 0) + times * more
    return counts


def path_figures(graph: LabelledGraph) -> dict[Figure, float]:
    """The statistics of a graph as a whole."""
    count, longest, shortest, length = [1.0], [0.0], [0.0], [0.0]  # of paths from the input; at index 0, the input
    for sources in graph.sources:
        paths, far, near, total = 0.0, -1.0, math.inf, 0.0
        for source, times in sources.items():
            ways = count[source + 1] * times
            paths += ways
            far = max(far, longest[source + 1])
            near = min(near, shortest[source + 1])
            total += ways * (length[source + 1] + 1)
        count.append(paths)
        longest.append(far + 1)
        shortest.append(near + 1 if paths else 0.0)
        length.append(total / paths if paths else 0.0)
    return {
        ("operations",): float(len(graph.operations)),
        ("log paths",): math.log1p(count[-1]),
        ("longest",): longest[-1],
        ("shortest",): shortest[-1],
        ("mean",): length[-1],
        ("connected",): float(count[-1] > 0),
    }


def own_figures(operation: Operation) -> dict[Figure, float]:
    """What one operation adds to the figures: by label, and by (label, argument) or (label, argument, value)."""
    found: dict[Figure, float] = {(operation.label, "count"): 1.0}
    for name, value in operation.arguments.items():
        if type(value) in (int, float):
            found[(operation.label, name)] = float(value)
        else:
            found[(operation.label, name, exact(value))] = 1.0
    return found


def _texture(graph: LabelledGraph) -> tuple[Any, ...]:
    arguments = [tuple(sorted((name, repr(value)) for name, value in it.arguments.items())) for it in graph.operations]
    return (*graph.labels, *arguments, *(tuple(sorted(sources.items())) for sources in graph.sources))


def _squared(a: Array, b: Array) -> Array:
    return np.maximum((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * a @ b.T, 0.0)
