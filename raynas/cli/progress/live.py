"""The live display of a search on a terminal: how it stands now, redrawn four times a second.

Events are only put in line where they happen (on the search's own thread, between two of its decisions); the thread
that draws takes them in. So neither waits for the other, and a signal handler that prints in between finds no lock
held. What is printed meanwhile, by anyone, appears above the display. At the end the display is taken away: the
outcome's tables say all that it said.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from raynas.cli.progress.lines import remarks
from raynas.cli.progress.pace import Pace
from raynas.cli.progress.recent_gain import gain_text
from raynas.durations import brief_duration, format_duration
from raynas.journal import History, TrialRecord
from raynas.journal.recent_gain import recent_gain
from raynas.report.wording import counted, shown
from raynas.running_clock import RunningClock

REFRESHES_PER_SECOND = 4
#: Rows of trials, and how many of them at most are of trials under way.
ROWS, RUNNING_ROWS = 9, 4
#: Lines beside the figures that are not rows of trials: title and bar above them; below them an empty one, the columns'
#: heads, what is waited for, the last one, and one to spare.
_OTHER_LINES = 7

_STYLES = {"completed": "green", "stopped": "yellow", "failed": "red"}
_WORDS = {"completed": "done", "stopped": "stopped early", "failed": "failed"}


class LiveDisplay:
    """Shows a search while it runs: call it with every event of the journal, inside ``with``.

    State: the events that came since the last drawing, and the history of those before.

    Args:
        history: what earlier sessions left (their events are not told again).
        waiting: what is done until the first event. Begun with the first event where empty: others draw until then.
        console: where to draw (default: standard output).
        clock: seconds, of any beginning (default: of this process, pauses left out).
    """

    def __init__(
        self,
        history: History | None = None,
        *,
        waiting: str = "checking the space and the task",
        console: Console | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._history = history or History()
        self._pace = Pace(self._history)
        self._events: deque[dict[str, Any]] = deque()
        self._taking = False
        self._best: TrialRecord | None = self._history.best_trial
        self._gain = gain_text(recent_gain(self._history))
        self._clock = clock or RunningClock().seconds
        self._waiting, self._waiting_since = waiting, self._clock()
        self._spinner = Spinner("dots")
        self._live = Live(
            self,
            console=console or Console(highlight=False),
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # a file of errors stays one
        )

    def __enter__(self) -> LiveDisplay:
        if self._waiting:
            self._live.start()
        else:
            self._live.console.print("checking the space and the task …")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes one event of the journal (docs/journal.md)."""
        self._events.append(event)
        self._live.start()
        for line in remarks(event):
            self._live.console.print(line, markup=False, soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        self._take_in()
        if self._pace.session is not None:
            yield from self._standing(options.max_width, options.height or console.height)
        if self._waiting:
            words = f"{self._waiting} … {format_duration(self._clock() - self._waiting_since)}"
            self._spinner.update(text=Text(words, no_wrap=True, overflow="ellipsis"))
            yield self._spinner
        yield ""  # where the terminal echoes ^C: at the end of a full line that would begin a new one

    def _take_in(self) -> None:
        """Folds in the events that came; not again from within, where a signal handler prints in the middle of it."""
        if self._taking or not self._events:
            return
        self._taking = True
        try:
            while self._events:
                event = self._events.popleft()
                self._history.apply(event)
                self._pace.take(event, self._clock())
                self._wait(event)
            self._best, self._gain = self._history.best_trial, gain_text(recent_gain(self._history))
        finally:
            self._taking = False

    def _wait(self, event: dict[str, Any]) -> None:
        """What is waited for after an event, if anything."""
        kind = event["event"]
        if kind == "search_started":
            waiting = "starting Ray"
        elif kind == "session_started":
            waiting = "starting the workers"
        elif kind == "session_ended":
            waiting = "bringing MLflow up to date, ending Ray" if self._pace.spec.get("mlflow") else "ending Ray"
        elif kind in ("trial_started", "measured"):
            waiting = ""
        else:
            return
        self._waiting, self._waiting_since = waiting, self._clock()

    # -- what is drawn -------------------------------------------------------------------------------------------

    def _standing(self, width: int, height: int) -> Iterator[RenderableType]:
        now = self._clock()
        figures = [*_flow(self._counts(), width), *_flow([*self._figures(), *self._rates(now)], width)]
        gain: list[Text] = list(Text(self._gain, "dim").wrap(self._live.console, width)) if self._gain else []
        rows = min(ROWS, height - _OTHER_LINES - len(figures))
        if len(gain) <= rows:  # in a low terminal it has no room
            figures, rows = [*figures, *gain], min(rows, height - _OTHER_LINES - len(figures) - len(gain))
        yield self._title()
        yield self._bar(width, now)
        yield from figures
        if rows > 0 and self._history.trials:
            yield ""
            yield self._table(width, rows)

    def _title(self) -> Text:
        spec, search = self._pace.spec, self._history.search or {}
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(str(search.get("name", "")), style="bold")
        parts = [f"space {_short(spec.get('space'))}", f"task {_short(spec.get('task'))}"]
        parts += [f"{_short(spec.get('strategy'))} with {_short(spec.get('scheduler'))}", f"seed {spec.get('seed')}"]
        return text.append(f"  {' · '.join(parts)}", style="dim")

    def _bar(self, width: int, now: float) -> Table:
        trials, seconds = self._pace.limits
        ended, elapsed = len(self._history.ended), format_duration(self._pace.elapsed(now))
        words = f"{ended} of {counted(trials, 'trial')}" if trials else counted(ended, "trial")
        words += f"   {elapsed} of {format_duration(seconds)}" if seconds else f"   {elapsed}"
        grid = Table.grid(padding=(0, 2))
        cells: list[RenderableType] = [Text(words, no_wrap=True)]
        room = min(50, width - len(words) - 2)
        if (trials or seconds) and room >= 8:
            cells.insert(0, ProgressBar(total=1.0, completed=self._pace.share(now), width=room))
        grid.add_row(*cells)
        return grid

    def _counts(self) -> list[Text]:
        counts = self._history.counts
        running, paused = len(self._history.running), len(self._history.paused)
        found = [_fact("running", str(running - paused), "cyan")]
        if paused:
            found.append(_fact("paused", str(paused), "cyan"))
        return found + [_fact(_WORDS[key], str(counts[key]), style) for key, style in _STYLES.items()]

    def _figures(self) -> list[Text]:
        history, best = self._history, self._best
        metric = history.objective.metric if history.objective else "best"
        if best is None:
            return [_fact(metric, "nothing to compare yet", "dim")]
        default = history.default
        beside = None if default is None or default.score is None else history.value(default)
        return [
            _fact(f"best {metric}", f"{shown(history.value(best))} (trial {best.number})", "bold green"),
            _fact("default", shown(beside), "bold"),
            Text(f"({history.objective.words})" if history.objective else "", "dim"),
        ]

    def _rates(self, now: float) -> list[Text]:
        rate, saved = self._pace.trials_per_hour(now), self._history.training_saved(self._pace.max_steps)
        return [
            _fact("trials/hour", "–" if rate is None else f"{rate:,.0f}", "bold"),
            _fact("training saved", f"{saved:.0%}", "bold"),
            _fact("time left", self._pace.eta_text(now), "bold"),
            _fact("trials left", self._pace.trials_text(now), "bold"),
        ]

    def _table(self, width: int, rows: int) -> Table:
        history = self._history
        metric = history.objective.metric if history.objective else "value"
        wide = width >= 80
        # With ``expand`` the architecture gets what the others leave, and no figure is ever cut.
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), expand=wide)
        table.add_column("trial", justify="right")
        table.add_column("state", no_wrap=True, overflow="ellipsis", min_width=13)
        table.add_column(metric, justify="right")
        table.add_column(f"{history.step_name}s", justify="right")
        if wide:
            table.add_column("time", justify="right")
            table.add_column("architecture", no_wrap=True, overflow="ellipsis", ratio=1)
        under_way = [trial for number, trial in history.running.items() if number not in history.paused]
        running = under_way[: max(1, min(RUNNING_ROWS, rows // 2))]
        lines = rows - len(running) - (len(under_way) > len(running))
        for number in history.ended[-lines:] if lines > 0 else []:
            table.add_row(*self._ended_row(history.trials[number], wide))
        for trial in running:
            table.add_row(*self._running_row(trial, wide))
        if len(under_way) > len(running):
            table.add_row("", f"and {len(under_way) - len(running)} more", style="dim")
        return table

    def _ended_row(self, trial: TrialRecord, wide: bool) -> list[Text]:
        state, value = _WORDS[trial.state], shown(self._history.value(trial))
        if trial.state == "failed" and trial.reason:
            state += f": {trial.reason.replace('_', ' ')}"
        style = "bold green" if trial is self._best else ""
        cells = [Text(str(trial.number), style), Text(state, style or _STYLES[trial.state])]
        cells += [Text(value, style), Text(str(trial.steps), style)]
        if wide:
            message = " ".join(str((trial.error or {}).get("message", "")).split())
            cells += [Text(brief_duration(trial.seconds), style), Text(message or trial.title, style)]
        return cells

    def _running_row(self, trial: TrialRecord, wide: bool) -> list[Text]:
        metric = self._history.objective.metric if self._history.objective else ""
        value = trial.measurements[-1].metrics.get(metric) if trial.measurements else None
        state = "running" if trial.state == "running" else "starting"
        steps = f"{trial.steps}/{self._pace.max_steps}" if self._pace.max_steps else str(trial.steps)
        cells = [Text(str(trial.number), "cyan"), Text(state, "cyan"), Text(shown(value), "dim"), Text(steps, "dim")]
        if wide:
            cells += [Text(brief_duration(trial.seconds), "dim"), Text(trial.title, "dim")]
        return cells


def _fact(label: str, value: str, style: str) -> Text:
    return Text.assemble((f"{label} ", "dim"), (value, style if value != "0" else "dim"))


def _flow(facts: list[Text], width: int) -> Iterator[Text]:
    """Facts side by side, in as many lines as they need; none is torn apart."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for fact in facts:
        if line and len(line) + 3 + len(fact) > width:
            yield line
            line = Text(no_wrap=True, overflow="ellipsis")
        line.append("   " if line else "").append_text(fact)
    yield line


def _short(reference: Any) -> str:
    """A reference without its folders."""
    return str(reference).rpartition("/")[2]
