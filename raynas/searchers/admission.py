"""Which architectures are worth a trial: those that keep the search's constraints, and are not far beyond its means.

There are two kinds of limits, and both are known before anything is trained:

- A **constraint** (``params<=500k``) is what a person demands. What breaks it is never proposed.
- A search with a limit on time knows what a trial can **afford**: the FLOPs of one sample's forward pass with which the
  trial sees the data at least three times (``Task.affordable_flops``). What is far beyond that is not proposed as long
  as there is anything else, so that a space in which almost nothing fits can be searched.

A strategy draws, and one ``Refusals`` per proposal says which of its draws are accepted, and counts the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from raynas.objectives.constraint import Constraint
from raynas.searchers.proposal import Proposal
from raynas.searchers.shortage import Shortage, figure
from raynas.space import Architecture

#: An architecture of more than so many times the FLOPs that a trial can afford is not proposed. What is affordable sees
#: the data three times: at four times its FLOPs a trial would end before it had seen all of the data once.
FAR_BEYOND = 4.0
#: After so many refusals in one proposal the cheapest of the refused is taken (FLOPs cost some milliseconds each).
MOST_REFUSED = 60
#: After so many draws of one proposal that break a constraint, a strategy looks elsewhere.
MOST_INFEASIBLE = 500
#: The costs of so many networks are remembered.
_REMEMBERED = 10_000


class Admission:
    """Knows which architectures keep the constraints, and which are far beyond what a trial can afford.

    Its state is a cache, and a tally of what it was asked, for messages.

    Args:
        costs: what is known of an architecture before it is trained; a metric that is not known is missing.
        affordable_flops: FLOPs of one sample's forward pass (2 x multiply-adds) that a trial can afford; None: any.
            An architecture whose FLOPs are not known is taken for affordable.
        constraints: limits on costs. An architecture whose cost is not known does not keep them.
    """

    def __init__(
        self,
        costs: Callable[[Architecture], Mapping[str, float]],
        *,
        affordable_flops: float | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self.limit = math.inf if affordable_flops is None else FAR_BEYOND * affordable_flops
        self.constraints = tuple(constraints)
        self.shortage = Shortage(self.constraints)
        self.costs = costs
        self._known: dict[str, Mapping[str, float]] = {}  # by network id

    def excess(self, proposal: Proposal) -> float | None:
        """The FLOPs of what is far beyond; None where it is affordable."""
        flops = self._costs_of(proposal).get("flops")
        return flops if flops is not None and flops > self.limit else None

    def violation(self, proposal: Proposal) -> float:
        """How far an architecture is beyond the constraints, in all: 0 where it keeps them, infinite if not known."""
        if not self.constraints:
            return 0.0
        known = self._costs_of(proposal)
        return sum(each.violation(known.get(each.metric, math.nan)) for each in self.constraints)

    def broken_by(self, proposal: Proposal) -> str:
        """The constraints that an architecture breaks, each with its value, for people; empty where it keeps them."""
        known = self._costs_of(proposal)
        words = []
        for each in self.constraints:
            value = known.get(each.metric)
            if value is None:
                words.append(f"its {each.metric} is not known ({each})")
            elif not each.holds(value):
                words.append(f"its {each.metric} is {figure(value)} ({each})")
        return " and ".join(words)

    def _costs_of(self, proposal: Proposal) -> Mapping[str, float]:
        known = self._known.get(proposal.network_id)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[proposal.network_id] = self.costs(proposal.architecture)
            self.shortage.note(known)
        return known


class Refusals:
    """The draws that one proposal has refused so far (state); without an admission it refuses nothing.

    Args:
        admission: decides which draws are refused.
        most: after this number of draws that are not affordable, the cheapest of them is taken.
    """

    def __init__(self, admission: Admission | None, most: int = MOST_REFUSED) -> None:
        self._admission = admission
        self._most = most
        self._refused: dict[str, tuple[float, Proposal]] = {}  # by trial id, in the order of the draws
        self._infeasible: dict[str, tuple[float, Proposal]] = {}  # likewise: those that break a constraint

    def settle(self, drawn: Proposal) -> Proposal | None:
        """What is to be proposed now: the draw, or (after ``most``) the cheapest one; None: draw again.

        What breaks a constraint is never it.
        """
        if self._admission is None:
            return drawn
        violation = self._admission.violation(drawn)
        if violation > 0:
            self._infeasible.setdefault(drawn.trial_id, (violation, drawn))
            return None
        excess = self._admission.excess(drawn)
        if excess is None:
            return replace(drawn, refused=len(self._refused), infeasible=len(self._infeasible))
        self._refused.setdefault(drawn.trial_id, (excess, drawn))
        return self.cheapest() if len(self._refused) >= self._most else None

    @property
    def full(self) -> bool:
        """Whether this proposal has refused as many as it may."""
        return len(self._refused) >= self._most or self.infeasible >= MOST_INFEASIBLE

    @property
    def infeasible(self) -> int:
        """How many of the draws broke a constraint."""
        return len(self._infeasible)

    def cheapest(self) -> Proposal | None:
        """Of the draws that are not affordable that of the fewest FLOPs, of equals the first; None without any."""
        if not self._refused:
            return None
        _, found = min(self._refused.values(), key=lambda pair: pair[0])
        return replace(found, refused=len(self._refused) - 1, infeasible=len(self._infeasible), beyond=True)

    def nearest(self) -> Proposal | None:
        """Of the draws that break a constraint the one least beyond it, of equals the first; None without any."""
        if not self._infeasible:
            return None
        return min(self._infeasible.values(), key=lambda pair: pair[0])[1]
