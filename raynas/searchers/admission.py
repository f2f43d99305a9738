"""Which architectures are worth a trial: those that are not far beyond what a trial can afford.

A search with a limit on time knows what a trial can afford: the FLOPs of one sample's forward pass with which the trial
sees the data at least three times (``Task.affordable_flops``). A strategy draws, and one ``Refusals`` per proposal says
which of its draws are accepted, and counts the others. It also makes sure that a space in which almost nothing fits can
be searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from raynas.searchers.proposal import Proposal
from raynas.space import Architecture

#: An architecture of more than so many times the FLOPs that a trial can afford is not proposed. What is affordable sees
#: the data three times: at four times its FLOPs a trial would end before it had seen all of the data once.
FAR_BEYOND = 4.0
#: After so many refusals in one proposal the cheapest of the refused is taken (FLOPs cost some milliseconds each).
MOST_REFUSED = 60
#: The FLOPs of so many networks are remembered.
_REMEMBERED = 10_000


class Admission:
    """Knows which architectures are far beyond what a trial can afford. Its state is a cache.

    Args:
        affordable_flops: FLOPs of one sample's forward pass (2 x multiply-adds) that a trial can afford.
        flops: gives the FLOPs of an architecture, or None if they are not known; it is then admitted.
    """

    def __init__(self, affordable_flops: float, flops: Callable[[Architecture], float | None]) -> None:
        self.limit = FAR_BEYOND * affordable_flops
        self._flops = flops
        self._known: dict[str, float | None] = {}  # by network id

    def excess(self, proposal: Proposal) -> float | None:
        """The FLOPs of what is far beyond; None where it is admitted."""
        if proposal.network_id not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[proposal.network_id] = self._flops(proposal.architecture)
        flops = self._known[proposal.network_id]
        return flops if flops is not None and flops > self.limit else None


class Refusals:
    """The draws that one proposal has refused so far (state); without an admission it refuses nothing.

    Args:
        admission: decides which draws are refused.
        most: after this number of refused draws, the cheapest of them is taken.
    """

    def __init__(self, admission: Admission | None, most: int = MOST_REFUSED) -> None:
        self._admission = admission
        self._most = most
        self._refused: dict[str, tuple[float, Proposal]] = {}  # by trial id, in the order of the draws

    def settle(self, drawn: Proposal) -> Proposal | None:
        """What is to be proposed now: the draw, or (after ``most``) the cheapest one; None: draw again."""
        if self._admission is None:
            return drawn
        excess = self._admission.excess(drawn)
        if excess is None:
            return replace(drawn, refused=len(self._refused))
        self._refused.setdefault(drawn.trial_id, (excess, drawn))
        return self.cheapest() if self.full else None

    @property
    def full(self) -> bool:
        """Whether this proposal has refused as many as it may."""
        return len(self._refused) >= self._most

    def cheapest(self) -> Proposal | None:
        """The refused draw of the fewest FLOPs, of equals the first; None where nothing was refused."""
        if not self._refused:
            return None
        _, found = min(self._refused.values(), key=lambda pair: pair[0])
        return replace(found, refused=len(self._refused) - 1, beyond=True)
