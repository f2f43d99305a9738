"""Progress lines, from events as the journal has them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from raynas.cli.progress.lines import ProgressLines, remarks
from raynas.cli.progress.recent_gain import FORECAST, gain_text, outlook_text
from raynas.cli.progress.watched import watched
from raynas.journal import History
from raynas.journal.recent_gain import recent_gain
from raynas.report.wording import shown


class Watch:
    """A clock that a test turns, the lines that were written, and the events' sequence."""

    def __init__(self, history: History | None = None) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.report = ProgressLines(history, write=self.lines.append, clock=lambda: self.now)
        self.seq = 0

    def tell(self, event: str, **fields: Any) -> None:
        self.report({"v": 1, "seq": self.seq, "time": 100.0 + self.now, "event": event, **fields})
        self.seq += 1

    def begin(self, trials: int | None = 20, seconds: float | None = 300.0) -> None:
        self.tell("search_started", name="first", objective={"metric": "val_accuracy", "mode": "max"}, spec={}, seed=0)
        limits = {"trials": trials, "seconds": seconds}
        self.tell("session_started", session=0, pid=1, host="here", limits=limits, workers=2, changes={}, versions={})

    def run_trial(self, number: int, value: float, state: str = "completed", **end: Any) -> None:
        identity = f"{number:016x}"
        self.tell(
            "trial_proposed",
            trial=number,
            architecture={"width": number},
            trial_id=identity,
            network_id=identity,
            name=f"width={number}",
            strategy="random",
            origin={},
            session=0,
        )
        self.tell("trial_started", trial=number, attempt=0, session=0)
        stop = {"completed": "budget", "stopped": "early_stopped"}.get(state)
        if stop is not None:
            self.tell(
                "measured",
                trial=number,
                attempt=0,
                step=3,
                metrics={"val_accuracy": value},
                seconds=0.5,
                rung=3,
                decision="stop",
                stop_reason=stop,
            )
        self.tell(
            "trial_ended",
            trial=number,
            **{"state": state, "reason": stop, "error": None, "steps": 3, "seconds": 0.5, **end},
        )


def test_limits_come_first() -> None:
    watch = Watch()
    watch.begin()
    assert watch.lines[-1] == (
        "up to 20 trials or 5m00s in all, 2 trials at the same time; val_accuracy, larger is better"
    )


def test_each_end_is_told_with_best_and_default_beside_it() -> None:
    watch = Watch()
    watch.begin()
    watch.run_trial(0, 0.8)
    watch.now = 1
    watch.run_trial(1, 0.7, "stopped")
    watch.now = 2
    watch.run_trial(2, 0.9)
    assert watch.lines[2:] == [
        "[ 1/20] trial 0 completed 3 epochs, 0.8000; NEW BEST 0.8000 (trial 0)",
        "[ 2/20] trial 1 stopped after 3 epochs, 0.7000; best 0.8000 (trial 0)",
        "[ 3/20] trial 2 completed 3 epochs, 0.9000; NEW BEST 0.9000 (trial 2), default 0.8000",
    ]


def test_fast_trials_share_a_line_unless_one_is_the_best() -> None:
    watch = Watch()
    watch.begin()
    watch.run_trial(0, 0.8)
    for number in (1, 2):
        watch.run_trial(number, 0.5)
    watch.run_trial(3, 0.85)
    assert len(watch.lines) == 4
    assert "trial 3 completed 3 epochs, 0.8500 (and 2 more); NEW BEST" in watch.lines[-1]
    watch.run_trial(4, 0.6)
    watch.tell("session_ended", session=0, reason="trials", message="")
    assert watch.lines[4:] == ["[ 5/20] 1 more trial ended; best 0.8500 (trial 3), default 0.8000"]


def test_a_line_costs_the_same_however_many_trials_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks at a trial's rank: once all trials were looked at for each line."""
    looks = 0
    key = History.key

    def counting(history: History, trial: Any) -> Any:
        nonlocal looks
        looks += 1
        return key(history, trial)

    monkeypatch.setattr(History, "key", counting)
    watch = Watch()
    watch.begin()
    costs = []
    for number in range(600):
        before = looks
        watch.now += 1
        watch.run_trial(number, (number * 7919 % 1000) / 1000, *(["failed"] if number % 7 == 0 else []))
        costs.append(looks - before)
    assert sum(costs[500:]) < 2 * sum(costs[:100])
    assert max(costs) < 20


