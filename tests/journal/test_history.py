"""The fold: every fact that a reader needs, the same whether applied live or replayed."""

from __future__ import annotations

import math
import random

import pytest

from raynas.journal import History, Writer, read
from raynas.journal.history import LOWEST


def proposed(trial, **more):
    fields = {"trial_id": f"t{trial}", "network_id": f"n{trial // 2}", "name": f"a{trial}", "strategy": "random"}
    return {"event": "trial_proposed", "trial": trial, "architecture": {"a": trial}, "origin": {}, "session": 0} | (
        fields | more
    )


def measured(trial, step, value=0.5, **more):
    return {"event": "measured", "trial": trial, "attempt": 0, "step": step, "metrics": {"acc": value}} | (
        {"seconds": 1.0, "rung": None, "decision": "continue", "stop_reason": None} | more
    )


def ended(trial, state, reason, **more):
    return {"event": "trial_ended", "trial": trial, "state": state, "reason": reason, "error": None} | (
        {"steps": 1, "seconds": 9.0} | more
    )


SEARCH = {"event": "search_started", "objective": {"metric": "acc", "mode": "max"}}


def test_the_life_of_trials():
    history = History.from_events(
        [
            SEARCH,
            proposed(0),
            proposed(1),
            {"event": "trial_started", "trial": 0, "attempt": 0, "session": 0},
            measured(0, 1, 0.6, rung=1),
            measured(1, 1, 0.4, rung=1, decision="stop", stop_reason="early_stopped"),
            {"event": "something_new", "trial": 7},
            measured(0, 2, 0.7),
            measured(0, 3, 0.8, rung=3, decision="stop", stop_reason="budget"),
            proposed(2),
            measured(2, 1, math.nan, rung=1, decision="stop", stop_reason="nan"),
            proposed(3),
            ended(3, "failed", "exception", error={"type": "ValueError", "message": "no", "traceback": "…"}),
            proposed(4),
            measured(4, 1, 0.9, rung=1),
        ]
    )
    states = {number: trial.state for number, trial in history.trials.items()}
    assert states == {0: "completed", 1: "stopped", 2: "failed", 3: "failed", 4: "running"}
    assert [history.trials[n].reason for n in range(5)] == ["budget", "early_stopped", "nan", "exception", None]
    assert history.ended == [1, 0, 2, 3]
    assert history.scored == [0, 1, 2, 4]
    assert list(history.running) == [4]
    assert history.seen == {"t0", "t1", "t2", "t3", "t4"}
    assert history.seen_networks == {"n0", "n1", "n2"}
    assert +history.counts == {"completed": 1, "stopped": 1, "failed": 2, "running": 1}
    assert [record.number for record in history.best(9)] == [0, 4, 1]
    assert history.key(0) == (3, 0.8)
    assert history.key(2) == history.key(3) == LOWEST
    assert history.trials[3].error["type"] == "ValueError"
    assert history.steps_trained == 3 + 1 + 1 + 1
    assert history.training_saved(max_steps=3) == pytest.approx(1 - 4 / 6)
    assert history.next_number == 5


def session(number, time, elapsed=None):
    started = {"event": "session_started", "session": number, "time": time}
    return started if elapsed is None else {**started, "elapsed": elapsed}


