"""What a search tries to make good: one metric and its direction. Imports nothing heavy: every floor may use it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from raynas.errors import SpecError


@dataclass(frozen=True)
class Objective:
    """A metric with a direction.

    Args:
        metric: the key in a measurement's metrics, for example ``"val_accuracy"``.
        mode: ``"max"`` where more is better, ``"min"`` where less is.

    Raises:
        SpecError: the mode is neither, or the metric has no name.
    """

    metric: str
    mode: Literal["min", "max"] = "max"

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise SpecError(f"objective mode {self.mode!r} is not known; give 'min' or 'max'")
        if not self.metric:
            raise SpecError("an objective needs the name of a metric, for example 'val_accuracy'")

    @property
    def sign(self) -> float:
        """``+1.0`` for ``max``, ``-1.0`` for ``min``: ``sign * value`` is bigger for the better value."""
        return 1.0 if self.mode == "max" else -1.0

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; every number is better than NaN."""
        if math.isnan(a):
            return False
        return math.isnan(b) or self.sign * a > self.sign * b
