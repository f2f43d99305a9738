"""How the winner of a search that has ended is trained further: the command, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raynas.durations import format_duration, typed_duration
from raynas.journal.finalists import DEFAULT_REPEATS
from raynas.report.wording import counted

if TYPE_CHECKING:
    from raynas.report.search_report import SearchReport

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


def finalist_training(report: SearchReport) -> FinalistTraining | None:
    """How the leading networks are trained again; None where nothing leads, or where that was asked for already."""
    counts = report.counts
    if report.best is None or report.status == "running" or counts.repeats or report.spec.finalists:
        return None
    leading = report.leaders[:_FINALISTS]
    seconds = _seconds(report)
    named = "the leading network" if len(leading) == 1 else f"the {len(leading)} leading networks"
    words = f"train {named} again with other seeds, "
    words += f"{DEFAULT_REPEATS} times each with the full budget of {counted(report.spec.epochs, report.step_name)}"
    words += f" (about {format_duration(seconds)})" if seconds >= 1 else ""
    words += f", after the {counted(counts.open, 'trial')} under way" if counts.open else ""
    command = f"raynas resume {report.name} --finalists {len(leading)}{_limits(report, seconds)}"
    return FinalistTraining(words, command)


def _limits(report: SearchReport, seconds: float) -> str:
    """The limits without which the command would try new networks first, or be cut short by the time."""
    searched, trials, time = report.counts.searched, report.spec.trials, report.spec.time
    if report.reason == "time":  # then a resume for finalists alone sets both by itself
        return ""
    needed = report.elapsed_seconds + _ROOM * seconds + 60
    longer = f" --time {typed_duration(60 * math.ceil(needed / 60))}" if time and needed > time else ""
    over = trials and searched >= trials
    if over or (report.reason == "exhausted" and not longer):
        return longer
    return f" --trials {searched}{longer}"


def _seconds(report: SearchReport) -> float:
    """About how long that takes, the trials under way before it: by what a step of the leading networks took."""
    leading = report.leaders[:_FINALISTS]
    measured = [measurement.seconds for trial in leading for measurement in trial.curve]
    rounds = math.ceil(len(leading) * DEFAULT_REPEATS / report.workers) + math.ceil(report.counts.open / report.workers)
    return rounds * report.spec.epochs * sum(measured) / len(measured)
