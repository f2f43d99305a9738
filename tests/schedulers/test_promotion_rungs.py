"""Promotion: the contract, a brute-force twin that writes algorithm 2 out, and what a replay knows."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from raynas.schedulers.promotion import PromotionRungs
from raynas.schedulers.rungs import Rungs
from raynas.testing import SchedulerContract
from raynas.testing.scheduler import drive, finite_curve, replayed


class TestPromotionRungs(SchedulerContract):
    def rule(self, max_steps, **settings):
        return PromotionRungs(max_steps, **settings)


class Twin:
    """The slow way: at each question all rungs are sorted anew, from the highest down."""

    def __init__(self, levels, mode, factor):
        self.levels, self.sign, self.factor = levels, 1 if mode == "max" else -1, factor
        self.values = {level: {} for level in levels}
        self.left = {level: set() for level in levels}

    def promotable(self):
        for level in reversed(self.levels[:-1]):
            ranked = sorted(self.values[level], key=lambda trial: (-self.sign * self.values[level][trial], trial))
            for trial in ranked[: len(ranked) // self.factor]:
                if trial not in self.left[level]:
                    return level, trial
        return None


VALUES = [math.nan, *(n / 8 for n in range(-4, 9))]


@settings(max_examples=150, deadline=None)
@given(
    max_steps=st.integers(1, 40),
    mode=st.sampled_from(["min", "max"]),
    factor=st.integers(2, 4),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_promotions_equal_those_of_a_brute_force_twin(max_steps, mode, factor, seed, data):
    grace = data.draw(st.integers(1, max_steps))
    rungs = PromotionRungs(max_steps, mode=mode, grace_period=grace, reduction_factor=factor)
    twin, rng, running, number = Twin(rungs.levels, mode, factor), random.Random(seed), {}, 0
    for _ in range(120):
        if len(running) < 3:  # a worker is free
            expected = twin.promotable()
            assert rungs.promotable() == (None if expected is None else expected[1])
            if expected is None:
                running[number] = 0
                number += 1
            else:
                level, trial = expected
                rungs.leave(trial)
                twin.left[level].add(trial)
                running[trial] = level
        trial = rng.choice(list(running))
        running[trial] += 1
        step, value = running[trial], rng.choice(VALUES)
        decision = rungs.record(trial, step, value)
        if not math.isfinite(value):
            assert (decision.action, decision.reason) == ("stop", "nan")
        elif step == max_steps:
            assert (decision.action, decision.reason, decision.rung) == ("stop", "budget", step)
        else:
            assert (decision.action, decision.rung) == (("pause", step) if step in rungs.levels else ("continue", None))
        if step in rungs.levels and math.isfinite(value):
            twin.values[step][trial] = value
        if decision.action != "continue":
            del running[trial]


def test_the_rungs_are_those_of_the_stopping_form():
    for steps in (1, 2, 9, 27, 100, 244):
        assert PromotionRungs(steps).levels == Rungs(steps).levels


def test_who_was_promoted_and_who_ended_keeps_a_place_and_is_not_called_again():
    rungs = PromotionRungs(9, grace_period=3, reduction_factor=3)
    for trial, value in enumerate([0.1, 0.2, 0.9, 0.3, 0.8]):
        assert rungs.record(trial, 3, value).action == "pause"
    assert rungs.promotable() == 2
    rungs.leave(2)
    assert rungs.promotable() is None, "one of five has gone"
    rungs.record(5, 3, 0.0)
    assert rungs.promotable() == 4, "two of six may go"
    rungs.leave(4)  # it ends where it is
    assert rungs.promotable() is None
    rungs.leave(77)  # nobody knows it
    assert rungs.record(2, 3, 0.5).action == "pause", "the same answer again"
    assert rungs.promotable() is None


def test_a_replayed_rule_has_the_same_trials_waiting():
    live = PromotionRungs(9, grace_period=1)
    calls = drive(live, trials=100, workers=1, value=finite_curve)
    fresh = replayed(PromotionRungs(9, grace_period=1), calls)
    assert fresh.promotable() == live.promotable()
    assert fresh._place == live._place
    assert len(live._place) > 10
