"""The last lines of a search's outcome: how the winner is trained further. The command works as it is printed.

And what ``raynas status`` says of the time that is left.
"""

from __future__ import annotations

import math
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.cli.app import call
from raynas.cli.render.finalist_training import finalist_training
from raynas.cli.render.tables import print_outcome, print_status
from raynas.engine import interrupt
from raynas.errors import SpecError
from raynas.journal import History
from raynas.results.result import SearchResult
from raynas.running_clock import RunningClock
from raynas.storage.search_folder import SearchFolder

EPOCHS = 9


def events(
    count: int,
    reason: str,
    *,
    trials: int | None,
    time: float | None,
    under_way: int = 0,
    elapsed: float = 100.0,
    **spec: Any,
) -> list[dict[str, Any]]:
    """A search of so many completed trials of 18 s each, 2 at a time, that ended for that reason."""
    objective = {"metric": "val_accuracy", "mode": "max"}
    spec = {"trials": trials, "time": time, "epochs": EPOCHS, **spec}
    told: list[dict[str, Any]] = [{"event": "search_started", "name": "s", "spec": spec, "objective": objective}]
    limits = {"trials": trials, "seconds": time}
    told.append(
        {"event": "session_started", "session": 0, "workers": 2, "changes": {}, "limits": limits, "elapsed": 0.0}
    )
    for number in range(count + under_way):
        ids = {"trial_id": f"t{number}", "network_id": f"n{number}", "architecture": {"a": number}}
        told.append({"event": "trial_proposed", "trial": number, **ids})
        told.append({"event": "trial_started", "trial": number})
        for step in range(1, EPOCHS + 1) if number < count else ():
            last = step == EPOCHS
            decision = {"decision": "stop" if last else "continue", "stop_reason": "budget" if last else None}
            metrics = {"val_accuracy": 0.5 + number / 100}
            measured = {"trial": number, "step": step, "rung": step if last else None, "metrics": metrics}
            told.append({"event": "measured", "seconds": 2.0, **measured, **decision})
    return [*told, {"event": "session_ended", "session": 0, "reason": reason, "elapsed": elapsed}]


def training(tmp_path: Path, told: list[dict[str, Any]]) -> Any:
    return finalist_training(SearchResult(SearchFolder(tmp_path, "s"), History.from_events(told)).report())


@pytest.mark.parametrize(
    ("search", "more"),
    [
        ((7, "trials", {"trials": 7, "time": None}), ""),
        ((7, "time", {"trials": None, "time": 100}), ""),
        ((7, "time", {"trials": 40, "time": 100}), ""),
        ((7, "exhausted", {"trials": None, "time": None}), ""),
        ((7, "exhausted", {"trials": None, "time": 600}), ""),
        ((7, "exhausted", {"trials": None, "time": 150}), " --trials 7 --time 6m"),
        ((7, "interrupted", {"trials": 40, "time": None}), " --trials 7"),
        ((7, "interrupted", {"trials": None, "time": 3_600}), " --trials 7"),
        ((7, "interrupted", {"trials": None, "time": 150}), " --trials 7 --time 6m"),  # 100 s + twice 90 s + 60 s
        ((7, "trials", {"trials": 7, "time": 3_600}), ""),
        ((7, "trials", {"trials": 7, "time": 150}), " --time 6m"),
    ],
)
def test_the_command_has_the_limits_that_it_needs(tmp_path: Path, search: Any, more: str) -> None:
    count, reason, limits = search
    found = training(tmp_path, events(count, reason, **limits))
    assert found.command == f"raynas resume s --finalists 3{more}"
    assert found.words == (
        "train the 3 leading networks again with other seeds, 3 times each with the full budget of 9 epochs "
        "(about 1m30s)"
    )


def test_trials_under_way_go_on_first_and_few_networks_are_fewer_finalists(tmp_path: Path) -> None:
    found = training(tmp_path, events(1, "interrupted", trials=None, time=None, under_way=1))
    assert found.command == "raynas resume s --finalists 1 --trials 2"
    assert found.words == (
        "train the leading network again with other seeds, 3 times each with the full budget of 9 epochs "
        "(about 54s), after the 1 trial under way"
    )


def test_it_is_not_said_where_it_makes_no_sense(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"trials": 7, "time": None}
    assert training(tmp_path, events(0, "time", under_way=2, **limits)) is None, "nothing was measured"
    assert training(tmp_path, events(7, "interrupted", finalists=3, repeats=3, **limits)) is None, "they come anyway"
    told = events(7, "trials", **limits)
    again = {"trial_id": "t6", "network_id": "n6", "architecture": {"a": 6}, "repeat_of": 6, "repeat": 1}
    assert training(tmp_path, [*told, {"event": "trial_proposed", "trial": 7, **again}]) is None, "they were trained"


