"""Distances between architectures by their holes: per hole from 0 (equal) to about 1, and weighted over all holes.

Two values of a choice are equal or not. The distance of two numbers is their distance within the range (for a
logarithmic hole, that of the logarithms), scaled so that random ones differ by 2/3 on average. For numbers with few
values, and for choices between numbers, half of the distance is of this kind, and half says whether they are equal. A
hole that is not active has distance 1 to every value. All of this is a distance in L1, so ``exp(-weighted sum)`` is a
kernel for any weights.

Holes with few values are summed by one matrix product, with a column for each value. For a hole with many values (the
rows of a table) codes are compared, so memory grows with architectures and holes, and never with the square of the
values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.space import Architecture, Choice, Space
from raynas.space.template.holes import Number
from raynas.space.template.nodes import Hole
from raynas.space.template.values import exact
from raynas.space.walk.operators import MANY

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

#: Of one architecture: a code for each hole that is a choice or has few values, and the places of the other numbers.
Row = tuple[Codes, Array]
#: A hole of more values than this has no columns of its own.
_COLUMNS = 64


@dataclass(frozen=True)
class HolePoints:
    """The holes of n architectures.

    Attributes:
        codes: for choices and holes with few values, one column per hole: which value it has, from 1; 0 if it is not
            active.
        places: for the others, one column per number: its place in its range; NaN if it is not active.
    """

    codes: Codes
    places: Array

    def __len__(self) -> int:
        return len(self.codes)


class HoleDistances:
    """The holes of a space as columns, and distances over them.

    Attributes:
        count: how many holes there are.
        coded: column of ``HolePoints.codes`` to the path of the hole; ``sizes`` says how many codes each has.
    """

    def __init__(self, space: Space) -> None:
        self.coded: list[str] = []
        self.sizes: list[int] = []
        self._codes: list[dict[Any, int]] = []
        self._between: list[tuple[int, int, Array]] = []  # (column, hole, distances by codes) of holes of few values
        self._many: list[tuple[int, int]] = []  # (column, hole) of the other choices
        self._numbers: list[tuple[str, Callable[[Any], float]]] = []  # path, and what says where a value lies
        self._hole_of_number: list[int] = []
        for index, (path, hole) in enumerate(space.holes()):
            if hole.size > MANY and _ordered(hole):
                self._numbers.append((path, _placing(hole)))
                self._hole_of_number.append(index)
                continue
            values = [hole.at(place) for place in range(int(hole.size))]
            if len(values) <= _COLUMNS:
                self._between.append((len(self.coded), index, _between(hole, values)))
            else:
                self._many.append((len(self.coded), index))
            self.coded.append(path)
            self.sizes.append(len(values) + 1)
            self._codes.append({exact(value): code for code, value in enumerate([..., *values])})
        self.count = len(space.holes())
        ends = np.cumsum([0, *(len(between) for _, _, between in self._between)])
        self._first, self._width = ends[:-1], int(ends[-1])

    def row(self, architecture: Architecture) -> Row:
        """The codes and places of one architecture."""
        get = architecture.get
        values = [get(path, ...) for path in self.coded]
        codes = [
            known[value.__class__, value] if value.__class__ is not tuple else known[exact(value)]
            for value, known in zip(values, self._codes, strict=True)
        ]
        places = [place(architecture[path]) if path in architecture else math.nan for path, place in self._numbers]
        return np.array(codes, np.intp), np.array(places, float)

    def points(self, rows: Sequence[Row]) -> HolePoints:
        """Rows as figures."""
        codes = np.array([row[0] for row in rows], np.intp).reshape(len(rows), len(self.coded))
        return HolePoints(codes, np.array([row[1] for row in rows], float).reshape(len(rows), len(self._numbers)))

    def weighted(self, a: HolePoints, b: HolePoints, *weights: Array) -> list[Array]:
        """The sum over the holes of weight times distance, shape ``(len(a), len(b))``, for each of the weights."""
        columns = np.zeros((len(b), self._width))
        np.put_along_axis(columns, self._first + b.codes[:, [column for column, _, _ in self._between]], 1.0, axis=1)
        found = [self._by_column(a, by) @ columns.T for by in weights]
        for column, hole in self._many:
            differ = (a.codes[:, column, None] != b.codes[None, :, column]).astype(float)
            for total, by in zip(found, weights, strict=True):
                total += by[hole] * differ
        for column, hole in enumerate(self._hole_of_number):
            distances = _distances(a.places[:, column], b.places[:, column])
            for total, by in zip(found, weights, strict=True):
                total += by[hole] * distances
        return found

    def _by_column(self, points: HolePoints, weights: Array) -> Array:
        """How far each architecture lies from every value of every hole of few values, times the hole's weight."""
        found = np.empty((len(points), self._width))
        for first, (column, hole, between) in zip(self._first, self._between, strict=True):
            found[:, first : first + len(between)] = (between * weights[hole])[points.codes[:, column]]
        return found

    def each(self, points: HolePoints) -> Array:
        """Distances by every single hole, shape ``(holes, n, n)``."""
        found = np.zeros((self.count, len(points), len(points)))
        for column, hole, between in self._between:
            codes = points.codes[:, column]
            found[hole] = between[codes[:, None], codes]
        for column, hole in self._many:
            found[hole] = points.codes[:, column, None] != points.codes[None, :, column]
        for column, hole in enumerate(self._hole_of_number):
            found[hole] = _distances(points.places[:, column], points.places[:, column])
        return found


def _between(hole: Hole, values: Sequence[Any]) -> Array:
    """The distances between a hole's values, the first row and column for "not active"."""
    found = 1.0 - np.eye(len(values) + 1)
    if _ordered(hole):
        places = np.array([*map(_placing(hole), values)])
        found[1:, 1:] = (found[1:, 1:] + 2.0 * np.abs(places[:, None] - places[None])) / 2
    return found


def _distances(a: Array, b: Array) -> Array:
    found = np.abs(a[:, None] - b[None])
    found *= 2.0
    missing, gone = np.isnan(a), np.isnan(b)
    if missing.any() or gone.any():
        found[missing], found[:, gone] = 1.0, 1.0
        found[np.ix_(missing, gone)] = 0.0
    return found


def _ordered(hole: Hole) -> bool:
    """Whether a hole's values are numbers with an order. (Options 0, 1, 2, … are taken for mere codes.)"""
    if isinstance(hole, Number):
        return hole.size > 1
    assert isinstance(hole, Choice)
    options: Sequence[Any] = hole.options
    numbers = all(type(option) in (int, float) for option in options)
    return numbers and len(options) > 2 and list(options) != list(range(len(options)))


def _placing(hole: Hole) -> Callable[[Any], float]:
    """The function that says where a value lies in its hole's range, from 0 to 1."""
    if isinstance(hole, Choice):
        places: dict[float, float] = {}
        for place, value in enumerate(sorted(hole.options)):
            places.setdefault(value, place / (len(hole.options) - 1))  # 1 and 1.0 lie at one place
        return places.__getitem__
    assert isinstance(hole, Number)
    return hole.position
