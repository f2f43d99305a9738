"""What walks and paths need to know about one part of a network, and how the parts of a long chain are summed up.

A walk of up to three labels ends in some part of a chain. How many walks end in a part depends only on the part itself
and on what arrives there: the labels of the operations that are summed up in its input, and the pairs of labels that
end there. So the walks of many networks are counted part by part, in one pass over the chain for all of them together.
The work grows with the length of the chain, and not with the number of walks in it (which is cubic in a chain of
residual blocks).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.searchers.predictor.hole_distances import HoleDistances, HolePoints
from raynas.searchers.predictor.outline import IDENTITY, IN, OUT, LabelledGraph, Leaf, Operation, Outline, Value
from raynas.space import Architecture
from raynas.space.template.values import exact

Array = NDArray[np.float64]

#: Labels in a row, and what a figure is of.
Walk = tuple[str, ...]
Figure = tuple[Any, ...]
#: Counts beyond this are this (a sum of itself doubles what passes through it).
_MOST = 1e100


@dataclass(frozen=True, eq=False)
class Segment:
    """One part of a network, from its one input to its one output.

    Attributes:
        inside: how often each walk of one to three labels lies within it.
        first: the labels of operations that read its input, and how often; first2: the pairs that begin there.
        last: the labels of operations that its output reads; last2: the pairs that end there.
        single: the labels of operations that do both.
        through: how often the output reads the input itself.
        operations: how many; figures: what they add to the statistics (``own_figures``).
        paths: how many lead from input to output (at most 1e100), with their logarithm; longest, shortest, mean: of
            their lengths. If there is no path, nothing arrives behind this part.
    """

    inside: dict[Walk, int]
    first: dict[Walk, int]
    first2: dict[Walk, int]
    last: dict[Walk, int]
    last2: dict[Walk, int]
    single: dict[Walk, int]
    through: int
    operations: int
    figures: dict[Figure, float]
    paths: float
    log_paths: float
    longest: float
    shortest: float
    mean: float

    @classmethod
    def of(cls, graph: LabelledGraph, label: Callable[[str], str] = str) -> Segment:
        """Reads a graph; ``label`` gives the labels of walks."""
        labels = [label(it) for it in graph.labels]
        inside, first, first2 = Counter[Walk](), Counter[Walk](), Counter[Walk]()
        reads: list[Counter[Walk]] = []  # of each operation, and of the output: the labels that it reads
        ends, last2, single = Counter[Walk](), Counter[Walk](), Counter[Walk]()
        for node, sources in enumerate(graph.sources):
            reading, ends, begun = Counter[Walk](), Counter[Walk](), Counter[Walk]()
            for source, times in sources.items():
                if source >= 0:
                    middle = (labels[source],)
                    reading[middle] += times
                    for before, count in reads[source].items():
                        ends[before + middle] += times * count
                    if direct := graph.sources[source].get(-1, 0):
                        begun[middle] += times * direct
            reads.append(reading)
            if node == len(labels):
                last2, single = ends, begun
                break
            own = (labels[node],)
            inside[own] += 1
            for walks in (reading, ends):
                for walk, count in walks.items():
                    inside[walk + own] += count
            if direct := sources.get(-1, 0):
                first[own] += direct
            for walk, count in begun.items():
                first2[walk + own] += count
        figures: Counter[Figure] = Counter()
        for operation in graph.operations:
            figures.update(own_figures(operation))
        through = graph.sources[-1].get(-1, 0)
        counted = (inside, first, first2, reads[-1], last2, single)
        return cls(*map(dict, counted), through, len(labels), dict(figures), *_lengths(graph.sources))  # type: ignore


def _lengths(sources: Sequence[Value]) -> tuple[float, float, float, float, float]:
    """Of the paths from input to output: how many, the logarithm, the longest, the shortest and the mean length."""
    count, total, longest, shortest = [1], [0], [0], [0]  # at index 0, the input; whole numbers: they may be huge
    for read in sources:
        known = [(source + 1, times) for source, times in read.items() if count[source + 1]]
        count.append(sum(count[source] * times for source, times in known))
        total.append(sum((total[source] + count[source]) * times for source, times in known))
        longest.append(max((longest[source] + 1 for source, _ in known), default=0))
        shortest.append(min((shortest[source] + 1 for source, _ in known), default=0))
    if not count[-1]:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    # The output is no operation, so a path through none has length 0.
    mean = total[-1] / count[-1] - 1
    return float(min(count[-1], int(_MOST))), math.log(count[-1]), longest[-1] - 1.0, shortest[-1] - 1.0, mean


def own_figures(operation: Operation) -> dict[Figure, float]:
    """What one operation adds to the figures: by label, and by (label, argument) or (label, argument, value)."""
    found: dict[Figure, float] = {(operation.label, "count"): 1.0}
    for name, value in operation.arguments.items():
        if type(value) in (int, float):
            found[(operation.label, name)] = float(value)
        else:
            found[(operation.label, name, exact(value))] = 1.0
    return found


class Composed:
    """Many networks, each a chain of segments, summed up.

    Attributes:
        walks: of one to three labels, both ends of a network included, by column of ``counts``.
        counts: how often each occurs, shape ``(networks, walks)``.
        figures: for each network as a whole: name to one number for each.
    """

    def __init__(self, segments: Sequence[Segment], which: NDArray[np.intp], steps: Steps | None = None) -> None:
        """``which``: the index of each segment, in the order of computation, shape ``(networks, parts)``."""
        ways = np.array([it.paths for it in segments])[which]
        alive = np.logical_and.accumulate(ways > 0, axis=1)
        self._reached = np.concatenate([np.ones((len(which), 1), bool), alive[:, :-1]], axis=1)
        self._which, self._segments = which, segments
        self.figures = self._as_a_whole(ways, alive[:, -1])
        self._steps = Steps() if steps is None else steps
        self.walks = self._steps.walks
        self.counts = self._counted()

    def occurrences(self) -> Array:
        """How often each segment computes something, shape ``(networks, segments)``."""
        networks, count = len(self._which), len(self._segments)
        places = self._which + count * np.arange(networks)[:, None]
        return np.bincount(places[self._reached], minlength=networks * count).reshape(networks, count).astype(float)

    def _as_a_whole(self, ways: Array, connected: NDArray[np.bool_]) -> dict[Figure, Array]:
        def total(name: str) -> Array:
            found: Array = np.array([getattr(it, name) for it in self._segments], float)[self._which].sum(axis=1)
            return found

        logs = total("log_paths")
        product = np.where(logs[:, None] < 200, ways, 1.0).prod(axis=1)  # where it is larger, it is its own log1p
        # The output is the last node of a path: one more than there are operations on it.
        lengths = {(name,): np.where(connected, total(name) + 1, 0.0) for name in ("longest", "shortest", "mean")}
        operations = np.array([it.operations for it in self._segments])[self._which]
        return {
            ("operations",): (operations * self._reached).sum(axis=1).astype(float),
            ("log paths",): np.where(connected, np.where(logs < 200, np.log1p(product), logs), 0.0),
            **lengths,
            ("connected",): connected.astype(float),
        }

    def _counted(self) -> Array:
        """First which walks there can be, then how often there are."""
        active: tuple[Walk, ...] = ((IN,),)
        passes: list[list[tuple[int, _Step]]] = []
        for part in range(self._which.shape[1]):
            found = np.unique(self._which[:, part]).tolist()
            passes.append([(index, self._steps.step(self._segments[index], active)) for index in found])
            follow = {step.active for _, step in passes[-1]}
            active = follow.pop() if len(follow) == 1 else tuple(sorted({it for each in follow for it in each}))
        last = self._steps.step(_OUTPUT, active)
        arriving = np.zeros((len(self._which), len(self._steps.endings)))
        counts = np.zeros((len(self._which), len(self.walks)))
        arriving[:, self._steps.endings[(IN,)]] = 1.0
        for part, steps in enumerate(passes):
            for index, step in steps:
                rows = np.flatnonzero((self._which[:, part] == index) & self._reached[:, part])
                if len(rows):
                    step.take(rows, arriving, counts)
        last.take(np.arange(len(counts)), arriving, counts)
        return counts


class Steps:
    """What segments do to the walks that arrive at them, as a memory.

    Attributes:
        endings: walks of one or two labels that end in what arrives somewhere, by column.
        walks: of one to three labels that occur somewhere, by column.
    """

    def __init__(self) -> None:
        self.endings: dict[Walk, int] = {(IN,): 0}
        self.walks: dict[Walk, int] = {}
        self._known: dict[tuple[Segment, tuple[Walk, ...]], _Step] = {}

    def __len__(self) -> int:
        return len(self._known)

    def step(self, segment: Segment, active: tuple[Walk, ...]) -> _Step:
        """What a segment does where these endings may arrive."""
        known = self._known.get((segment, active))
        if known is None:
            known = self._known[segment, active] = _Step(segment, active, self.endings, self.walks)
        return known


class _Step:
    """What a segment does to the walks that arrive: which of them end in it, and which endings it passes on.

    Attributes:
        active: the endings that may arrive behind it, if the ``active`` ones may arrive before it.
    """

    def __init__(
        self, segment: Segment, active: tuple[Walk, ...], endings: dict[Walk, int], walks: dict[Walk, int]
    ) -> None:
        short = [ending for ending in active if len(ending) == 1]
        grown = [
            [(ending, ending + walk, times) for walk, times in more.items() for ending in listed]
            for more, listed in ((segment.first, active), (segment.first2, short))
        ]
        through = {ending: segment.through for ending in active} if segment.through else {}
        handed = [(ending, ending + walk, times) for walk, times in segment.single.items() for ending in short]
        own = {**segment.last, **segment.last2}
        self.active = tuple(sorted({**through, **{to: 0 for _, to, _ in handed}, **own}))
        self.through = segment.through
        self._walks = [_columns(each, endings, walks) for each in grown if each]
        self._handed = _columns(handed, endings, endings) if handed else None
        self._inside = _constants(segment.inside, walks)
        self._own = _constants(own, endings)

    def take(self, rows: NDArray[np.intp], arriving: Array, counts: Array) -> None:
        """Changes the rows of ``arriving`` and ``counts``."""
        before, column = arriving[rows], rows[:, None]
        for source, target, times in self._walks:
            counts[column, target] += before[:, source] * times
        counts[column, self._inside[0]] += self._inside[1]
        after = before * self.through
        if self._handed is not None:
            source, target, times = self._handed
            after[:, target] += before[:, source] * times
        after[:, self._own[0]] += self._own[1]
        arriving[rows] = np.minimum(after, _MOST)


def _columns(
    moves: Sequence[tuple[Walk, Walk, int]], source: dict[Walk, int], target: dict[Walk, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Columns that are read, columns that are written (none of them twice), and factors."""
    read = [source.setdefault(walk, len(source)) for walk, _, _ in moves]
    written = [target.setdefault(walk, len(target)) for _, walk, _ in moves]
    return np.array(read, np.intp), np.array(written, np.intp), np.array([float(times) for _, _, times in moves])