def test_a_failure_says_why_in_one_line() -> None:
    watch = Watch()
    watch.begin(trials=None)
    error = {"type": "RuntimeError", "message": "shapes\n  do not fit", "traceback": ""}
    watch.run_trial(0, 0.0, "failed", reason="exception", error=error)
    assert watch.lines[-1] == "[1] trial 0 failed: exception (shapes do not fit); nothing to compare yet"


def test_a_resumed_search_says_what_is_there() -> None:
    watch = Watch()
    watch.begin()
    watch.run_trial(0, 0.8)
    later = Watch(watch.report._history)
    later.tell(
        "session_started",
        session=1,
        pid=2,
        host="here",
        limits={"trials": 30, "seconds": None},
        workers=1,
        changes={},
        versions={},
        decisions={"precision": "fp32", "reason": "float32, since …"},  # said in the first session alone
    )
    assert later.lines == [
        "up to 30 trials in all, one trial at a time; val_accuracy, larger is better; "
        "1 ended before, 0 to go on where they were"
    ]
    event = {"event": "session_started", "session": 0, "decisions": {"reason": "float32, since …"}}
    assert remarks(event) == ["arithmetic: float32, since …"]
    later.run_trial(1, 0.7)
    assert later.lines[-1].startswith("[ 2/30] trial 1 completed")


def test_a_gain_that_the_digits_do_not_show_is_almost_nothing() -> None:
    watch = Watch()
    watch.begin()
    for number, value in enumerate([0.66] * 8 + [0.66001]):
        watch.run_trial(number, value)
    words = "best 0.6600 after 3 trials, 0.6600 after 6, 0.6600 after 9: the last 3 gained almost nothing"
    history = watch.report._history
    assert gain_text(recent_gain(history)) == words
    assert outlook(history) == f"{words}; {FORECAST}"
    watch.run_trial(9, 1.0)
    assert outlook(history).endswith("the last 3 gained 0.3400; no value can be better")


def outlook(history: History) -> str:
    assert history.best_trial is not None
    assert history.objective is not None
    return outlook_text(recent_gain(history), history.value(history.best_trial), history.objective)


def test_figures_have_four_digits() -> None:
    assert [shown(value) for value in (None, 0.5, 0.0, 12.34567, 0.00012345, float("nan"))] == [
        "–",
        "0.5000",
        "0.0000",
        "12.3457",
        "0.0001234",
        "nan",
    ]


def test_now_and_then_a_line_says_what_is_left_and_what_the_latest_trials_gained() -> None:
    watch = Watch()
    watch.begin(trials=20, seconds=None)
    for number in range(20):
        watch.now += 10
        watch.run_trial(number, 0.5 + min(number, 7) / 100)
    assert [line for line in watch.lines if not line.startswith(("[", "search", "up to"))] == [
        "left: about 1m57s, 14 more trials",  # 6 in 50 s: counted from the first trial's start
        "left: about 1m38s, 11 more trials; best 0.5200 after 3 trials, 0.5500 after 6, 0.5700 after 9: "
        "the last 3 gained 0.0200",
        "left: about 1m05s, 7 more trials; best 0.5400 after 5 trials, 0.5700 after 9, 0.5700 after 13: "
        "the last 4 gained nothing",
        "left: about 9s, 1 more trial; best 0.5600 after 7 trials, 0.5700 after 13, 0.5700 after 19: "
        "the last 6 gained nothing",
    ]


def test_what_was_measured_before_the_search_is_told_line_by_line() -> None:
    plan = {"trials": 31, "lines": ["about 31 trials of 48 s", "at 64x64 the network would see the data once"]}
    event = {"event": "search_started", "name": "first", "task": {"summary": "400 images"}, "plan": plan}
    assert remarks(event) == ["data: 400 images", "plan: about 31 trials of 48 s", plan["lines"][1]]
    assert remarks({**event, "plan": {"trials": 31}}) == ["data: 400 images"]


def test_quiet_is_silent_about_mlflow_as_well(caplog: pytest.LogCaptureFixture) -> None:
    with watched(quiet=True):
        logging.getLogger("raynas").warning("MLflow: away")
    assert caplog.messages == []
    logging.getLogger("raynas").warning("MLflow: away")
    assert caplog.messages == ["MLflow: away"]
