"""The live display, the pace that it counts, and which of the ways of telling is taken; from events of the journal."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.cli.progress.lines import ProgressLines
from raynas.cli.progress.live import LiveDisplay
from raynas.cli.progress.pace import Pace
from raynas.cli.progress.watched import watched
from raynas.journal import History

PATIENCE = 300.0
SPEC = {"space": "resnet", "task": "digits", "strategy": "tpe", "scheduler": "asha", "seed": 5, "epochs": 9}
OBJECTIVE = {"metric": "val_accuracy", "mode": "max"}


class Story:
    """Events of a search with a clock that a test turns; ``listeners`` are told each."""

    def __init__(self, *listeners: Any) -> None:
        self.now, self.seq, self.listeners = 1_000.0, 0, listeners

    def tell(self, event: str, **fields: Any) -> dict[str, Any]:
        told = {"v": 1, "seq": self.seq, "time": self.now, "event": event, **fields}
        self.seq += 1
        for listen in self.listeners:
            listen(told)
        return told

    def begin(self, trials: int | None = 20, seconds: float | None = 300.0, **spec: Any) -> None:
        self.tell("search_started", name="first", objective=OBJECTIVE, spec={**SPEC, **spec}, seed=5)
        self.session(trials, seconds)

    def session(self, trials: int | None, seconds: float | None, number: int = 0) -> None:
        limits = {"trials": trials, "seconds": seconds}
        self.tell("session_started", session=number, pid=1, host="here", limits=limits, workers=2, changes={})

    def start(self, number: int) -> None:
        identity = {"trial_id": f"{number:016x}", "network_id": f"{number:016x}", "name": f"width={number}"}
        self.tell("trial_proposed", trial=number, architecture={"width": number}, **identity)
        self.tell("trial_started", trial=number, attempt=0, session=0)

    def measure(self, number: int, step: int, value: float, stop: str | None = None) -> None:
        decision = {"decision": "stop" if stop else "continue", "stop_reason": stop, "rung": step}
        self.tell("measured", trial=number, step=step, metrics={"val_accuracy": value}, seconds=2.0, **decision)

    def end(self, number: int, state: str, reason: str, message: str = "") -> None:
        error = {"type": "RuntimeError", "message": message, "traceback": ""} if message else None
        self.tell("trial_ended", trial=number, state=state, reason=reason, error=error, steps=3, seconds=6.0)

    def middle(self) -> None:
        """A default, a better one, one stopped, one failed, two under way."""
        self.begin()
        for number in range(4):
            self.start(number)
            self.now += 10
        self.measure(0, 9, 0.9, "budget")
        self.measure(1, 9, 0.95, "budget")
        self.measure(2, 3, 0.5, "early_stopped")
        self.end(3, "failed", "out_of_memory", "no memory\nat all")
        self.start(4)
        self.measure(4, 2, 0.7)
        self.start(5)

    def later(self) -> None:
        """Twelve trials with a time limit alone; the last third of them has gained nothing."""
        self.begin(None, 300.0)
        for number in range(12):
            self.start(number)
            self.now += 10
            self.measure(number, 9, 0.5 + min(number, 7) / 100, "budget")


def drawn(width: int, height: int = 45, story: str = "middle") -> str:
    screen = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    told = Story()
    display = LiveDisplay(console=screen, clock=lambda: told.now)
    told.listeners = (display._events.append,)
    getattr(told, story)()
    with screen.capture() as capture:
        screen.print(display)
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_all_that_matters_is_there_at_any_width(width: int) -> None:
    text = drawn(width)
    for words in (
        "first",
        "running 2",
        "done 2",
        "stopped early 1",
        "failed 1",
        "0.9500 (trial 1)",
        "default 0.9000",
        "(larger is",
    ):
        assert words in text
    assert "trials/hour 360" in text
    assert "training saved 22%" in text  # (9 + 9 + 3) of 27 epochs were trained
    assert "time left about 2m40s" in text  # 16 more at 360 an hour
    assert "trials left 16" in text
    assert max(map(len, text.splitlines())) <= width


def test_a_wide_terminal_shows_trials_with_architecture_and_error() -> None:
    text = drawn(160)
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()[:1].isdigit()}
    assert "default: the hand-made network" in rows["0"]
    assert "width=1" in rows["1"]
    assert "failed: out of memory" in rows["3"]
    assert "no memory at all" in rows["3"]
    assert "2/9" in rows["4"]


@pytest.mark.parametrize("height", [4, 8, 12, 16, 30])
def test_it_fits_in_a_low_terminal(height: int) -> None:
    for width in (60, 160):
        assert len(drawn(width, height, "later").splitlines()) <= max(height, 7)
        lines = drawn(width, height).splitlines()
        assert len(lines) <= max(height, 7)
    assert "running 2" in "".join(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_it_says_what_the_latest_trials_have_gained_and_how_many_more_there_may_be(width: int) -> None:
    text = drawn(width, story="later")
    said = "best 0.5300 after 4 trials, 0.5700 after 8, 0.5700 after 12: the last 4 gained nothing"
    assert said in " ".join(text.split())
    assert "trials left about 18" in text  # in the 3 minutes that are left, at 360 an hour
    assert "time left 3m00s" in text
    assert max(map(len, text.splitlines())) <= width
    assert "best 0.5300" not in drawn(width, 8, "later"), "no room"


def test_until_the_first_trial_it_says_what_is_waited_for() -> None:
    screen = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    told = Story()
    display = LiveDisplay(console=screen, clock=lambda: told.now)
    told.listeners = (display._events.append,)

    def shows() -> str:
        with screen.capture() as capture:
            screen.print(display)
        return capture.get()

    told.now += 3
    assert "checking the space and the task … 3s" in shows()
    told.begin(mlflow=True)
    assert "starting the workers … 0s" in shows()
    told.start(0)
    assert "…" not in shows()
    told.tell("session_ended", session=0, reason="interrupted", message="")
    assert "bringing MLflow up to date, ending Ray … 0s" in shows()


def complete(told: Story, numbers: range, seconds: float) -> None:
    """Trials that are trained in full, one after another, each in so many seconds."""
    for number in numbers:
        told.start(number)
        told.now += seconds
        told.measure(number, 9, 0.5, "budget")


def counted(trials: int | None, seconds: float | None) -> tuple[Story, Pace]:
    history = History()
    pace = Pace(history)
    told = Story(history.apply)
    told.listeners += (lambda event: pace.take(event, told.now),)
    told.begin(trials, seconds)
    return told, pace


def test_the_pace_is_a_dash_until_it_is_known() -> None:
    told, pace = counted(10, None)
    told.now += 60  # Ray's start does not count
    for number in range(3):
        assert pace.trials_per_hour(told.now) is None
        assert pace.eta_text(told.now) == "–"
        told.start(number)
        told.now += 10
        told.measure(number, 9, 0.5, "budget")
    assert pace.trials_per_hour(told.now) == pytest.approx(360)
    assert pace.eta_text(told.now) == "about 1m10s"
    assert pace.share(told.now) == pytest.approx(0.3)


def test_the_limit_that_comes_first_says_when_it_ends() -> None:
    told, pace = counted(1_000, 100.0)
    assert pace.eta_text(told.now) == "within 1m40s"
    complete(told, range(3), 10)
    assert pace.eta_text(told.now) == "1m10s"
    assert pace.share(told.now) == pytest.approx(0.3)
    told.now += 200
    assert pace.eta_text(told.now) == "0s"
    assert pace.share(told.now) == 1.0


def test_the_trials_that_are_left_are_counted_from_the_plan_until_there_is_a_pace() -> None:
    told, pace = counted(None, 100.0)
    assert (pace.trials_text(told.now), pace.time_left_text(told.now)) == ("–", "1m40s")
    told, pace = counted(20, 100.0)
    assert pace.time_left_text(told.now) == "within 1m40s, at most 20 more trials"
    for plan, words in (({"trials": 31, "lines": []}, "about 31"), ({}, "–")):
        history = History()
        pace = Pace(history)
        told = Story(history.apply)
        told.listeners += (lambda event, pace=pace, told=told: pace.take(event, told.now),)
        told.tell("search_started", name="f", objective=OBJECTIVE, spec={**SPEC, "time": 100.0}, seed=5, plan=plan)
        told.session(None, 100.0)
        assert pace.trials_text(told.now) == words
        told.now += 50
        assert pace.trials_text(told.now) == words.replace("31", "15")
        told.session(None, 300.0, number=1)  # the first was killed at once; resumed with more time
        assert pace.trials_text(told.now) == words.replace("31", "93")
    complete(told, range(3), 10)
    assert pace.time_left_text(told.now) == "4m30s, about 27 more trials"


def test_a_reader_of_the_journal_has_the_same_pace_as_the_display() -> None:
    told, pace = counted(100, 1_000.0)
    complete(told, range(4), 100)
    told.tell("session_ended", session=0, reason="interrupted", message="")
    told.now += 50_000
    assert Pace.of(History()).time_left_text(told.now) == ""
    told.session(None, 1_000.0, number=1)
    told.now += 30  # Ray's start
    complete(told, range(4, 8), 10)
    read = Pace.of(pace._history)
    assert read.trials_per_hour(told.now) == pytest.approx(360)
    for ask in (Pace.trials_per_hour, Pace.elapsed, Pace.share, Pace.time_left_text):
        assert ask(read, told.now + 7) == ask(pace, told.now + 7)
    assert read.time_left_text(told.now) == "8m50s, about 53 more trials"


def test_without_limits_there_is_no_end_to_tell() -> None:
    told, pace = counted(None, None)
    assert (pace.eta_text(told.now), pace.share(told.now)) == ("–", 0.0)
    assert (pace.trials_text(told.now), pace.time_left_text(told.now)) == ("–", "")


def test_a_resumed_search_counts_its_own_pace_and_all_its_time() -> None:
    told, pace = counted(10, 1_000.0)
    complete(told, range(4), 100)
    told.tell("session_ended", session=0, reason="interrupted", message="")
    told.now += 50_000
    told.session(10, 1_000.0, number=1)
    assert pace.trials_per_hour(told.now) is None
    complete(told, range(4, 7), 10)
    assert pace.elapsed(told.now) == pytest.approx(430)
    assert pace.trials_per_hour(told.now) == pytest.approx(360)
    assert pace.eta_text(told.now) == "about 30s"


def test_a_clock_that_is_set_and_a_pause_are_not_the_searchs_time() -> None:
    """The events' own clock jumps; what they say of the time that the search has run does not."""
    history = History()
    pace, now = Pace(history), 0.0
    story = Story(history.apply, lambda event: pace.take(event, now))
    told = Story(lambda event: [listen({**event, "elapsed": now}) for listen in story.listeners])
    told.begin(10, 1_000.0)
    for number, jump in enumerate((0.0, 80_000.0, -200_000.0)):
        told.start(number)
        told.now, now = told.now + 10 + jump, now + 10
        told.measure(number, 9, 0.5, "budget")
    assert (pace.elapsed(now + 1), pace.share(now)) == (31.0, 0.3)
    assert pace.trials_per_hour(now) == pytest.approx(360)
    assert pace.eta_text(now) == "about 1m10s"


