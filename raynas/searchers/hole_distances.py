"""How far apart architectures are by their holes: per hole from 0 (equal) to about 1, and weighted over all holes.

A choice is equal or it is not. Numbers lie as far apart as in their range (of a logarithmic hole, of the logarithms),
so that random ones differ by 2/3 in the mean; numbers of few values and choices between numbers count half by that and
half by being equal or not. A hole that is not active lies at 1 from every value. All of this is a distance in L1, so
``exp(-weighted sum)`` is a kernel for any weights.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class HolePoints:
    """n architectures by their holes.

    Attributes:
        options: one column an option (and one for "not active"), 0 or 1.
        places: one column a number: its place in its range, NaN where it is not active.
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
        self._codes: dict[str, dict[Any, int]] = {}
        self._numbers: dict[str, Hole] = {}
        hole_of_option: list[int] = []
        shares, hole_of_number, number_shares = [], [], []
        for index, (path, hole) in enumerate(space.holes()):
            ordered, few = _ordered(hole), hole.size <= MANY
            if few or not ordered:
                codes = self._codes[path] = {None: len(hole_of_option)}
                for value in map(hole.at, range(int(hole.size))):
                    codes[exact(value)] = len(hole_of_option) + len(codes)
                hole_of_option += [index] * len(codes)
                shares += [0.5 if ordered else 1.0] * len(codes)
            if ordered:
                self._numbers[path] = hole
                hole_of_number.append(index)
                number_shares.append(0.5 if few else 1.0)
        self.count = len(space.holes())
        self._hole_of_option = np.array(hole_of_option, dtype=np.intp)
        self._hole_of_number = np.array(hole_of_number, dtype=np.intp)
        self._option_shares, self._number_shares = np.array(shares), np.array(number_shares)

    def row(self, architecture: Architecture) -> tuple[Array, Array]:
        """The columns of one architecture."""
        options = np.zeros(len(self._hole_of_option))
        for path, codes in self._codes.items():
            options[codes[exact(architecture[path]) if path in architecture else None]] = 1.0
        places = [
            _place(hole, architecture[path]) if path in architecture else math.nan
            for path, hole in self._numbers.items()
        ]
        return options, np.array(places)

    def weighted(self, a: HolePoints, b: HolePoints, weights: Array) -> Array:
        """The sum over the holes of weight times distance, shape ``(len(a), len(b))``."""
        by_option = self._option_shares * weights[self._hole_of_option]
        total = (a.options * by_option).sum(axis=1)[:, None] - (a.options * by_option) @ b.options.T
        for column, (hole, share) in enumerate(zip(self._hole_of_number, self._number_shares, strict=True)):
            total = total + share * weights[hole] * _apart(a.places[:, column], b.places[:, column])
        return np.maximum(total, 0.0)

    def each(self, points: HolePoints) -> Array:
        """Distances by every single hole, shape ``(holes, n, n)``."""
        found = np.zeros((self.count, len(points), len(points)))
        for hole in np.unique(self._hole_of_option):
            columns = self._hole_of_option == hole
            options = points.options[:, columns]
            found[hole] += self._option_shares[columns][0] * (1.0 - options @ options.T)
        for column, (hole, share) in enumerate(zip(self._hole_of_number, self._number_shares, strict=True)):
            found[hole] += share * _apart(points.places[:, column], points.places[:, column])
        return found


def _apart(a: Array, b: Array) -> Array:
    inactive = np.isnan(a)[:, None].astype(int) + np.isnan(b)[None]
    return np.where(inactive == 0, 2.0 * np.abs(a[:, None] - b[None]), inactive % 2)


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
