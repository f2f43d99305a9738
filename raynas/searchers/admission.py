"""Which architectures are worth a trial: those that are not far beyond what a trial can afford.

A search with a limit on time knows what a trial can afford: so many FLOPs of one sample's forward pass that the trial
sees the data at least three times (``Task.affordable_flops``). A strategy draws, and one ``Refusals`` a proposal says
which of its draws stand, counts the others, and sees to it that a space in which next to nothing fits is searched, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raynas.space import Architecture

#: An architecture of more than so many times the FLOPs that a trial can afford is not proposed. What is affordable sees
#: the data three times: at four times its FLOPs a trial would end before it had seen all of the data once.
FAR_BEYOND = 4.0
#: After so many refusals in one proposal the cheapest of the refused is taken (FLOPs cost some milliseconds each).
MOST_REFUSED = 60
#: The FLOPs of so many networks are remembered.
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Proposal:
    """What a strategy names: an architecture, its ids, and how it came about (free JSON, for people and analyses).

    ``refused``: so many draws were far beyond what a trial can afford, and were not proposed; ``beyond``: this one is
    as well, and was taken all the same, as the cheapest of those drawn.
    """

    architecture: Architecture
    trial_id: str
    network_id: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 0
    beyond: bool = False

    @property
    def refusal_fields(self) -> dict[str, Any]:
        """``refused`` and ``beyond`` as ``trial_proposed`` has them: where there is something to say."""
        fields = {"refused": self.refused, "beyond": self.beyond}
        return {name: value for name, value in fields.items() if value}


class Admission:
    """Tells what is far beyond what a trial can afford. Its state is a cache.

    Args:
        affordable_flops: FLOPs of one sample's forward pass (2 x multiply-adds) that a trial can afford.
        flops: those of an architecture; None where they are not known: it is admitted.
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
        admission: what tells them.
        most: after so many the cheapest of them is taken.
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
