"""The history as strategies see it, where that is not the search's own: ``History.for_searchers``.

It lacks the repeats of finalists: they are asked for by the search, not by the strategy, and measure again what it
knows. It lacks void trials: what made them fail was mended, so they say nothing of their architectures. It has the warm
start's measurements: trials that ended before the search began, under numbers below 0.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raynas.journal.history import History

#: Strategy, and kind of origin, of a warm start's measurements.
WARM = "warm start"


def warm(history: History, earlier: Sequence[Mapping[str, Any]]) -> None:
    """Puts a warm start's measurements (docs/journal.md) into an empty history, under the numbers -n to -1."""
    for number, known in enumerate(earlier, start=-len(earlier)):
        trial = {"trial": number, "strategy": WARM, "origin": {"kind": WARM}}
        history.apply({**known, **trial, "event": "trial_proposed"})
        measured = {"event": "measured", "trial": number, "step": known["rung"], "rung": known["rung"]}
        reason = "budget" if known["completed"] else "early_stopped"
        history.apply({**measured, "metrics": known["metrics"], "decision": "stop", "stop_reason": reason})
        history.trials[number].end_written = True


def without_void(history: History) -> History:
    """What is known when trials become void: nothing but the warm start, and which trials are still to be measured."""
    other = type(history)(history.objective)
    other.search = history.search
    if history.search and history.search.get("warm_start"):
        warm(other, history.search["warm_start"]["trials"])
    for number, record in history.running.items():
        ids = {"trial_id": record.trial_id, "network_id": record.network_id, "origin": record.origin}
        trial = {"trial": number, "architecture": record.values, "strategy": record.strategy, "name": record.name}
        other.apply({**trial, **ids, "session": record.session, "event": "trial_proposed"})
    return other


def apart(history: History) -> History:
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
