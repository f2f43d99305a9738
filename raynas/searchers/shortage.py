"""What the drawn networks say of the constraints: how many keep them, and how near the others came. For messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from raynas.objectives.constraint import Constraint


class Shortage:
    """A tally (state) of the networks that were drawn.

    Args:
        constraints: that they were to keep.

    Attributes:
        drawn: networks whose costs were asked for.
        kept: how many of them keep all constraints.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self._constraints = tuple(constraints)
        self.drawn = self.kept = 0
        self._keeping = [0] * len(self._constraints)
        self._best: list[float | None] = [None] * len(self._constraints)  # the value nearest to keeping each
        self._nearest: tuple[float, str] = (math.inf, "")  # violation and costs of the nearest network

    def note(self, costs: Mapping[str, float]) -> None:
        """Takes in what one more network costs."""
        self.drawn += 1
        violation = 0.0
        for place, limit in enumerate(self._constraints):
            value = costs.get(limit.metric)
            violation += limit.violation(math.nan if value is None else value)
            if value is None:
                continue
            self._keeping[place] += limit.holds(value)
            best = self._best[place]
            if best is None or (value < best if limit.bound == "<=" else value > best):
                self._best[place] = value
        self.kept += violation == 0
        if 0 < violation < self._nearest[0]:
            known = {limit.metric: costs[limit.metric] for limit in self._constraints}
            self._nearest = violation, " and ".join(f"{metric} {figure(value)}" for metric, value in known.items())

    def describe(self) -> str:
        """In one line why there is nothing (more) to propose: with the limit, and the best value that was seen."""
        limits = " and ".join(map(str, self._constraints))
        if self.kept:
            verb = "keeps" if self.kept == 1 else "keep"
            return f"of {self.drawn:,} networks drawn {self.kept:,} {verb} {limits}, and there is no other to try"
        of = f"of {self.drawn:,} networks drawn none"
        for limit, keeping, best in zip(self._constraints, self._keeping, self._best, strict=True):
            if best is None:
                return f"{of} has a known {limit.metric}, which {limit} limits"
            if not keeping:
                extreme = "smallest" if limit.bound == "<=" else "largest"
                return f"{of} has {limit}; the {extreme} has {figure(best)}"
        return f"{of} keeps {limits} together; the nearest has {self._nearest[1]}"


def figure(value: float) -> str:
    """A cost for a reader: whole numbers in full."""
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 10**15 else f"{value:,.4g}"
