"""The history of a search with several objectives or with constraints, folded from events written by hand."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from raynas.journal import History
from raynas.journal.finalists import finalists, leaders
from raynas.journal.history import LOWEST
from raynas.journal.recent_gain import ENOUGH_TRIALS, recent_gain
from raynas.objectives import Constraint, Objective, Objectives
from raynas.objectives.objectives import Standing, Vector

ACCURACY, PARAMS = {"metric": "acc", "mode": "max"}, {"metric": "params", "mode": "min"}
TWO = {"event": "search_started", "objective": ACCURACY, "objectives": [ACCURACY, PARAMS]}
FEW = {"metric": "params", "bound": "<=", "value": 100}
FAST = {"metric": "ms", "bound": "<=", "value": 10}
LIMITED = {"event": "search_started", "objective": ACCURACY, "constraints": [FEW, FAST]}


def proposed(trial: int, **more: Any) -> dict[str, Any]:
    ids = {"trial_id": f"t{trial}", "network_id": f"n{trial}"}
    return {"event": "trial_proposed", "trial": trial, "architecture": {"a": trial}, **ids, **more}


def measured(trial: int, step: int, reason: str | None = None, decision: str = "continue", **metrics: float) -> Any:
    facts = {"rung": step, "decision": "stop" if reason else decision, "stop_reason": reason}
    return {"event": "measured", "trial": trial, "step": step, "metrics": metrics, **facts}


def test_the_values_the_best_and_the_front_of_two_objectives() -> None:
    history = History.from_events(
        [
            TWO,
            proposed(0, params=50),
            measured(0, 3, acc=0.5),
            measured(0, 9, "budget", acc=0.8),
            proposed(1, params=20),
            measured(1, 9, "budget", acc=0.6),
            proposed(2, params=60),
            measured(2, 9, "budget", acc=0.7),  # trial 0 beats it in both
            proposed(3),
            measured(3, 9, "budget", acc=0.9),  # how large it is nobody said
            proposed(4, params=1),
            measured(4, 3, "early_stopped", acc=0.9),
            proposed(5, params=1),
            measured(5, 9, "nan", acc=math.nan),
            proposed(6, params=20),
            measured(6, 9, "budget", acc=0.6),  # the equal of trial 1
            proposed(7, params=10),
        ]
    )
    assert history.values(0) == (0.8, 50.0)
    assert history.values(3) == pytest.approx((0.9, math.nan), nan_ok=True)
    assert history.values(7) is None
    assert [history.value(number) for number in (0, 3, 7)] == [0.8, 0.9, None]
    assert [record.number for record in history.best(9)] == [3, 0, 2, 1, 6, 4], "by the first objective"
    assert [record.number for record in history.front()] == [0, 1, 6]
    assert (history.objective, history.objectives) == (
        Objective("acc"),
        Objectives((Objective("acc"), Objective("params", "min"))),
    )
    history.apply(proposed(8, params=1, repeat_of=0, repeat=1))
    history.apply(measured(8, 9, "budget", acc=0.99))
    assert [record.number for record in history.front()] == [0, 1, 6], "a repeat does not compete"
    assert [record.number for record in history.for_searchers.front()] == [0, 1, 6]


def test_what_is_logged_is_what_was_measured_then() -> None:
    loss = {"metric": "loss", "mode": "min"}
    history = History.from_events(
        [
            {**TWO, "objective": loss, "objectives": [loss, PARAMS]},
            proposed(0, params=50),
            measured(0, 3, loss=2.0, decision="pause"),
            measured(0, 9, "budget", loss=1.0),
            proposed(1, params=50),
            {"event": "trial_ended", "trial": 1, "state": "failed", "reason": "exception"},
        ]
    )
    assert [entry.standing for entry in history.judged] == [
        Standing(3, Vector((2.0, 50.0))),
        Standing(9, Vector((1.0, 50.0))),
        None,
    ]
    assert [tuple(entry) for entry in history.judged] == [(0, (3, -2.0)), (0, (9, -1.0)), (1, LOWEST)]
    assert [tuple(entry) for entry in history.reached] == [tuple(entry) for entry in history.judged]


def test_a_default_that_breaks_a_constraint_is_not_the_best_while_another_keeps_it() -> None:
    events = [LIMITED, proposed(0, params=500), measured(0, 9, "budget", acc=0.99, ms=1.0)]
    history = History.from_events(events)
    assert [record.number for record in history.best(9)] == [0], "there is no other"
    assert not history.feasible(0)
    assert history.front() == []
    history.apply(proposed(1, params=100))
    assert not history.feasible(1), "nothing is measured yet"
    history.apply(measured(1, 3, "early_stopped", acc=0.2, ms=10.0))
    assert [record.number for record in history.best(9)] == [1, 0]
    assert history.best_trial is history.trials[1]
    assert history.feasible(1)
    assert [record.number for record in history.front()] == [1]
    assert (history.trials[0].state, history.counts["completed"]) == ("completed", 1), "it has not failed"


def test_strategies_see_the_costs_of_trials_under_way_and_a_warm_start_without_them() -> None:
    known = {"architecture": {"a": 9}, "trial_id": "t9", "network_id": "n9", "rung": 9, "completed": True}
    earlier = [{**known, "metrics": {"acc": 0.5}}]
    begun = {**LIMITED, "warm_start": {"source": "s", "trials": earlier}}
    history = History.from_events([begun, proposed(0, params=300)])
    history.apply({"event": "session_started", "session": 1, "void": [5]})
    history.apply(measured(0, 9, "budget", acc=0.9, ms=1.0))
    strategies = history.for_searchers
    assert strategies is not history
    assert [record.number for record in strategies.best(9)] == [-1, 0]
    assert (strategies.trials[0].costs, strategies.feasible(0)) == ({"params": 300}, False)


def test_the_best_trial_is_the_first_of_the_best_after_every_event() -> None:
    """Also where a trial meets a constraint on what is measured at one rung, and breaks it at the next."""
    rng = random.Random(3)
    history, changed = History.from_events([LIMITED]), 0
    for number in range(200):
        history.apply(proposed(number, params=rng.choice([50, 100, 101, 200])))
        for rung in range(1, rng.randint(1, 4)):
            before = history.feasible(number)
            value = rng.choice([math.nan, rng.random(), round(rng.random(), 1)])
            history.apply(measured(number, rung, acc=value, ms=rng.choice([5.0, 10.0, 11.0])))
            changed += before != history.feasible(number)
            assert history.best_trial is next(iter(history.best(1)), None)
        ended = {"event": "trial_ended", "trial": number, "steps": 1, "seconds": 1.0}
        history.apply({**ended, "state": rng.choice(["completed", "failed"]), "reason": "budget"})
        assert history.best_trial is next(iter(history.best(1)), None)
    keeps = [history.feasible(record) for record in history.best(999)]
    assert keeps == sorted(keeps, reverse=True)
    assert 10 < sum(keeps) < len(keeps) - 10
    assert changed > 50


def test_finalists_keep_the_constraints_where_there_are_such_networks() -> None:
    events: list[dict[str, Any]] = [LIMITED]
    for number, (acc, params) in enumerate([(0.9, 200), (0.5, 100), (0.6, 100)]):
        events += [proposed(number, params=params), measured(number, 9, "budget", acc=acc, ms=1.0)]
    assert [record.number for record in leaders(History.from_events(events), 3)] == [2, 1]
    assert [record.number for record in leaders(History.from_events(events[:3]), 3)] == [0]
    for number, (of, acc) in enumerate([(0, 0.95), (1, 0.5)], start=3):
        events += [proposed(number, repeat_of=of, repeat=1), measured(number, 9, "budget", acc=acc, ms=1.0)]
    assert [one.original.number for one in finalists(History.from_events(events))] == [1, 0]


def test_there_is_no_gain_while_every_trial_breaks_a_constraint() -> None:
    events: list[dict[str, Any]] = [LIMITED]
    for number in range(ENOUGH_TRIALS):
        events += [proposed(number, params=200), measured(number, 9, "budget", acc=number / 10, ms=1.0)]
    assert recent_gain(History.from_events(events)) is None
    assert recent_gain(History.from_events([{**LIMITED, "constraints": []}, *events[1:]])) is not None


def test_objectives_that_are_given_come_before_those_of_the_journal() -> None:
    given = Objectives((Objective("ms", "min"),), (Constraint("acc", ">=", 0.5),))
    events = [TWO, proposed(0), measured(0, 9, acc=0.4, ms=1.0), proposed(1), measured(1, 9, acc=0.5, ms=2.0)]
    assert [record.number for record in History.from_events(events, given).best(2)] == [1, 0]
    assert History(Objective("ms", "min")).objectives == Objectives((Objective("ms", "min"),))