@pytest.mark.parametrize("reason", ["interrupted", "time"])
def test_status_says_what_is_left_and_what_more_time_brings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    names = {"space": "mlp", "task": "digits", "strategy": "random", "scheduler": "none", "seed": 1}
    told = events(9, reason, trials=None, time=400, **names)
    print_status(SearchResult(SearchFolder(tmp_path, "s"), History.from_events(told)))
    said = dict(line.strip().split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line[:2] == "  ")
    assert ("left" in said) == (reason == "interrupted")
    assert said.get("left", "5m00s, about 27 more trials") == "5m00s, about 27 more trials"  # 9 in 100 s
    assert said["more"] == (
        "time    best 0.5200 after 3 trials, 0.5500 after 6, 0.5800 after 9: the last 3 gained 0.0300; "
        "as many trials again find a better one in about two searches of three"
    )


def printed(capsys: pytest.CaptureFixture[str], result: raynas.SearchResult) -> list[str]:
    """The command under the outcome's last words, as its words."""
    capsys.readouterr()
    print_outcome(result.report())
    *_, words, command = capsys.readouterr().out.splitlines()
    assert words.startswith("to be sure of the winner, train the ")
    name, *rest = shlex.split(command)
    assert name == "raynas"
    return rest


def repeats(result: raynas.SearchResult) -> int:
    """How many repeats of finalists were completed."""
    return sum(result.history.trials[number].state == "completed" for number in result.history.repeats)


def finalists_again(speed: float, value: float) -> list[dict[str, Any]]:
    """A search with a budget of time. Its best trial (0.52; the default had 0.5) was trained again at another speed."""
    told = events(3, "trials", trials=3, time=None, trial_time=9.0, finalists=1, repeats=1)[:-1]
    for event in told:
        if event["event"] == "measured":
            event["metrics"] = {**event["metrics"], "images_per_second": 1_000.0}
    again = {"trial_id": "t2", "network_id": "n2", "architecture": {"a": 2}}
    told.append({"event": "trial_proposed", "trial": 3, "repeat_of": 2, "repeat": 1, **again})
    for step in range(1, EPOCHS + 1):
        last = step == EPOCHS
        decision = {"decision": "stop" if last else "continue", "stop_reason": "budget" if last else None}
        metrics = {"val_accuracy": value, "images_per_second": speed}
        measured = {"trial": 3, "step": step, "rung": step if last else None, "metrics": metrics}
        told.append({"event": "measured", "seconds": 1.0, **measured, **decision})
    return [*told, {"event": "session_ended", "session": 0, "reason": "trials", "elapsed": 9.0}]


@pytest.mark.parametrize(
    ("speed", "value", "busier", "worse"),
    [(1_000.0, 0.52, False, False), (540.0, 0.51, True, False), (900.0, 0.4, False, True)],
)
def test_what_speaks_against_the_finalists_figures_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], speed: float, value: float, busier: bool, worse: bool
) -> None:
    history = History.from_events(finalists_again(speed, value))
    print_outcome(SearchResult(SearchFolder(tmp_path, "s"), history).report())
    said = " ".join(capsys.readouterr().out.split())
    assert ("the repeats saw about 54% of the images that the first runs saw" in said) is busier
    assert ("no finalist's mean is better than the default's value, 0.5000" in said) is worse


class Day:
    """A clock that is a day ahead once two trials have ended: a search's time is then used up, on any machine."""

    def __init__(self) -> None:
        self.ended = 0

    def watch(self, event: dict[str, Any]) -> None:
        self.ended += event["event"] == "trial_ended"

    def read(self) -> float:
        return time.monotonic() + (86_400.0 if self.ended >= 2 else 0.0)


@pytest.mark.usefixtures("ray_session")
def test_the_command_works_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path))
    usual: dict[str, Any] = {
        "workers": 1,
        "epochs": 1,
        "strategy": "random",
        "scheduler": "none",
        "seed": 1,
        "mlflow": False,
    }
    ended = raynas.search("mlp", name="by-trials", trials=2, **usual)
    assert ended.reason == "trials"
    assert call(printed(capsys, ended)) == 0
    assert repeats(raynas.load("by-trials")) == 6
    assert "trained again with other seeds (mean of the repeats alone)" in (said := capsys.readouterr().out)
    assert "to be sure of the winner" not in said

    day = Day()
    monkeypatch.setattr(interrupt, "RunningClock", lambda: RunningClock(day.read, math.inf))
    ended = raynas.search("mlp", name="by-time", seconds="24h", progress=day.watch, **usual)
    assert (ended.reason, ended.status) == ("time", "finished")
    with pytest.raises(SpecError, match="only the time limits this search; give --trials as well"):
        raynas.resume("by-time", finalists=2, seconds="48h")  # is the time for new networks, or for these?
    command = printed(capsys, ended)
    assert command[:-1] == ["resume", "by-time", "--finalists"]
    assert call(command) == 0
    more = raynas.load("by-time")
    assert (more.reason, repeats(more)) == ("trials", 3 * int(command[-1]))
    assert more.history.searched == ended.history.searched, "nothing new was tried"
