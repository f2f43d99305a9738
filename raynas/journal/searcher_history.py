"""The history as strategies see it, if it differs from the search's own: ``History.for_searchers``.

It does not have the repeats of finalists, because the search asks for them, not the strategy, and they measure again
what is known. It does not have void trials: the cause of their failure was corrected, so they say nothing about their
architectures. It has the measurements of the warm start, as trials that ended before the search began, under numbers
below 0.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

#: Strategy, and kind of origin, of a warm start's measurements.
WARM = "warm start"


class _History(Protocol):
    """The part of a ``History`` that is needed here."""

    search: dict[str, Any] | None
    trials: dict[int, Any]
    running: dict[int, Any]
    sessions: list[Any]

    def apply(self, event: Mapping[str, Any]) -> None: ...


H = TypeVar("H", bound=_History)


def put_warm_start(history: _History, earlier: Sequence[Mapping[str, Any]]) -> None:
    """Puts a warm start's measurements (docs/journal.md) into an empty history, under the numbers -n to -1."""
    for number, known in enumerate(earlier, start=-len(earlier)):
        trial = {"trial": number, "strategy": WARM, "origin": {"kind": WARM}}
        history.apply({**known, **trial, "event": "trial_proposed"})
        measured = {"event": "measured", "trial": number, "step": known["rung"], "rung": known["rung"]}
        reason = "budget" if known["completed"] else "early_stopped"
        history.apply({**measured, "metrics": known["metrics"], "decision": "stop", "stop_reason": reason})
        history.trials[number].end_written = True


def without_void(history: H, other: H) -> H:
    """What is known when trials become void: nothing but the warm start, and which trials are still to be measured.

    Args:
        history: the search's own.
        other: a new one of the same objectives, which is filled with that and returned.
    """
    other.search = history.search
    if history.search and history.search.get("warm_start"):
        put_warm_start(other, history.search["warm_start"]["trials"])
    for number, record in history.running.items():
        ids = {"trial_id": record.trial_id, "network_id": record.network_id, "origin": record.origin}
        trial = {"trial": number, "architecture": record.values, "strategy": record.strategy, "name": record.name}
        known = {"costs": record.costs, "session": record.session}
        other.apply({**trial, **ids, **known, "event": "trial_proposed"})
    return other


def copied(history: H) -> H:
    """What is known by now as a history of its own, from the first repeat on. Ended trials, which do not change any
    more, are shared."""
    fresh = {
        number: replace(record, measurements=list(record.measurements)) for number, record in history.running.items()
    }
    other = copy.copy(history)
    for name, value in vars(history).items():
        if isinstance(value, dict) and not isinstance(value, Counter):
            setattr(other, name, {key: fresh.get(key, known) for key, known in value.items()})
        elif isinstance(value, list | set | Counter):
            setattr(other, name, copy.copy(value))
    other.sessions = [replace(session) for session in history.sessions]
    return other
