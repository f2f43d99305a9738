"""Hyperband's brackets: their rungs, their shares, and that each is ASHA by itself."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from raynas.schedulers.hyperband import HyperbandRungs
from raynas.schedulers.rungs import FullBudget, Rungs
from raynas.testing import SchedulerContract


class TestHyperbandRungs(SchedulerContract):
    def rule(self, max_steps, **settings):
        return HyperbandRungs(max_steps, **settings)


def test_brackets_and_shares_are_those_of_the_paper():
    hyperband = HyperbandRungs(81, grace_period=1, reduction_factor=3)
    assert [bracket.levels[0] for bracket in hyperband.brackets] == [1, 3, 9, 27, 81]
    # Li et al. 2018, table 1 has n = 81, 27, 9, 6, 5 with a rounding of its own; the formula of algorithm 1 gives:
    assert Counter(hyperband.round) == {0: 81, 1: 34, 2: 15, 3: 8, 4: 5}
    assert hyperband.levels == Rungs(81, grace_period=1).levels


def test_brackets_are_spread_evenly():
    hyperband = HyperbandRungs(100)
    shares = Counter(hyperband.round)
    for index, count in shares.items():
        places = [place for place, other in enumerate(hyperband.round * 2) if other == index]
        gaps = [later - earlier for earlier, later in zip(places, places[1:], strict=False)]
        assert max(gaps) <= 2 * len(hyperband.round) / count


def test_each_bracket_decides_as_asha_alone():
    rng, hyperband = random.Random(0), HyperbandRungs(9, mode="min", grace_period=1, reduction_factor=3)
    alone = [Rungs(9, mode="min", grace_period=grace, reduction_factor=3) for grace in (1, 3, 9)]
    for trial in range(200):
        rule = alone[hyperband.round[trial % len(hyperband.round)]]
        for step in range(1, 10):
            value = rng.random()
            decision = hyperband.record(trial, step, value)
            assert decision == rule.record(trial, step, value)
            if decision.stops:
                break


def test_one_rung_is_no_early_stopping():
    hyperband = HyperbandRungs(5, grace_period=5)
    assert hyperband.levels == FullBudget(5).levels
    assert hyperband.expected_steps == 5


def test_expected_steps_are_the_brackets_mean():
    hyperband = HyperbandRungs(9, grace_period=3, reduction_factor=3)
    share = hyperband.round.count(1) / len(hyperband.round)
    assert hyperband.expected_steps == pytest.approx((1 - share) * 5 + share * 9)
