"""A limit on a metric or on a cost, as people write it: ``params<=500k``. Imports nothing heavy: every room may use it.

Both signs include the limit itself. ``<`` and ``>`` are refused: costs are mostly whole numbers, where it would be easy
to be wrong by one, and a shell takes an unquoted ``<`` for a file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from raynas.errors import SpecError

Bound = Literal["<=", ">="]

#: What the suffixes of a number stand for. Small letters m and g are not there: with a latency, m would read as milli.
_SUFFIXES = {"G": 10**9, "M": 10**6, "k": 10**3}

_WRITTEN = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s*(?P<bound>[<>=]+)\s*(?P<value>[^\s<>=]+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A limit that a metric or a cost must keep.

    Args:
        metric: the key in a measurement's metrics or in a network's costs, for example ``"params"``.
        bound: ``"<="`` for the largest value that is allowed, ``">="`` for the smallest.
        value: the limit, in the unit of the metric; finite.

    Raises:
        SpecError: one of them makes no sense.

    Example:
        >>> limit = Constraint.parse("params<=500k")
        >>> limit.holds(500_000), limit.violation(750_000)
        (True, 0.5)
    """

    metric: str
    bound: Bound
    value: float

    def __post_init__(self) -> None:
        if not self.metric:
            raise SpecError("a constraint needs the name of a metric or a cost, for example 'params<=500k'")
        if self.bound not in ("<=", ">="):
            raise SpecError(f"the sign {self.bound!r} of the constraint on {self.metric!r} is not known; use <= or >=")
        if not math.isfinite(self.value):
            raise SpecError(f"the limit {self.value} of the constraint on {self.metric!r} limits nothing")

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """The constraint that ``text`` says: a metric, ``<=`` or ``>=``, and a number that may end in k, M or G.

        Raises:
            SpecError: it says none.
        """
        found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise SpecError(
                f"{text!r} is no constraint; write a metric, <= or >=, and a number, for example 'params<=500k'"
            )
        metric, bound, number = found["metric"], found["bound"], found["value"]
        if bound not in ("<=", ">="):
            nearest = ">=" if ">" in bound else "<="
            raise SpecError(
                f"constraint {text!r}: the sign {bound!r} is not known; the signs are <= and >=, "
                f"for example '{metric}{nearest}{number}'"
            )
        return cls(metric, cast(Bound, bound), _number(number, text))

    def holds(self, value: float) -> bool:
        """Whether ``value`` keeps the limit; NaN does not."""
        return value <= self.value if self.bound == "<=" else value >= self.value

    def violation(self, value: float) -> float:
        """0 where ``value`` keeps the limit, else how far it is beyond, as a share of the limit (NaN: infinitely far).

        A limit of 0 has no share: there it is the distance itself.
        """
        if self.holds(value):
            return 0.0
        distance = abs(value - self.value)
        return math.inf if math.isnan(distance) else distance / (abs(self.value) or 1.0)

    def __str__(self) -> str:
        """As people write it; ``parse`` reads it back."""
        return f"{self.metric}{self.bound}{_written(self.value)}"


def _number(written: str, text: str) -> float:
    """The number that was ``written`` in ``text``. Decimals are exact: 1.1M is 1,100,000 and nothing beside it."""
    factor = _SUFFIXES.get("k" if written[-1] == "K" else written[-1], 1)
    digits = written[:-1] if factor > 1 else written
    try:
        value = float(Decimal(digits) * factor)
    except ArithmeticError:
        raise SpecError(f"constraint {text!r}: {written!r} is no number; write 500000, 500k, 1.5M, 2G or 1e6") from None
    if not math.isfinite(value):
        raise SpecError(f"constraint {text!r}: the limit {written!r} limits nothing; give a number")
    return value


def _written(value: float) -> str:
    """A number in its shortest exact form: ``500k``, ``1.5M``, ``1234567``, ``0.25``."""
    plain = str(int(value)) if value.is_integer() and abs(value) < 10**15 else repr(value)
    for suffix, factor in _SUFFIXES.items():
        scaled = f"{value / factor:g}{suffix}"
        if abs(value) >= factor and len(scaled) < len(plain) and _number(scaled, scaled) == value:
            return scaled
    return plain