def _constants(counts: dict[Walk, int], columns: dict[Walk, int]) -> tuple[NDArray[np.intp], Array]:
    written = [columns.setdefault(walk, len(columns)) for walk in counts]
    return np.array(written, np.intp), np.array([float(count) for count in counts.values()])


_OUTPUT = Segment({(OUT,): 1}, {(OUT,): 1}, {}, {}, {}, {}, 0, 0, {}, 1.0, 0.0, 0.0, 0.0, 0.0)


class Segments:
    """The segments of a space's architectures. It holds only caches.

    Args:
        outline: its leaves are read.
        holes: their codes tell fillings of a leaf apart.
    """

    #: With more labels than this, walks are told apart by less; so many segments are remembered.
    LABELS, REMEMBERED = 48, 20_000

    def __init__(self, outline: Outline, holes: HoleDistances) -> None:
        self._leaves = outline.leaves
        self._label: Callable[[str], str] = str
        self._keys = [_Key(leaf, holes) for leaf in self._leaves]
        self._depths = {path for leaf in self._leaves for path, _ in leaf.copies}
        self._forget()

    def _forget(self) -> None:
        self._made = [Segment.of(IDENTITY)]
        self._steps = Steps()
        self._index: dict[int, dict[Any, int]] = {leaf.kind: {} for leaf in self._leaves}

    def fold(self, samples: Sequence[Architecture], points: HolePoints) -> None:
        """Where samples have many labels, an operation's class alone is its label in walks, or a digest of it."""
        labels = {figure[0] for it in self._segments(samples, points)[0] for figure in it.figures}
        if len(labels) > self.LABELS:
            self._label = _class_name
            if len({*map(_class_name, labels)}) > self.LABELS:
                self._label = partial(_digest, count=self.LABELS)
            self._forget()

    def composed(self, architectures: Sequence[Architecture], points: HolePoints) -> tuple[Composed, list[Segment]]:
        """Architectures, whose holes are ``points``, summed up; and the segments that they have."""
        segments, which = self._segments(architectures, points)
        return Composed(segments, which, self._steps), segments

    def _segments(
        self, architectures: Sequence[Architecture], points: HolePoints
    ) -> tuple[list[Segment], NDArray[np.intp]]:
        """The different segments, and which of them each architecture has, shape ``(architectures, leaves)``."""
        if max(len(self._made), len(self._steps)) > self.REMEMBERED:
            self._forget()
        depths = {path: np.array([it.get(path, 0) for it in architectures]) for path in self._depths}
        which = np.zeros((len(architectures), max(1, len(self._leaves))), np.intp)  # at first the identity
        for part, (leaf, key) in enumerate(zip(self._leaves, self._keys, strict=True)):
            there = np.ones(len(architectures), bool)
            for path, copy in leaf.copies:
                there &= depths[path] > copy
            rows = np.flatnonzero(there)
            found, firsts, inverse = key.different(architectures, points.codes, rows)
            known = self._index[leaf.kind]
            for value, first in zip(found, firsts, strict=True):
                if value not in known:
                    self._made.append(Segment.of(leaf.read(architectures[rows[first]]), self._label))
                    known[value] = len(self._made) - 1
            which[rows, part] = np.array([known[value] for value in found], np.intp)[inverse]
        used, places = np.unique(which, return_inverse=True)
        return [self._made[index] for index in used], places.reshape(which.shape)


