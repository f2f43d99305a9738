"""What the latest trials have gained, from the history alone."""

from __future__ import annotations

import math
import random

import pytest

from raynas.journal import History
from raynas.journal.recent_gain import recent_gain
from tests.journal.test_finalists_of_a_history import BEGUN, history, trial


def of(values, mode="max", **more):
    return recent_gain(history(*(trial(n, value, **more) for n, value in enumerate(values)), mode=mode))


def test_the_best_after_each_third_and_what_the_last_one_added():
    values = [0.5, 0.61, *[0.4] * 8, 0.66, *[0.6] * 19]
    found = of(values)
    assert (found.points, found.trials, found.gain) == (((10, 0.61), (20, 0.66), (30, 0.66)), 10, 0.0)
    found = of([*values[:29], 0.7])
    assert found.points[-1] == (30, 0.7)
    assert found.gain == pytest.approx(0.04)


def test_where_less_is_better_a_smaller_value_is_a_gain():
    found = of([2.0, *[3.0] * 6, 1.5, 2.5, 9.0, 1.25], mode="min")
    assert (found.points, found.trials, found.gain) == (((5, 2.0), (8, 1.5), (11, 1.25)), 3, 0.25)


def test_too_few_trials_say_nothing():
    assert of([0.5 + n / 100 for n in range(8)]) is None
    assert of([0.5 + n / 100 for n in range(9)]) is not None
    assert recent_gain(History()) is None


def test_failed_trials_and_repeats_of_finalists_do_not_count():
    values = [0.5, 0.6, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5, 0.8]
    plain = of(values)
    known = [trial(n, value) for n, value in enumerate(values)]
    known.insert(3, trial(9, math.nan, reason="nan"))
    failed = {"event": "trial_ended", "trial": 10, "state": "failed", "reason": "exception"}
    known.insert(6, [trial(10, 0.99)[0], failed])
    known += [trial(11, 0.95, repeat_of=8, repeat=1), trial(12, 0.94, repeat_of=2, repeat=1)]
    assert recent_gain(history(*known)) == plain


def test_values_are_compared_at_the_rung_of_the_best_alone():
    """A trial stopped at a low rung has a value of its own there, which is no best and no loss."""
    known = [trial(n, 0.99, rung=1, reason="early_stopped") for n in range(3)]
    known += [trial(3, 0.6), *(trial(n, 0.9, rung=3, reason="early_stopped") for n in range(4, 8)), trial(8, 0.7)]
    found = recent_gain(history(*known))
    assert (found.points, found.gain) == (((6, 0.6), (9, 0.7)), pytest.approx(0.1))
    known[3], known[7] = trial(3, 0.9, rung=3, reason="early_stopped"), trial(7, 0.6)
    assert recent_gain(history(*known)) is None, "nothing reached that rung before the last third"


def test_trials_that_wait_at_a_rung_count_once():
    """Under promotion a trial pauses, and is measured at the next rung long after others have been."""
    events, value = [BEGUN], 0.5
    for number in range(9):
        proposed, measured = trial(number, value + number / 100, rung=1)
        events += [proposed, {**measured, "decision": "pause", "stop_reason": None}]
    found = recent_gain(History.from_events(events))
    assert found.points == ((3, 0.52), (6, 0.55), (9, 0.58))
    events += [{"event": "trial_promoted", "trial": 8, "rung": 1}]
    assert recent_gain(History.from_events(events)) is None, "the best trial is under way: its end will tell"
    events += [{**measured, "step": 3, "rung": 3, "metrics": {"acc": 0.8}, "decision": "pause", "stop_reason": None}]
    assert recent_gain(History.from_events(events)) is None, "the first at its rung has beaten nobody"


def test_it_is_what_looking_at_all_trials_says():
    rng = random.Random(3)
    for _ in range(200):
        values = [rng.choice((rng.random(), math.nan)) for _ in range(rng.randrange(9, 60))]
        known = [trial(n, v, reason="nan" if math.isnan(v) else "budget") for n, v in enumerate(values)]
        found = recent_gain(history(*known))
        finite = [value for value in values if not math.isnan(value)]
        if len(finite) < 9:
            assert found is None
            continue
        third = len(finite) // 3
        ends = [len(finite) - 2 * third, len(finite) - third, len(finite)]
        assert found.points == tuple((end, max(finite[:end])) for end in ends)
        assert found.gain == max(finite) - max(finite[:-third])
