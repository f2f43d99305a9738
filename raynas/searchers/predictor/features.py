"""Three distances between architectures, from which a predictor learns. Each is about 0 to 1.

- **holes**: the share of holes that differ (``hole_distances``), with equal or learned weights.
- **walks**: one minus the cosine of the counts of label walks of one to three operations in the outline of the network
  (``outline``), as in walk kernels: Gaertner, Flach, Wrobel 2003, "On graph kernels".
- **statistics**: the squared Euclidean distance between standardised figures of the outline: the number of operations,
  the number of paths from input to output and their lengths, and how often each label and each of its arguments occurs.
  The distance is squared because ``exp(-distance)`` is then the squared exponential kernel (Rasmussen & Williams 2006,
  section 4.2). Its functions are smooth, so a trend such as "more convolutions are better" continues beyond what was
  observed.

Everything is fixed by the space alone (vocabularies and scales come from a few hundred samples with a fixed seed), so a
feature never depends on what a process has seen before.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from raynas.searchers.predictor.hole_distances import HoleDistances, HolePoints, Row
from raynas.searchers.predictor.outline import Outline
from raynas.searchers.predictor.segments import Composed, Figure, Segment, Segments, Walk
from raynas.space import Architecture, Space

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
    """Features of n architectures, one row for each."""

    holes: HolePoints
    walks: Array
    statistics: Array

    def __len__(self) -> int:
        return len(self.holes)


class Features:
    """The features of a space's architectures. It holds only caches.

    Attributes:
        outline: the outline of the space.
        holes: distances by holes.
        common: the weight of every hole when all have equal weights.
        structured: whether networks differ in structure; if not, there are only distances by holes.
    """

    def __init__(self, space: Space) -> None:
        self.holes = HoleDistances(space)
        self.outline = Outline(space)
        self._segments = Segments(self.outline, self.holes)
        self._known: dict[Architecture, tuple[Row, Array, Array]] = {}
        rng = random.Random("features")
        samples = [space.sample(rng) for _ in range(_SAMPLES)]
        rows = [self.holes.row(sample) for sample in samples]
        self._vocabulary: dict[Walk, int] = {}
        self._figures: dict[Figure, int] = {}
        self._learn(samples, self.holes.points(rows))
        one, other = (self.holes.points(rows[at::2]) for at in (0, 1))
        (distances,) = self.holes.weighted(one, other, np.ones(self.holes.count))
        self.common = _MEAN / (float(distances.mean()) or 1.0)

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
        new = list(dict.fromkeys(it for it in architectures if it not in self._known))
        if new:
            self._read(new)
        rows = [self._known[architecture] for architecture in architectures]
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
            found["statistics"] = _squared(a.statistics, b.statistics) / max(4 * a.statistics.shape[1], 1)
        return found

    def _read(self, architectures: Sequence[Architecture]) -> None:
        rows = [self.holes.row(architecture) for architecture in architectures]
        walks = statistics = np.zeros((len(rows), 0))
        if self.structured:
            composed, segments = self._segments.composed(architectures, self.holes.points(rows))
            walks = self._walks(composed)
            statistics = (self._statistics(composed, segments)[:, self._kept] - self._centre) / self._spread
        self._known.update(zip(architectures, zip(rows, walks, statistics, strict=True), strict=True))

    def _learn(self, samples: Sequence[Architecture], points: HolePoints) -> None:
        """Vocabularies and scales, from samples."""
        self._segments.fold(samples, points)
        composed, segments = self._segments.composed(samples, points)
        often = (composed.counts > 0).sum(axis=0)
        counts = {walk: int(often[column]) for walk, column in composed.walks.items() if often[column]}
        common = sorted(counts, key=lambda walk: (-counts[walk], walk))[:_WALKS]
        self._vocabulary = {walk: column for column, walk in enumerate(sorted(common))}
        self._own_walks = len(common)  # the vocabulary grows: walks that share a column are remembered there
        reached = np.flatnonzero(composed.occurrences().any(axis=0)).tolist()
        names = {name for place in reached for name in segments[place].figures}
        names |= composed.figures.keys()
        self._figures = {name: column for column, name in enumerate(sorted(names, key=repr))}
        table = self._statistics(composed, segments)
        spread = table.std(axis=0)
        standard = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        kept: list[int] = []
        for column in np.flatnonzero(spread > 1e-9):  # a figure that says the same as an earlier one counts once
            if (np.abs(standard[:, column] @ standard[:, kept]) < 0.999 * len(table)).all():
                kept.append(int(column))
        self._kept = np.array(kept, dtype=np.intp)
        self._centre, self._spread = table.mean(axis=0)[self._kept], spread[self._kept]
        self.structured = bool(kept) or len(np.unique(composed.counts, axis=0)) > 1

    def _walks(self, composed: Composed) -> Array:
        """One row a network, of length 1: logarithms of counts, of rare walks in columns that they share."""
        columns = np.array([self._column(walk) for walk in composed.walks], np.intp)
        order = np.argsort(columns, kind="stable")
        found, starts = np.unique(columns[order], return_index=True)
        table = np.zeros((len(composed.counts), self._own_walks + _SHARED))
        table[:, found] = np.add.reduceat(composed.counts[:, order], starts, axis=1)
        logs = np.log1p(table)
        lengths = np.sqrt((logs * logs).sum(axis=1))
        return logs / np.where(lengths > 0, lengths, 1.0)[:, None]

    def _column(self, walk: Walk) -> int:
        column = self._vocabulary.get(walk)
        if column is None:
            digest = hashlib.sha256(" > ".join(walk).encode()).digest()
            column = self._vocabulary[walk] = self._own_walks + digest[0] % _SHARED
        return column

    def _statistics(self, composed: Composed, segments: Sequence[Segment]) -> Array:
        by_segment = np.zeros((len(segments), len(self._figures)))
        for row, segment in zip(by_segment, segments, strict=True):
            for name, value in segment.figures.items():
                if name in self._figures:
                    row[self._figures[name]] = value
        table = composed.occurrences() @ by_segment
        for name, values in composed.figures.items():
            table[:, self._figures[name]] = values
        return table


_FEATURES: WeakKeyDictionary[Space, Features] = WeakKeyDictionary()


def _squared(a: Array, b: Array) -> Array:
    return np.maximum((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * a @ b.T, 0.0)
