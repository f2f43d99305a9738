"""What trials are compared by: one objective or several, in order, and the constraints that a trial must keep.

A history logs for a trial where it stands: the highest rung that it reached, and its vector there, which has one value
for each objective, as it was measured. ``best`` and ``front`` are functions of that. So is the key that sorts trials.
With several objectives, what needs one order (``best``, rules and strategies for one objective) goes by the first. The
first is always measured; each of the others may also be a cost, which is known without training.

A trial that violates a constraint is behind every trial that violates none. Among those that do, the one with the
smaller total violation is better, whatever its objectives are. (The rules of Deb 2000, "An efficient constraint
handling method for genetic algorithms", section 3, with violations as shares of their limits.)
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from raynas.errors import SpecError
from raynas.objectives.constraint import Constraint
from raynas.objectives.objective import Mode, Objective

#: Sorts trials, bigger is better: the highest rung reached, then the first objective there (sign turned for "min").
Key = tuple[int, float]

#: The key of a trial that has nothing to show: below every other.
LOWEST: Key = (0, -math.inf)

#: In the key of a trial that violates a constraint, in place of the rung; minus the violation stands beside it. Rungs
#: are steps and begin at 1.
INFEASIBLE = 0

_NO_COSTS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Vector:
    """What a measurement is compared by.

    Attributes:
        values: one for each objective, in their order, as measured (the sign is never turned); NaN where it is missing.
        violation: how far the constraints are exceeded in all (the sum of ``Constraint.violation``); 0: all are kept.
    """

    values: tuple[float, ...]
    violation: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether every constraint is kept."""
        return self.violation == 0

    @property
    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return all(map(math.isfinite, self.values))


class Standing(NamedTuple):
    """Where a trial stands: the highest rung that it reached, and its vector there."""

    rung: int
    vector: Vector


