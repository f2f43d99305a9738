"""What tests of strategies share besides ``raynas.testing``: a score that is easy to learn, and a search's best."""

from __future__ import annotations

from typing import Any

from raynas.journal import History
from raynas.space import Architecture
from raynas.testing.example_spaces import options_space, recipe_space
from raynas.testing.simulated_search import OBJECTIVE, simulate

__all__ = ["OBJECTIVE", "best", "options_space", "recipe_space", "simulate", "target_score"]


def target_score(architecture: Architecture) -> float:
    """How many holes are at the value 2 of their options; best where all are. Nothing else helps."""
    return sum(value == 2 for value in architecture.values()) / len(architecture)


def best(events: list[dict[str, Any]]) -> float:
    """The best value of a simulated search."""
    history = History.from_events(events)
    value = history.value(history.best()[0])
    assert value is not None
    return value
