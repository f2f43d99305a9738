"""How the winner of a search that has ended is trained further: the command, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raynas.durations import format_duration, typed_duration
from raynas.journal.finalists import DEFAULT_REPEATS, leaders
from raynas.report.wording import counted

if TYPE_CHECKING:
    from raynas.results.result import SearchResult

#: So many networks lead; few enough that each can be repeated often.
_FINALISTS = 3
#: Where a limit on time has to grow, it grows by so many times what the training is expected to take.
_ROOM = 2


@dataclass(frozen=True)
class FinalistTraining:
    """The leading networks trained again.

    Attributes:
        words: what is done, and about how long it takes.
        command: ``raynas resume …``; it tries nothing new, and works as it stands.
    """

    words: str
    command: str


def finalist_training(result: SearchResult) -> FinalistTraining | None:
    """How the leading networks are trained again; None where nothing leads, or where that was asked for already."""
    history, spec = result.history, result.spec
    if result.best is None or result.status == "running" or history.repeats or spec.finalists:
        return None
    leading = leaders(history, _FINALISTS)
    seconds = _seconds(result)
    named = "the leading network" if len(leading) == 1 else f"the {len(leading)} leading networks"
    words = f"train {named} again with other seeds, "
    words += f"{DEFAULT_REPEATS} times each with the full budget of {counted(result.max_steps, history.step_name)}"
    words += f" (about {format_duration(seconds)})" if seconds >= 1 else ""
    words += f", after the {counted(len(history.running), 'trial')} under way" if history.running else ""
    command = f"raynas resume {result.name} --finalists {len(leading)}{_limits(result, seconds)}"
    return FinalistTraining(words, command)


def _limits(result: SearchResult, seconds: float) -> str:
    """The limits without which the command would try new networks first, or be cut short by the time."""
    history, trials, time = result.history, result.spec.trials, result.spec.time
    if result.reason == "time":  # then a resume for finalists alone sets both by itself
        return ""
    needed = history.elapsed_seconds + _ROOM * seconds + 60
    longer = f" --time {typed_duration(60 * math.ceil(needed / 60))}" if time and needed > time else ""
    over = trials and history.searched >= trials
    if over or (result.reason == "exhausted" and not longer):
        return longer
    return f" --trials {history.searched}{longer}"


def _seconds(result: SearchResult) -> float:
    """About how long that takes, the trials under way before it: by what a step of the leading networks took."""
    history = result.history
    leading = leaders(history, _FINALISTS)
    measured = [measurement.seconds for record in leading for measurement in record.measurements]
    workers = int(history.sessions[-1].started.get("workers") or 1)
    rounds = math.ceil(len(leading) * DEFAULT_REPEATS / workers) + math.ceil(len(history.running) / workers)
    return rounds * result.max_steps * sum(measured) / len(measured)