class _Key:
    """Tells fillings of a leaf apart: by one number if its holes have codes, else by their values."""

    def __init__(self, leaf: Leaf, holes: HoleDistances) -> None:
        column = {path: place for place, path in enumerate(holes.coded)}
        self._paths = leaf.holes
        self._columns = [column[path] for path in leaf.holes if path in column]
        sizes = [holes.sizes[place] for place in self._columns]
        self._coded = len(self._columns) == len(leaf.holes) and math.prod(sizes) < 2**62
        self._factors = np.array([math.prod(sizes[:place]) for place in range(len(sizes))] if self._coded else [])

    def different(
        self, architectures: Sequence[Architecture], codes: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> tuple[list[Any], Sequence[int], NDArray[np.intp]]:
        """The different fillings among the rows, where each comes first, and which of them each row has."""
        if self._coded:
            values = codes[rows][:, self._columns] @ self._factors.astype(np.int64)
            found, firsts, inverse = np.unique(values, return_index=True, return_inverse=True)
            return found.tolist(), firsts.tolist(), inverse
        first_of: dict[Any, int] = {}
        order: dict[Any, int] = {}
        inverse = np.zeros(len(rows), np.intp)
        for place, row in enumerate(rows.tolist()):
            value = tuple([exact(architectures[row].get(path, ...)) for path in self._paths])
            first_of.setdefault(value, place)
            inverse[place] = order.setdefault(value, len(order))
        return list(order), list(first_of.values()), inverse


def _class_name(label: str) -> str:
    return label.partition("(")[0]


def _digest(label: str, count: int) -> str:
    return str(int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big") % count)
