"""Plain progress lines of a search under way: one per ended trial, fewer where trials end faster than one can read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raynas.durations import format_duration

if TYPE_CHECKING:
    from raynas.journal import History, TrialRecord

#: Seconds between two lines, unless the best has changed.
INTERVAL = 0.5


class ProgressLines:
    """Prints a line as trials end. State: the history of the search so far, and when it last printed.

    Args:
        history: what earlier sessions left (their events are not told again).
        write: takes a line.
        clock: seconds, for the throttle.
    """

    def __init__(
        self,
        history: History | None = None,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from raynas.journal import History

        self._history = history or History()
        self._write = write or (lambda line: print(line, flush=True))
        self._clock = clock
        self._last = -INTERVAL
        self._unsaid = 0
        self._best = self._best_number()
        self._limit: int | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes one event of the journal (docs/journal.md)."""
        history = self._history
        history.apply(event)
        if event["event"] == "search_started":
            self._write(f"search {event['name']}: space and task are fine, starting Ray")
        elif event["event"] == "session_started":
            self._limit = event["limits"]["trials"]
            self._write(_opening(history, event))
        elif event["event"] == "trial_ended":
            self._ended(history.trials[event["trial"]])
        elif event["event"] == "session_ended" and self._unsaid:
            self._write(f"{self._count()} {self._unsaid} more trials ended; {standing(history)}")

    def _ended(self, trial: TrialRecord) -> None:
        best = self._best_number()
        news = best is not None and best != self._best
        self._best = best
        now = self._clock()
        if not news and now - self._last < INTERVAL:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} more)" if self._unsaid else ""
        self._last, self._unsaid = now, 0
        line = f"{self._count()} trial {trial.number} {outcome(trial, self._history)}{more}"
        self._write(f"{line}; {standing(self._history, news)}")

    def _count(self) -> str:
        ended = len(self._history.ended)
        return f"[{ended:>{len(str(self._limit))}}/{self._limit}]" if self._limit else f"[{ended}]"

    def _best_number(self) -> int | None:
        return next((record.number for record in self._history.best(1)), None)


def _opening(history: History, session: dict[str, Any]) -> str:
    limits, workers = session["limits"], session["workers"]
    budget = [f"{limits['trials']} trials"] if limits["trials"] else []
    budget += [f"{format_duration(limits['seconds'])}"] if limits["seconds"] else []
    line = f"up to {' or '.join(budget) or 'no limit'} in all, "
    line += f"{workers} trials at the same time" if workers > 1 else "one trial at a time"
    if history.trials:
        line += f"; {len(history.ended)} are done, {len(history.running)} go on where they were"
    return line


def outcome(trial: TrialRecord, history: History) -> str:
    """How a trial ended, in a few words: ``completed 9 epochs, 0.9778``."""
    if trial.state == "failed":
        words = (trial.reason or "failed").replace("_", " ")
        message = " ".join(str((trial.error or {}).get("message", "")).split())[:100]
        return f"failed: {words}" + (f" ({message})" if message else "")
    verb = "stopped after" if trial.state == "stopped" else "completed"
    return f"{verb} {trial.steps} epoch{'' if trial.steps == 1 else 's'}, {shown(history.value(trial))}"


def standing(history: History, news: bool = False) -> str:
    """The best so far, with the default's figure beside it."""
    best = next(iter(history.best(1)), None)
    if best is None:
        return "nothing to compare yet"
    text = f"{'NEW BEST' if news else 'best'} {shown(history.value(best))} (trial {best.number})"
    default = history.trials.get(0)
    if default is not None and default is not best and default.score is not None:
        text += f", default {shown(history.value(default))}"
    return text


def shown(value: float | None) -> str:
    """A figure in four digits, or a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
