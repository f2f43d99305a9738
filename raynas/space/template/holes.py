"""Numbers to be chosen: ``Int`` and ``Float``, linear or logarithmic, and the scale that they lie on."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.nodes import Hole, check_hole_name


class Number(Hole):
    """A number from ``low`` to ``high``, both included.

    It lies on a scale: the number itself, or its natural logarithm where the hole is logarithmic (``log``). Draws,
    steps and distances are even on that scale.
    """

    low: float
    high: float
    log: bool

    def scaled(self, value: float) -> float:
        """Where a number lies on the scale."""
        return math.log(value) if self.log else value

    def value_at(self, scaled: float) -> Any:
        """The value of the hole that is nearest to a point on the scale."""
        raise NotImplementedError

    @cached_property
    def span(self) -> float:
        """The length of the range on the scale."""
        return self.scaled(self.high) - self.scaled(self.low)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Between which points of the scale a draw lies: for whole numbers half a step beyond ``low`` and ``high``."""
        return self.scaled(self.low), self.scaled(self.high)

    def position(self, value: float) -> float:
        """Where a value lies in the range: 0 for ``low``, 1 for ``high``. The hole must have two values."""
        return (self.scaled(value) - self.scaled(self.low)) / self.span

    def __repr__(self) -> str:
        extra = ", log=True" if self.log else ""
        if self.default != self.low:
            extra += f", default={self.default!r}"
        if self.name is not None:
            extra += f", name={self.name!r}"
        return f"{type(self).__name__}({self.low!r}, {self.high!r}{extra})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Int(Number):
    """A whole number from ``low`` to ``high``, both included.

    Args:
        low, high: the bounds.
        log: draw uniformly in the logarithm (``low`` must be at least 1).
        default: the value in the default architecture; ``low`` unless given.
        name: one name, one hole, wherever it stands.

    Raises:
        SpaceError: the bounds or the default cannot be.

    >>> Int(1, 4).size
    4
    """

    low: int
    high: int
    log: bool
    default: int
    name: str | None

    def __init__(
        self, low: int, high: int, *, log: bool = False, default: int | None = None, name: str | None = None
    ) -> None:
        what = f"Int({low!r}, {high!r})"
        if type(low) is not int or type(high) is not int:
            raise SpaceError(f"{what}: bounds must be ints; for other numbers use Float")
        _check_bounds(what, low, high, log, 1)
        value = low if default is None else default
        self._set(low=low, high=high, log=bool(log), default=value, name=check_hole_name(name))
        _check_default(what, self)

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def at(self, index: int) -> int:
        return self.low + index

    def contains(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def domain(self) -> str:
        return f"an int from {self.low} to {self.high}"

    def value_at(self, scaled: float) -> int:
        return min(max(round(math.exp(scaled) if self.log else scaled), self.low), self.high)

    @cached_property
    def ends(self) -> tuple[float, float]:
        return self.scaled(self.low - 0.5), self.scaled(self.high + 0.5)

    def _draw(self, rng: random.Random) -> int:
        return self.value_at(rng.uniform(*self.ends)) if self.log else rng.randint(self.low, self.high)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Float(Number):
    """A real number from ``low`` to ``high``, both included. Arguments and errors as for :class:`Int`.

    >>> Float(1e-4, 1e-1, log=True, default=1e-2).default
    0.01
    """

    low: float
    high: float
    log: bool
    default: float
    name: str | None

    def __init__(
        self, low: float, high: float, *, log: bool = False, default: float | None = None, name: str | None = None
    ) -> None:
        what = f"Float({low!r}, {high!r})"
        if not all(type(bound) in (int, float) and math.isfinite(bound) for bound in (low, high)):
            raise SpaceError(f"{what}: bounds must be finite numbers")
        low, high = float(low), float(high)
        _check_bounds(what, low, high, log, 0)
        value = float(default) if type(default) in (int, float) else default  # type: ignore[arg-type]
        value = low if value is None else value
        self._set(low=low, high=high, log=bool(log), default=value, name=check_hole_name(name))
        _check_default(what, self)

    @property
    def size(self) -> float:
        return math.inf if self.low < self.high else 1

    def at(self, index: int) -> float:
        if self.low == self.high and index == 0:
            return self.low
        raise SpaceError(f"{self!r} has infinitely many values; they cannot be counted")

    def contains(self, value: Any) -> bool:
        return type(value) is float and self.low <= value <= self.high

    def domain(self) -> str:
        return f"a float from {self.low!r} to {self.high!r}"

    def value_at(self, scaled: float) -> float:
        return min(max(math.exp(scaled) if self.log else scaled, self.low), self.high)

    def _draw(self, rng: random.Random) -> float:
        return self.value_at(rng.uniform(*self.ends))


def _check_bounds(what: str, low: float, high: float, log: bool, least: int) -> None:
    if low > high:
        raise SpaceError(f"{what}: the lower bound lies above the upper; swap them")
    if log and (low < least or low <= 0):
        raise SpaceError(f"{what}: a logarithmic hole needs a lower bound above 0; got {low!r}")


def _check_default(what: str, hole: Number) -> None:
    if not hole.contains(hole.default):
        raise SpaceError(f"{what}: the default {hole.default!r} is outside; give {hole.domain()}")
