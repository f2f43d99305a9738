"""Finalists from the history alone: who is trained again, in which turn, and what the repeats say."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from raynas.journal import History
from raynas.journal.finalists import finalists, leaders, next_repeat

BEGUN = {"event": "search_started", "objective": {"metric": "acc", "mode": "max"}}


def trial(number, value, *, network=None, rung=9, reason="budget", **more):
    """Proposed, measured once, ended."""
    ids = {"trial_id": f"t{more.get('repeat_of', number)}", "network_id": network or f"n{number}"}
    measured = {"event": "measured", "trial": number, "step": rung, "rung": rung, "metrics": {"acc": value}}
    return [
        {"event": "trial_proposed", "trial": number, "architecture": {"a": number}, **ids, **more},
        {**measured, "decision": "stop", "stop_reason": reason},
    ]


def history(*trials, mode="max"):
    begun = {**BEGUN, "objective": {"metric": "acc", "mode": mode}}
    return History.from_events([begun, *(event for events in trials for event in events)])


def test_leaders_are_different_networks_with_the_full_budget():
    found = history(
        trial(0, 0.5),
        trial(1, 0.9, network="twice"),
        trial(2, 0.8, network="twice"),
        trial(3, 0.99, rung=3, reason="early_stopped"),
        trial(4, 0.7),
        trial(5, math.nan, reason="nan"),
    )
    assert [record.number for record in leaders(found, 3)] == [1, 4, 0]
    assert [record.number for record in leaders(found, 99)] == [1, 4, 0]


def test_where_none_had_the_full_budget_the_highest_rung_leads():
    found = history(*(trial(n, 0.5 + n / 100, rung=3 if n < 3 else 1, reason="early_stopped") for n in range(4)))
    assert [record.number for record in leaders(found, 3)] == [2, 1, 0]


def test_everyone_has_the_first_repeat_before_one_has_the_second():
    known = [trial(0, 0.5), trial(1, 0.9), trial(2, 0.7)]
    turns = []
    while (found := next_repeat(history(*known), 2, 2)) is not None:
        record, turn = found
        turns.append((record.number, turn))
        known.append(trial(len(known), 0.1, repeat_of=record.number, repeat=turn))
    assert turns == [(1, 1), (2, 1), (1, 2), (2, 2)]
    assert next_repeat(history(*known), 0, 3) is None
    known.append(trial(len(known), 0.95))  # the search went on, and found a better one
    record, turn = next_repeat(history(*known), 2, 2)
    assert (record.number, turn) == (7, 1)


def test_repeats_do_not_compete_and_strategies_do_not_see_them():
    found = history(trial(0, 0.5), trial(1, 0.6), trial(2, 0.9, repeat_of=1, repeat=1), trial(3, 0.55))
    assert [record.number for record in found.best(9)] == [1, 3, 0]
    assert found.searched == 3
    assert found.next_number == found.for_searchers.next_number == 4
    seen = found.for_searchers
    assert list(seen.trials) == seen.ended == seen.scored == [0, 1, 3]
    assert seen.seen == {"t0", "t1", "t3"}
    assert history(trial(0, 0.5)).for_searchers.for_searchers.trials.keys() == {0}


def test_a_trial_under_way_when_finalists_begin_ends_in_both_views():
    events = [BEGUN, *trial(0, 0.5), trial(1, 0.6)[0], *trial(2, 0.4, repeat_of=0, repeat=1), trial(1, 0.6)[1]]
    events += [{"event": "trial_ended", "trial": 1, "state": "completed", "reason": "budget", "seconds": 3.0}]
    found = History.from_events(events)
    assert (found.ended, found.for_searchers.ended) == ([0, 2, 1], [0, 1])
    assert found.for_searchers.trials[1].seconds == 3.0


def test_means_are_those_of_the_repeats_and_intervals_students():
    groups = {0: (0.50, 0.54, 0.55), 1: (0.60, 0.58, 0.62)}
    known = [trial(0, 0.99), trial(1, 0.98)]
    for of, values in groups.items():
        known += [trial(len(known) + n, value, repeat_of=of, repeat=n + 1) for n, value in enumerate(values)]
    found = finalists(history(*known))
    assert [one.original.number for one in found] == [1, 0]
    assert found[0].mean == pytest.approx(0.60)
    assert [one.trial(history(*known)).number for one in found] == [7, 0], "trial 0 is the best observed"
    pooled = math.sqrt(sum(stats.tvar(values) for values in groups.values()) / 2)
    half = stats.t.ppf(0.975, 4) * pooled / math.sqrt(3)
    assert found[0].interval == pytest.approx((0.60 - half, 0.60 + half))


def test_a_network_of_whose_repeats_only_one_is_left_ranks_behind_the_others():
    known = [trial(0, 0.9), trial(1, 0.8), trial(2, 0.7)]
    for of, values in {0: (0.99, math.nan, math.nan), 1: (0.6, 0.62, math.nan), 2: (0.5, 0.52, 0.54)}.items():
        for turn, value in enumerate(values, start=1):
            reason = "nan" if math.isnan(value) else "budget"
            known.append(trial(len(known), value, reason=reason, repeat_of=of, repeat=turn))
    found = finalists(history(*known))
    assert [(one.original.number, len(one.values), one.failed) for one in found] == [(1, 2, 1), (2, 3, 0), (0, 1, 2)]
    assert [one.settled for one in found] == [True, True, False]


def test_repeats_that_have_not_come_yet_are_not_failed_ones():
    known = [trial(0, 0.9), trial(1, 0.8), trial(2, 0.5, repeat_of=0, repeat=1), trial(3, 0.6, repeat_of=1, repeat=1)]
    known += [trial(4, 0.52, repeat_of=0, repeat=2), trial(5, 0.6, repeat_of=1, repeat=2)[:1]]
    assert [(one.original.number, one.failed) for one in finalists(history(*known))] == [(1, 0), (0, 0)]


def test_one_repeat_each_gives_no_interval_and_failed_repeats_do_not_count():
    known = [
        trial(0, 0.9),
        trial(1, 0.8),
        trial(2, 0.3, repeat_of=0, repeat=1),
        trial(3, 0.2, repeat_of=1, repeat=1),
        trial(4, math.nan, reason="nan", repeat_of=1, repeat=2),
    ]
    found = finalists(history(*known, mode="min"))
    assert [(one.original.number, one.mean, one.interval) for one in found] == [(0, 0.3, None), (1, 0.2, None)]
    assert finalists(history(trial(0, 0.9))) == []


def test_the_interval_covers_the_truth_as_often_as_it_says():
    import random

    rng, covered, rounds = random.Random(1), 0, 2_000
    for _ in range(rounds):
        known = [trial(0, 0.9), trial(1, 0.8)]
        for number in range(2, 8):
            turn = {"repeat_of": number % 2, "repeat": number // 2}
            known.append(trial(number, rng.gauss(0.5, 0.1), **turn))
        low, high = next(one for one in finalists(history(*known)) if one.original.number == 0).interval
        covered += low <= 0.5 <= high
    assert 0.935 < covered / rounds < 0.965