def test_the_time_used_is_what_sessions_say_that_they_ran():
    """Neither a clock that is set, to and fro, nor a pause counts; an earlier release's sessions go by the clock."""
    events = [SEARCH, session(0, 1_000.0), {**proposed(0), "time": 1_060.0}]
    assert History.from_events(events).elapsed_seconds == 60.0
    events += [session(1, 5_000.0, 0.0), {**proposed(1), "time": 90_000.0, "elapsed": 10.0}]
    assert History.from_events(events).elapsed_seconds == 70.0
    events += [{**proposed(2), "time": 100.0, "elapsed": 12.5}]
    assert History.from_events(events).elapsed_seconds == 72.5
    events += [session(2, 50.0, 0.0), {**proposed(3), "time": 51.0, "elapsed": 7.0}]
    assert History.from_events(events).elapsed_seconds == 79.5


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_best_trial_is_the_first_of_the_best_after_every_event(mode):
    """Also where the best falls back, since it diverges or fails, and in the history that searchers see."""
    rng = random.Random(mode)
    history = History.from_events([{**SEARCH, "objective": {"metric": "acc", "mode": mode}}])
    for number in range(300):
        repeat = {"repeat_of": rng.randrange(number), "repeat": 1} if number > 200 and rng.random() < 0.3 else {}
        history.apply(proposed(number, **repeat))
        for rung in range(1, rng.randint(1, 4)):
            value = rng.choice([math.nan, 0.0, rng.random(), round(rng.random(), 1)])
            history.apply(measured(number, rung, value, rung=rung))
            for view in (history, history.for_searchers):
                assert view.best_trial is next(iter(view.best(1)), None)
        history.apply(ended(number, *rng.choice([("completed", "budget"), ("failed", "exception")])))
        for view in (history, history.for_searchers):
            assert view.best_trial is next(iter(view.best(1)), None)
    assert len(history.repeats) > 5


def test_min_turns_the_sign():
    search = {"event": "search_started", "objective": {"metric": "acc", "mode": "min"}}
    history = History.from_events(
        [search, proposed(0), proposed(1), measured(0, 1, 2, rung=1), measured(1, 1, 1, rung=1)]
    )
    assert [record.number for record in history.best(2)] == [1, 0]
    assert history.value(1) == 1.0


def test_a_higher_rung_beats_a_better_value():
    history = History.from_events(
        [SEARCH, proposed(0), proposed(1), measured(0, 3, 0.1, rung=3), measured(1, 1, 0.9, rung=1)]
    )
    assert history.best()[0].number == 0


def test_a_trial_ends_once_and_measures_a_step_once():
    history = History.from_events(
        [
            SEARCH,
            proposed(0),
            measured(0, 1, 0.5, rung=1),
            measured(0, 2, 0.6),
            {"event": "trial_started", "trial": 0, "attempt": 1, "session": 0},
            measured(0, 2, 0.1, attempt=1),
            measured(0, 3, 0.7, rung=3, decision="stop", stop_reason="budget", attempt=1),
            measured(0, 4, 0.0, rung=4),
            ended(0, "completed", "budget", steps=3),
            ended(0, "failed", "exception"),
            {"event": "trial_started", "trial": 0, "attempt": 2, "session": 1},
        ]
    )
    trial = history.trials[0]
    assert [(m.step, m.metrics["acc"]) for m in trial.measurements] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert (trial.state, trial.reason, trial.attempts, trial.seconds) == ("completed", "budget", 2, 9.0)
    assert history.ended == [0]
    assert history.steps_trained == 3


def test_events_of_trials_that_were_never_proposed_are_ignored():
    history = History.from_events(
        [SEARCH, measured(9, 1), ended(9, "failed", "exception"), {"event": "trial_started", "trial": 9}]
    )
    assert not history.trials
    assert not history.ended


def test_elapsed_seconds_add_up_over_sessions():
    def session(number, time):
        return {"event": "session_started", "session": number, "time": time}

    history = History.from_events(
        [
            {**SEARCH, "time": 50.0},
            session(0, 100.0),
            {**proposed(0), "time": 110.0},
            session(1, 500.0),  # the first was killed: it counts up to its last event
            {**measured(0, 1), "time": 520.0},
            {"event": "session_ended", "session": 1, "reason": "time", "message": "", "time": 530.0},
            session(2, 400.0),  # another machine's clock
            {**measured(0, 2), "time": 405.0},
        ]
    )
    assert history.elapsed_seconds == 10 + 30 + 5
    assert [record.reason for record in history.sessions] == [None, "time", None]


def test_replayed_equals_live(tmp_path):
    live = History()
    with Writer(tmp_path / "journal.jsonl") as writer:
        for event in [proposed(0), measured(0, 1, rung=1), proposed(1), measured(1, 1, -math.inf, rung=1)]:
            live.apply(writer.write(event.pop("event"), **event))
    replayed = History.from_events(read(tmp_path / "journal.jsonl"))
    assert vars(replayed) == vars(live)
    assert live.trials[1].measurements[0].metrics == {"acc": -math.inf}