def test_json_is_the_journal_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with watched(json=True) as watcher:
        assert watcher is not None
        told = Story(watcher)
        told.begin()
        told.start(0)
        print("a task's own words")
        told.measure(0, 3, float("nan"), "nan")
    output = capsys.readouterr()
    events = [json.loads(line) for line in output.out.splitlines()]
    assert [event["seq"] for event in events] == list(range(told.seq))
    assert events[-1]["metrics"] == {"val_accuracy": "nan"}
    assert output.err == "a task's own words\n"


def test_quiet_has_no_watcher_and_a_pipe_gets_lines() -> None:
    with watched(quiet=True) as watcher:
        assert watcher is None
    with watched() as watcher:
        assert isinstance(watcher, ProgressLines)


@pytest.mark.parametrize("ways", ["", "json=True"])
def test_a_reader_that_goes_away_does_not_end_the_search(ways: str) -> None:
    code = (
        "from raynas.cli.progress.watched import watched\n"
        "from tests.cli.test_live import Story\n"
        f"with watched({ways}) as watcher:\n"
        "    told = Story(watcher); told.begin()\n"
        "    for number in range(2000):\n"
        "        told.start(number); told.measure(number, 9, number / 1e4, 'budget')\n"
        "        told.end(number, 'completed', '')\n"
        "import sys; print('went on', file=sys.stderr)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -c "$1" | head -1', sys.executable, code],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        timeout=PATIENCE,
    )
    assert done.stderr == "went on\n"
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1


