"""How far apart architectures are by their holes: per hole from 0 (equal) to about 1, and weighted over all holes.

A choice is equal or it is not. Numbers lie as far apart as in their range (of a logarithmic hole, of the logarithms),
so that random ones differ by 2/3 in the mean; numbers of few values and choices between numbers count half by that and
half by being equal or not. A hole that is not active lies at 1 from every value. All of this is a distance in L1, so
``exp(-weighted sum)`` is a kernel for any weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.space import Architecture, Choice, Float, Int, Space
from raynas.space.nodes import Hole
from raynas.space.operators import MANY
from raynas.space.values import exact

Array = NDArray[np.float64]

#: Of one architecture: columns of the values of holes of few values, and places of the other numbers.
Row = tuple[list[int], list[float]]


@dataclass(frozen=True)
class HolePoints:
    """n architectures by their holes.

    Attributes:
        options: of holes of few values, one column a value (and one for "not active"), 0 or 1.
        places: of the others, one column a number: its place in its range, NaN where it is not active.
    """

    options: Array
    places: Array

    def __len__(self) -> int:
        return len(self.options)


class HoleDistances:
    """The holes of a space as columns, and distances over them.

    Attributes:
        count: how many holes there are.
    """

    def __init__(self, space: Space) -> None:
        self._codes: list[tuple[str, dict[Any, int]]] = []  # holes of few values, by column; "..." is "not active"
        self._numbers: list[tuple[str, Hole]] = []  # the others
        blocks: list[tuple[int, Array]] = []
        hole_of_number = []
        for index, (path, hole) in enumerate(space.holes()):
            if hole.size > MANY and _ordered(hole):
                self._numbers.append((path, hole))
                hole_of_number.append(index)
                continue
            first = sum(len(block) for _, block in blocks)
            values = [hole.at(place) for place in range(int(hole.size))]
            codes = {exact(value): column for column, value in enumerate([..., *values], first)}
            self._codes.append((path, codes))
            blocks.append((index, _between(hole, values)))
        self.count = len(space.holes())
        self._hole_of_option = np.repeat(np.array([index for index, _ in blocks], int), [len(b) for _, b in blocks])
        self._hole_of_number = np.array(hole_of_number, dtype=np.intp)
        self._between = np.zeros((len(self._hole_of_option), len(self._hole_of_option)))
        ends = itertools.accumulate(len(block) for _, block in blocks)
        for end, (_, block) in zip(ends, blocks, strict=True):
            self._between[end - len(block) : end, end - len(block) : end] = block

    def row(self, architecture: Architecture) -> Row:
        """The columns of one architecture."""
        get = architecture.get
        options = [codes[exact(get(path, ...))] for path, codes in self._codes]
        places = [
            _place(hole, architecture[path]) if path in architecture else math.nan for path, hole in self._numbers
        ]
        return options, places

    def points(self, rows: Sequence[Row]) -> HolePoints:
        """Rows as figures."""
        options = np.zeros((len(rows), len(self._hole_of_option)))
        if self._codes:
            np.put_along_axis(options, np.array([row[0] for row in rows]).reshape(len(rows), -1), 1.0, axis=1)
        return HolePoints(options, np.array([row[1] for row in rows]).reshape(len(rows), len(self._numbers)))

    def weighted(self, a: HolePoints, b: HolePoints, *weights: Array) -> list[Array]:
        """The sum over the holes of weight times distance, shape ``(len(a), len(b))``, for each of the weights."""
        found = [(a.options @ (self._between * by[self._hole_of_option])) @ b.options.T for by in weights]
        for column, hole in enumerate(self._hole_of_number):
            apart = _apart(a.places[:, column], b.places[:, column])
            for total, by in zip(found, weights, strict=True):
                total += by[hole] * apart
        return found

    def each(self, points: HolePoints) -> Array:
        """Distances by every single hole, shape ``(holes, n, n)``."""
        found = np.zeros((self.count, len(points), len(points)))
        for hole in np.unique(self._hole_of_option):
            columns = np.flatnonzero(self._hole_of_option == hole)
            options = points.options[:, columns]
            found[hole] = options @ self._between[np.ix_(columns, columns)] @ options.T
        for column, hole in enumerate(self._hole_of_number):
            found[hole] = _apart(points.places[:, column], points.places[:, column])
        return found


def _between(hole: Hole, values: Sequence[Any]) -> Array:
    """The distances between a hole's values, the first row and column for "not active"."""
    found = 1.0 - np.eye(len(values) + 1)
    if _ordered(hole):
        places = np.array([_place(hole, value) for value in values])
        found[1:, 1:] = (found[1:, 1:] + 2.0 * np.abs(places[:, None] - places[None])) / 2
    return found


def _apart(a: Array, b: Array) -> Array:
    found = np.abs(a[:, None] - b[None])
    found *= 2.0
    missing, gone = np.isnan(a), np.isnan(b)
    if missing.any() or gone.any():
        found[missing], found[:, gone] = 1.0, 1.0
        found[np.ix_(missing, gone)] = 0.0
    return found


def _ordered(hole: Hole) -> bool:
    """Whether a hole's values are numbers with an order. (Options 0, 1, 2, … are taken for mere codes.)"""
    if isinstance(hole, (Int, Float)):
        return hole.size > 1
    assert isinstance(hole, Choice)
    options: Sequence[Any] = hole.options
    numbers = all(type(option) in (int, float) for option in options)
    return numbers and len(options) > 2 and list(options) != list(range(len(options)))


def _place(hole: Hole, value: Any) -> float:
    """Where a value lies in its hole's range, from 0 to 1."""
    if isinstance(hole, Choice):
        return sorted(hole.options).index(value) / (len(hole.options) - 1)
    assert isinstance(hole, (Int, Float))
    if hole.log:
        return (math.log(value) - math.log(hole.low)) / (math.log(hole.high) - math.log(hole.low))
    return (value - hole.low) / (hole.high - hole.low)