@dataclass(frozen=True)
class Objectives:
    """One objective or several, and the constraints.

    Args:
        objectives: at least one; the first is what everything goes by that knows only one.
        constraints: limits on metrics or costs.

    Raises:
        SpecError: there is none, or two have the same metric.

    Example:
        >>> both = Objectives((Objective("val_accuracy"), Objective("params", "min")))
        >>> both.values({"val_accuracy": 0.9, "params": 1000, "val_loss": 0.3})
        (0.9, 1000.0)
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if not self.objectives:
            raise SpecError("there is no objective to compare trials by; give one, for example val_accuracy")
        for number, metric in enumerate(self.metrics):
            if metric in self.metrics[:number]:
                raise SpecError(f"metric {metric!r} is named by two objectives; name each metric once")

    @classmethod
    def of(cls, objective: Objective | Objectives) -> Objectives:
        """A single objective as the simplest case of several; several as they are."""
        return cls((objective,)) if isinstance(objective, Objective) else objective

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Objectives:
        """What a ``search_started`` event says (docs/journal.md)."""
        found = event.get("objectives") or [event["objective"]]
        limits = event.get("constraints") or ()
        return cls(
            tuple(Objective(one["metric"], one["mode"]) for one in found),
            tuple(Constraint(one["metric"], one["bound"], one["value"]) for one in limits),
        )

    def to_event(self) -> dict[str, Any]:
        """The fields of ``search_started`` that say it: for one objective without constraints ``objective`` alone."""
        listed = [{"metric": one.metric, "mode": one.mode} for one in self.objectives]
        limits = [{"metric": one.metric, "bound": one.bound, "value": one.value} for one in self.constraints]
        return {
            "objective": listed[0],
            **({"objectives": listed} if self.several else {}),
            **({"constraints": limits} if limits else {}),
        }

    @property
    def first(self) -> Objective:
        """The one that everything goes by that knows only one."""
        return self.objectives[0]

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Their keys in a measurement's metrics, in order."""
        return tuple(one.metric for one in self.objectives)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Their directions, in order."""
        return tuple(one.mode for one in self.objectives)

    @cached_property
    def _signs(self) -> tuple[float, ...]:
        return tuple(one.sign for one in self.objectives)

    def missing(self, metrics: Mapping[str, float], costs: Mapping[str, float] = _NO_COSTS) -> tuple[str, ...]:
        """The metrics of objectives and constraints that a measurement lacks, and that are no costs of the network."""
        first, *others = self.metrics
        others += [limit.metric for limit in self.constraints]
        absent = [first] if first not in metrics else []
        return (*absent, *(name for name in others if name not in metrics and name not in costs))

    def values(self, metrics: Mapping[str, float], costs: Mapping[str, float] = _NO_COSTS) -> tuple[float, ...]:
        """A measurement's value for each objective, as measured; NaN where it is missing.

        Args:
            metrics: what was measured.
            costs: what is known of the network without training.
        """
        first, *others = self.metrics
        return _number(metrics.get(first)), *(_number(metrics.get(name, costs.get(name))) for name in others)

    def vector(self, metrics: Mapping[str, float], costs: Mapping[str, float] = _NO_COSTS) -> Vector:
        """What a measurement is compared by.

        A constraint says nothing of what is neither measured nor a cost. (So a warm start's trials, of which no costs
        are known, compete. A session lets no trial of its own be without: see ``missing``.) On what is NaN it is
        violated infinitely.

        Args:
            metrics, costs: as in ``values``.
        """
        violation = 0.0
        for limit in self.constraints:
            figure = metrics.get(limit.metric, costs.get(limit.metric))
            violation += 0.0 if figure is None else limit.violation(figure)
        return Vector(self.values(metrics, costs), violation)

    def key(self, standing: Standing | None) -> Key:
        """What sorts trials by where they stand, bigger is better; ``LOWEST`` without a finite first value."""
        if standing is None:
            return LOWEST
        rung, vector = standing
        value = vector.values[0]
        if not math.isfinite(value):
            return LOWEST
        if vector.violation:
            return INFEASIBLE, -min(vector.violation, sys.float_info.max)
        return rung, self._signs[0] * value

    def signed(self, vector: Vector) -> tuple[float, ...]:
        """The values with their signs turned so that bigger is better in each."""
        return tuple(sign * value for sign, value in zip(self._signs, vector.values, strict=True))


def best(standings: Mapping[int, Standing], objectives: Objectives, count: int = 1) -> list[int]:
    """The numbers of the best trials by the first objective, best first; of equals the lower number first.

    Those without a finite value are left out. Those that violate a constraint come after all that do not.

    Args:
        standings: a trial's number to where it stands.
        count: at most so many.
    """
    keys = ((objectives.key(standing), -number) for number, standing in standings.items())
    return [-minus for _, minus in heapq.nlargest(count, (pair for pair in keys if pair[0] > LOWEST))]


def front(standings: Mapping[int, Standing], objectives: Objectives) -> list[int]:
    """The numbers of the trials that no other dominates, in ascending order. Equal ones do not dominate each other.

    Values are compared only at one rung, the highest that a trial with a place in the front has reached. Trials that
    violate a constraint, and those with a value that is missing or not finite, have none.

    Args:
        standings: a trial's number to where it stands.
    """
    able = {number: one for number, one in standings.items() if one.vector.feasible and one.vector.finite}
    top = max((one.rung for one in able.values()), default=0)
    signed = {number: objectives.signed(one.vector) for number, one in able.items() if one.rung == top}
    found: list[int] = []
    # Sorted by the first value, then the second, and so on, none is dominated by one that comes after it.
    for number in sorted(signed, key=signed.__getitem__, reverse=True):
        if not any(_dominates(signed[other], signed[number]) for other in found):
            found.append(number)
    return sorted(found)


def _dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether ``a`` is at least as good as ``b`` in every objective, and better in one; bigger is better."""
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
