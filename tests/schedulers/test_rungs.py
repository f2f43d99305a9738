"""Rungs: the contract, a brute-force twin, Ray's own cutoff, and exact levels where logarithms round wrongly."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raynas.errors import SpecError
from raynas.schedulers.rungs import Decision, FullBudget, Rungs, defaults
from raynas.testing import SchedulerContract
from raynas.testing.scheduler import drive, replayed


class TestRungs(SchedulerContract):
    def rule(self, max_steps, **settings):
        return Rungs(max_steps, **settings)


class TestFullBudget(SchedulerContract):
    def rule(self, max_steps, **settings):
        return FullBudget(max_steps, **settings)


class Twin:
    """The rule again, the slow way: all values at a rung, sorted anew each time, numpy's percentile as the cutoff."""

    def __init__(self, max_steps, mode, grace_period, reduction_factor):
        self.rungs = {}
        step = grace_period
        while step < max_steps:
            self.rungs[step] = []
            step = step * reduction_factor
        self.max_steps, self.mode, self.factor = max_steps, mode, reduction_factor

    def record(self, step, value):
        if not math.isfinite(value):
            return "stop", "nan"
        if step == self.max_steps:
            return "stop", "budget"
        if step not in self.rungs:
            return "continue", None
        values = self.rungs[step]
        values.append(value if self.mode == "max" else -value)
        ranked = sorted(values, reverse=True)
        places = math.ceil(len(ranked) / self.factor)
        if values[-1] >= ranked[places - 1]:
            return "continue", None
        return "stop", "early_stopped"


@settings(max_examples=150, deadline=None)
@given(
    max_steps=st.integers(1, 60),
    mode=st.sampled_from(["min", "max"]),
    factor=st.integers(2, 5),
    values=st.lists(st.sampled_from([math.nan, math.inf, *[n / 8 for n in range(-4, 9)]]), min_size=1, max_size=40),
    data=st.data(),
)
def test_decisions_equal_those_of_a_brute_force_twin(max_steps, mode, factor, values, data):
    grace = data.draw(st.integers(1, max_steps))
    rungs = Rungs(max_steps, mode=mode, grace_period=grace, reduction_factor=factor)
    twin = Twin(max_steps, mode, grace, factor)
    rng = random.Random(0)
    steps = dict.fromkeys(range(len(values)), 0)
    while steps:  # trials advance in any order, until stopped
        trial = rng.choice(list(steps))
        steps[trial] += 1
        value = values[trial] if steps[trial] % 4 else values[(trial + steps[trial]) % len(values)]
        decision = rungs.record(trial, steps[trial], value)
        assert (decision.action, decision.reason) == twin.record(steps[trial], value)
        assert decision.rung == (steps[trial] if steps[trial] in rungs.levels else None)
        if decision.stops:
            del steps[trial]


def test_the_rule_is_the_percentile_of_what_the_rung_has_seen():
    rng = np.random.default_rng(0)
    for factor in (2, 3, 4):
        rungs, seen = Rungs(100, grace_period=10, reduction_factor=factor), []
        for trial, value in enumerate(rng.normal(size=200)):
            seen.append(value)
            cutoff = np.percentile(seen, (1 - 1 / factor) * 100)
            if not math.isclose(value, cutoff, rel_tol=1e-9):
                assert rungs.record(trial, 10, value).stops == (value < cutoff)
            else:
                rungs.record(trial, 10, value)


@pytest.mark.parametrize(
    ("grace", "factor", "max_steps", "levels"),
    [
        (1, 3, 243, (1, 3, 9, 27, 81, 243)),  # float logarithms drop the top rung of these two
        (1, 10, 1000, (1, 10, 100, 1000)),
        (1, 3, 244, (1, 3, 9, 27, 81, 243, 244)),
        (1, 2, 1, (1,)),
        (7, 3, 7, (7,)),
        (4, 3, 100, (4, 12, 36, 100)),
    ],
)
def test_levels_are_exact(grace, factor, max_steps, levels):
    assert Rungs(max_steps, grace_period=grace, reduction_factor=factor).levels == levels


@given(st.integers(2, 7), st.integers(1, 12), st.integers(1, 9))
def test_levels_are_exact_at_powers(factor, power, grace):
    levels = Rungs(grace * factor**power, grace_period=grace, reduction_factor=factor).levels
    assert levels == tuple(grace * factor**k for k in range(power + 1))


def test_default_rungs():
    levels = {steps: Rungs(steps).levels for steps in (1, 2, 3, 9, 10, 27, 100)}
    assert levels == {
        1: (1,),
        2: (1, 2),
        3: (1, 3),
        9: (3, 9),
        10: (4, 10),
        27: (3, 9, 27),
        100: (12, 36, 100),
    }
    for steps in range(1, 2000):
        grace, factor = defaults(steps)
        assert 1 <= grace <= steps
        assert len(Rungs(steps, grace_period=grace, reduction_factor=factor).levels) <= 3


def test_one_in_three_of_many_goes_on():
    rng, rungs = random.Random(1), Rungs(9, grace_period=3, reduction_factor=3)
    going = sum(not rungs.record(trial, 3, rng.random()).stops for trial in range(3000))
    assert 0.31 < going / 3000 < 0.36


def test_full_budget():
    rule = FullBudget(4, grace_period=2)
    assert [rule.record(0, step, 0.0) for step in (1, 2, 3)] == [Decision("continue")] * 3
    assert rule.record(0, 4, 0.0) == Decision("stop", "budget", 4)
    assert rule.levels == (4,)


def test_a_replayed_rule_knows_what_the_first_knew():
    before = Rungs(9, grace_period=3)
    after = replayed(Rungs(9, grace_period=3), drive(before))
    assert vars(after) == vars(before)
    assert len(before._decisions) > 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 0}, "trains nothing"),
        ({"max_steps": 9, "grace_period": 0}, "grace period 0"),
        ({"max_steps": 9, "grace_period": 10}, "between 1 and the budget of 9"),
        ({"max_steps": 9, "reduction_factor": 1}, "reduction factor 1"),
        ({"max_steps": 9, "reduction_factor": 2.5}, "whole number"),
        ({"max_steps": 9, "mode": "best"}, "'best'"),
    ],
)
def test_settings_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words):
        Rungs(**options)
