"""What a session does with reports that lack the metric in force: it is the trial that fails, and not the search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from torch import nn

from raynas.engine.session import ALL_FAILED, Session
from raynas.journal import History, Writer
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import Rungs
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.storage.search_folder import SearchFolder

OBJECTIVE = Objective("val_worst_class", "max")
HEALTHY = {"val_worst_class": 0.5, "val_loss": 1.0}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    folder = SearchFolder(tmp_path, "s")
    folder.create()
    space = Space(a=op(nn.Linear, 13, Choice(*range(3, 40))))
    writer = Writer(folder.journal)
    yield Session(
        folder,
        number=0,
        space=space,
        searcher=RandomSearcher(space, seed=0),
        rule=Rungs(9),
        objective=OBJECTIVE,
        strategy="random",
        history=History(OBJECTIVE),
        writer=writer,
        trials=40,
        keep_best=3,
        cost=lambda architecture: {},
    )
    writer.close()


def report(session: Session, metrics: Mapping[str, float]) -> int:
    """A new trial, which measures this once; its number."""
    trial = session.next_trial()
    assert trial is not None
    session.started(trial.number)
    session.measured(trial.number, 1, dict(metrics), 1.0)
    return trial.number


@pytest.mark.parametrize("healthy_first", [True, False])
def test_a_trial_without_the_metric_fails_by_itself(session: Session, healthy_first: bool) -> None:
    numbers = [report(session, HEALTHY)] if healthy_first else []
    diverged = report(session, {"val_loss": math.nan, "lr": 0.1})
    strange = report(session, {"val_loss": 1.0})
    trials = session.history.trials
    assert session.stop_reason is None
    assert (trials[diverged].state, trials[diverged].reason) == ("failed", "nan")
    assert math.isnan(trials[diverged].measurements[0].metrics["val_worst_class"])
    assert (trials[strange].state, trials[strange].reason) == ("failed", "exception")
    for number, seen in ((diverged, "lr, val_loss nan"), (strange, "val_loss")):
        error = trials[number].error
        assert error is not None
        assert error["message"].startswith(f"metric 'val_worst_class' is not among those reported ({seen});")
    numbers.append(report(session, HEALTHY))
    assert [trials[number].state for number in numbers] == ["running"] * len(numbers)


def test_a_metric_that_no_trial_has_ends_the_search_and_is_named(session: Session) -> None:
    for _ in range(ALL_FAILED):
        assert session.stop_reason is None
        report(session, {"val_loss": 1.0})
    assert session.stop_reason == "all_failed"
    assert "metric 'val_worst_class' is not among those reported (val_loss)" in session.message
