"""What a session does with reports that lack the metric in force: it is the trial that fails, and not the search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from torch import nn

from raynas.engine.session import ALL_FAILED, Session
from raynas.journal import History, Writer
from raynas.objectives import Constraint, Objective, Objectives
from raynas.schedulers.rungs import FullBudget, Rungs, StoppingRule
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.storage.search_folder import SearchFolder

OBJECTIVE = Objective("val_worst_class", "max")
HEALTHY = {"val_worst_class": 0.5, "val_loss": 1.0}


def made(
    home: Path,
    writer: Writer,
    objective: Objective | Objectives,
    *,
    params: int | None = None,
    rule: StoppingRule | None = None,
) -> Session:
    space = Space(a=op(nn.Linear, 13, Choice(*range(3, 40))))
    return Session(
        SearchFolder(home, "s"),
        number=0,
        space=space,
        searcher=RandomSearcher(space, seed=0),
        rule=rule or Rungs(9),
        objective=objective,
        strategy="random",
        history=History(objective),
        writer=writer,
        trials=40,
        keep_best=1,
        cost=lambda architecture: {} if params is None else {"params": params},
    )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    folder = SearchFolder(tmp_path, "s")
    folder.create()
    with Writer(folder.journal) as writer:
        yield writer


@pytest.fixture
def session(tmp_path: Path, writer: Writer) -> Session:
    return made(tmp_path, writer, OBJECTIVE)


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


BOTH = Objectives((OBJECTIVE, Objective("ms", "min"), Objective("params", "min")))


def test_a_search_of_several_objectives_keeps_their_values_and_the_rule_goes_by_the_first(
    tmp_path: Path, writer: Writer
) -> None:
    session = made(tmp_path, writer, BOTH, params=7)
    first = report(session, {"val_worst_class": 0.5, "ms": 3.0})
    for step in range(2, 10):
        session.measured(first, step, {"val_worst_class": 0.5, "ms": 3.0 - step / 10}, 1.0)
    assert session.history.values(first) == (0.5, 2.1, 7.0)
    second = report(session, {"val_worst_class": 0.4, "ms": math.nan})
    actions = [session.measured(second, step, {"val_worst_class": 0.4, "ms": 0.1}, 1.0) for step in (2, 3)]
    assert actions == ["continue", "stop"], "it is faster, and less accurate"
    assert (session.history.trials[second].state, session.history.values(second)) == ("stopped", (0.4, 0.1, 7.0))


def test_a_metric_of_a_further_objective_that_is_missing_is_named(tmp_path: Path, writer: Writer) -> None:
    session = made(tmp_path, writer, BOTH)
    number = report(session, {"val_worst_class": 0.5, "params": 3.0})
    error = session.history.trials[number].error
    assert error is not None
    assert error["message"].startswith("metric 'ms' is not among those reported (params, val_worst_class);")
    number = report(session, {"val_worst_class": math.nan, "lr": 1.0})
    assert (session.history.trials[number].state, session.history.trials[number].reason) == ("failed", "nan")


def test_a_constraint_on_what_nobody_reports_is_named(tmp_path: Path, writer: Writer) -> None:
    limits = (Constraint("ms", "<=", 5), Constraint("params", "<=", 5))
    session = made(tmp_path, writer, Objectives((OBJECTIVE,), limits), params=7)
    error = session.history.trials[report(session, HEALTHY)].error
    assert error is not None
    assert error["message"].startswith("the constraint on 'ms' cannot be checked: it is no cost, and not among val_")
    number = report(session, {**HEALTHY, "ms": 1.0})
    assert session.history.trials[number].state == "running"


def test_the_weights_of_the_whole_front_stay(tmp_path: Path, writer: Writer) -> None:
    session = made(tmp_path, writer, Objectives(BOTH.objectives[:2]), rule=FullBudget(9))
    for accuracy, ms in [(0.9, 9.0), (0.5, 1.0), (0.7, 5.0), (0.6, 5.0), (0.95, 5.0)]:
        trial = session.next_trial()
        assert trial is not None
        session.started(trial.number)
        session.folder.trial_folder(trial.number).mkdir(parents=True)
        for step in range(1, 10):
            session.measured(trial.number, step, {"val_worst_class": accuracy, "ms": ms}, 1.0)
    session.weights.recommended()
    assert [session.folder.trial_folder(number).is_dir() for number in range(5)] == [False, True, False, False, True]
    assert [record.number for record in session.history.front()] == [1, 4]