TALE = """
import sys
from raynas.cli.progress.watched import watched
from tests.cli.test_live import Story
with watched(waiting="checking") as watcher:
    told = Story(watcher)
    told.middle()
    draw = watcher._live.refresh if hasattr(watcher, "_live") else lambda: None
    draw()
    print("a word to standard error", file=sys.stderr)
    draw()
    if sys.argv[1] == "raise":
        raise KeyboardInterrupt
print("the outcome")
"""


def in_a_terminal(*arguments: str, term: str = "xterm-256color") -> str:
    """What a terminal is sent."""
    root = Path(__file__).resolve().parents[2]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(root), "TERM": term, "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(
        [sys.executable, "-c", TALE, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=root,
        env=environment,
    ) as process:
        os.close(theirs)
        sent, until = b"", time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    piece = os.read(ours, 65_536)
                except OSError:  # Linux says so at the end
                    break
                if not piece:
                    break
                sent += piece
        process.wait(timeout=PATIENCE)
    os.close(ours)
    return sent.decode("utf-8")


def test_a_terminal_is_left_as_it_was() -> None:
    sent = in_a_terminal("end")
    assert "stopped early" in sent
    assert "a word to standard error" in sent
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l"), "the cursor is there again"
    assert sent.rstrip().endswith("the outcome")


def test_also_after_an_interruption() -> None:
    sent = in_a_terminal("raise")
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    assert sent.rstrip().endswith("KeyboardInterrupt")


def test_a_dumb_terminal_gets_lines() -> None:
    sent = in_a_terminal("end", term="dumb")
    assert "\x1b" not in sent
    assert "up to 20 trials or 5m00s in all" in sent
    assert "trial 3 failed: out of memory (no memory at all)" in sent
