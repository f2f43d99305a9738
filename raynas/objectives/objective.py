"""What a search tries to make good: one metric and its direction. Imports nothing heavy: every room may use it.

A metric's name never says which way is better. It is known of what RayNAS itself reports; a task declares it for its
own metrics (``Task.directions``); of any other the person is asked.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

from raynas.errors import SpecError

Mode = Literal["min", "max"]

#: The directions of what RayNAS reports itself; of accuracy: as ``Task.metrics`` gives it.
KNOWN_DIRECTIONS: Mapping[str, Mode] = MappingProxyType(
    {
        "val_accuracy": "max",
        "val_loss": "min",
        "train_loss": "min",
        "images_per_second": "max",
        "params": "min",
        "flops": "min",
        "seconds": "min",
    }
)


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
    mode: Mode = "max"

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise SpecError(f"objective mode {self.mode!r} is not known; give 'min' or 'max'")
        if not self.metric:
            raise SpecError("an objective needs the name of a metric, for example 'val_accuracy'")

    @property
    def sign(self) -> float:
        """``+1.0`` for ``max``, ``-1.0`` for ``min``: ``sign * value`` is bigger for the better value."""
        return 1.0 if self.mode == "max" else -1.0

    @property
    def words(self) -> str:
        """The direction for people: ``smaller is better``."""
        return f"{'larger' if self.mode == 'max' else 'smaller'} is better"

    def __str__(self) -> str:
        """For people: ``val_rmse, smaller is better``."""
        return f"{self.metric}, {self.words}"

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; every number is better than NaN."""
        if math.isnan(a):
            return False
        return math.isnan(b) or self.sign * a > self.sign * b


def mode_of(metric: str, objective: Objective, declared: Mapping[str, str]) -> Mode:
    """The direction of a metric, from those who know it.

    Args:
        metric: the key in a measurement's metrics.
        objective: of the task or the evaluator.
        declared: further directions, of the same (``Task.directions``).

    Raises:
        SpecError: nobody knows it, or what is declared is neither ``"min"`` nor ``"max"``.
    """
    for name, mode in declared.items():
        if mode not in ("min", "max"):
            raise SpecError(f"the direction declared for {name!r} is {mode!r}; it must be 'min' or 'max'")
    known: dict[str, str] = {**KNOWN_DIRECTIONS, **declared, objective.metric: objective.mode}
    if metric in known:
        return cast(Mode, known[metric])
    near = difflib.get_close_matches(metric, known, n=1, cutoff=0.85)  # a typing error, not a cousin
    hint = f" (or did you mean {near[0]!r}?)" if near else ""
    raise SpecError(
        f"whether {metric!r} is to be small or large is not known{hint}; say it: --mode min or --mode max; "
        f'a task declares it with directions = {{"{metric}": "min"}}'
    )
