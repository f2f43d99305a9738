"""What a strategy proposes, and what whoever drives one needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from raynas.journal.history import History
from raynas.space import Architecture


@dataclass(frozen=True)
class Proposal:
    """What a strategy proposes: an architecture, its ids, and how it was found (free JSON, for people and analyses).

    ``refused``: how many draws were far beyond what a trial can afford, and were not proposed. ``beyond``: this one is
    far beyond it as well, and was taken because it is the cheapest of those that were drawn. ``infeasible``: how many
    draws broke a constraint, and were not proposed.
    """

    architecture: Architecture
    trial_id: str
    network_id: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 0
    beyond: bool = False
    infeasible: int = 0

    @property
    def refusal_fields(self) -> dict[str, Any]:
        """``refused``, ``beyond``, ``infeasible`` as ``trial_proposed`` has them: where there is something to say."""
        fields = {"refused": self.refused, "beyond": self.beyond, "infeasible": self.infeasible}
        return {name: value for name, value in fields.items() if value}


class Proposer(Protocol):
    """What a session needs of a searcher: ``ArchitectureSearcher`` has more, a class of one's own need not."""

    def propose(self, history: History, number: int) -> Proposal | None: ...

    def update(self, history: History) -> None: ...
