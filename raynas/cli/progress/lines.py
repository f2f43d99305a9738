"""What a search says while it runs, without a display: plain lines, or events as JSON.

The plain lines: one per ended trial, fewer where trials end faster than one can read. Now and then one that says what
is left and what the latest trials have gained.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from raynas.durations import format_duration
from raynas.report.wording import counted, near, plan_lines, shown

if TYPE_CHECKING:
    from raynas.journal import History, TrialRecord

#: Seconds between two lines, unless the best has changed.
INTERVAL = 0.5

#: What is left is said after so many ended trials, and again each time that there are half as many more.
FIRST_OUTLOOK = 6


class EventLines:
    """Writes every event as the journal has it: one JSON object a line (docs/journal.md)."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def __call__(self, event: dict[str, Any]) -> None:
        from raynas.journal.events import encode

        _say(encode(event).decode("utf-8").rstrip("\n"), self._output)


def _say(line: str, output: TextIO | None = None) -> None:
    """Writes a line now. The search goes on where its reader went away (``raynas search … | head``)."""
    output = output or sys.stdout
    try:
        print(line, file=output, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


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
        from raynas.cli.progress.pace import Pace
        from raynas.journal import History

        self._history = history or History()
        self._pace = Pace(self._history)
        self._outlook_after = max(FIRST_OUTLOOK, len(self._history.ended) + 1)
        self._write = write or _say
        self._clock = clock
        self._last = -INTERVAL
        self._unsaid = 0
        self._best = self._best_number()
        self._limit: int | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes one event of the journal (docs/journal.md)."""
        history = self._history
        history.apply(event)
        self._pace.take(event, self._clock())
        if event["event"] == "search_started":
            self._write(f"search {event['name']}: the space is fine; starting Ray and trying one step")
        elif event["event"] == "session_started":
            self._limit = _planned(history, event)
            self._write(_opening(history, event))
        elif event["event"] == "trial_ended":
            self._ended(history.trials[event["trial"]])
        elif event["event"] == "session_ended" and self._unsaid:
            self._write(f"{self._count()} {counted(self._unsaid, 'more trial')} ended; {standing(history)}")
        if event["event"] == "trial_ended" and len(history.ended) >= self._outlook_after:
            self._outlook()
        for line in remarks(event):
            self._write(line)

    def _outlook(self) -> None:
        """What is left, and what the latest trials have gained."""
        from raynas.cli.progress.recent_gain import gain_text
        from raynas.journal.recent_gain import recent_gain

        self._outlook_after = len(self._history.ended) * 3 // 2
        left, gain = self._pace.time_left_text(self._clock()), gain_text(recent_gain(self._history))
        if left:  # at the end the outcome says the rest
            self._write(f"left: {left}" + (f"; {gain}" if gain else ""))

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
        best = self._history.best_trial
        return None if best is None else best.number


def remarks(event: Mapping[str, Any]) -> list[str]:
    """What is worth a line of its own in an event: what the data are, what was planned by measuring, which files have
    changed, why the default is left out, and what the strategy is about to do."""
    if event["event"] == "search_started":
        summary = event.get("task", {}).get("summary")
        data = [f"data: {summary}"] if summary else []
        return [*data, *plan_lines((event.get("plan") or {}).get("lines") or [])]
    if event["event"].startswith("stage_"):
        return [_stage_line(event)]
    if event["event"] != "session_started":
        return []
    files, explanation = event.get("files") or {}, event.get("explanation")
    reason = (event.get("decisions") or {}).get("reason")
    if files.get("taken"):
        said = [f"new files are taken: {', '.join(files['changed'])}"]
    else:
        said = describe_changes(files.get("changed", []))
    said += [f"arithmetic: {reason}"] if reason and event["session"] == 0 else []
    said += [f"default: left out, since {event['left_out']}"] if event.get("left_out") else []
    return said + ([f"strategy: {explanation}"] if explanation else [])


def _stage_line(event: Mapping[str, Any]) -> str:
    """How far the work before the trials is: ``stage supernet: step 3, loss 0.412``."""
    name = f"stage {event['stage']}"
    if event["event"] == "stage_started":
        return f"{name}: before the trials, in {counted(event['steps'], 'step')}"
    if event["event"] == "stage_ended":
        return f"{name}: {event['state']} in {format_duration(event['seconds'])}"
    metrics = (f"{metric} {shown(value)}" for metric, value in event["metrics"].items())
    return f"{name}: step {event['step']}, {', '.join(metrics)}"


def describe_changes(files: Sequence[str | Path]) -> list[str]:
    """That files of one's own have changed since a search began, and what becomes of that; nothing where none has."""
    if not files:
        return []
    named = ", ".join(near(Path(path)) for path in files[:3]) + (
        f" and {len(files) - 3} more" if len(files) > 3 else ""
    )
    return [
        f"{named} changed since the search began; it goes on with its copy (as long as no trial was measured, "
        "--take-new-files takes the new one)"
    ]


def _planned(history: History, session: dict[str, Any]) -> int | None:
    """How many trials there may be in all, the repeats of finalists included."""
    from raynas.results.search_view import current_spec, planned_trials

    spec = current_spec(history) if history.search else {}
    return planned_trials(session["limits"]["trials"], spec.get("finalists"), spec.get("repeats"))


def _opening(history: History, session: dict[str, Any]) -> str:
    limits, workers = session["limits"], session["workers"]
    budget = [counted(limits["trials"], "trial")] if limits["trials"] else []
    if budget and (more := (_planned(history, session) or 0) - limits["trials"]):
        budget = [f"{budget[0]} and {counted(more, 'repeat')} of finalists"]
    budget += [f"{format_duration(limits['seconds'])}"] if limits["seconds"] else []
    line = f"up to {' or '.join(budget) or 'no limit'} in all, "
    line += f"{workers} trials at the same time" if workers > 1 else "one trial at a time"
    line += f"; {history.objective}" if history.objective else ""
    if history.trials:
        line += f"; {len(history.ended)} ended before, {len(history.running)} to go on where they were"
    return line


def outcome(trial: TrialRecord, history: History) -> str:
    """How a trial ended, in a few words: ``completed 9 epochs, 0.9778``."""
    if trial.state == "failed":
        words = (trial.reason or "failed").replace("_", " ")
        message = " ".join(str((trial.error or {}).get("message", "")).split())[:100]
        return f"failed: {words}" + (f" ({message})" if message else "")
    verb = "stopped after" if trial.state == "stopped" else "completed"
    if trial.repeat_of is not None:
        verb = f"(trial {trial.repeat_of} again) {verb}"
    return f"{verb} {counted(trial.steps, history.step_name)}, {shown(history.value(trial))}"


def standing(history: History, news: bool = False) -> str:
    """The best so far, with the default's figure beside it."""
    best = history.best_trial
    if best is None:
        return "nothing to compare yet"
    text = f"{'NEW BEST' if news else 'best'} {shown(history.value(best))} (trial {best.number})"
    default = history.default
    if default is not None and default is not best and default.score is not None:
        text += f", default {shown(history.value(default))}"
    return text
