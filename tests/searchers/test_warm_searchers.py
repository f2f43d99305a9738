"""A warm start teaches every strategy, is never proposed again without need, and replays from the journal alone."""

from __future__ import annotations

import math
import pickle

import pytest
from driving import OBJECTIVE, options_space, recipe_space, simulate, target_score

from raynas.journal import History
from raynas.registry import find
from raynas.schedulers.rungs import Rungs
from raynas.searchers import warm
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Float, Int

STRATEGIES = ("random", "evolution", "local", "reinforce", "tpe", "predictor", "auto")
SPACE = {"lr": Float(1e-3, 1.0, log=True), "width": Int(1, 90), "a": Choice(0, 1, 2), "b": Choice(True, 0)}


def made(strategy, space, **more):
    small = {"population": 8, "sample": 4} if strategy == "evolution" else {}
    return find("raynas.strategies", strategy)(space, seed=3, **small, **more)


def earlier(space, score, count, *, rung=9, seed=5):
    """What a random search has measured, as the journal keeps a warm start."""
    history = History.from_events(simulate(RandomSearcher(space, seed=seed), score, count))
    return [
        {
            "architecture": dict(record.values),
            "trial_id": record.trial_id,
            "network_id": record.network_id,
            "rung": rung if number % 3 else 1,
            "completed": bool(number % 3),
            "metrics": {"score": history.value(record)},
        }
        for number, record in history.trials.items()
    ]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_proposal_can_be_recomputed_and_none_was_measured_before(strategy, workers):
    space = recipe_space(**SPACE)

    def score(architecture):
        if architecture["recipe.width"] % 10 == 5:
            raise ArithmeticError
        return math.nan if architecture["recipe.width"] % 10 == 6 else architecture["recipe.lr"]

    known = earlier(space, lambda architecture: architecture["recipe.lr"], 12)
    events = simulate(
        made(strategy, space), score, 30, workers=workers, rule=Rungs(9, grace_period=1), warm_start=known
    )
    again, prefix = pickle.loads(pickle.dumps(made(strategy, space))), History()
    for event in events:
        if event["event"] == "trial_proposed" and event["trial"] > 0:
            searcher = again if event["trial"] % 3 else made(strategy, space)
            proposal = warm.proposed(searcher, prefix.for_searchers, event["trial"])
            assert proposal.architecture.to_json() == event["architecture"]
            assert (proposal.trial_id, dict(proposal.origin)) == (event["trial_id"], event["origin"])
        prefix.apply(event)
    assert len(prefix.trials) == len(prefix.seen) == 30
    leading = max(known, key=lambda one: (one["rung"], one["metrics"]["score"]))
    measured = {one["trial_id"] for one in known}
    twice = {record.number for record in prefix.trials.values() if record.trial_id in measured}
    assert [record.number for record in prefix.trials.values() if record.trial_id == leading["trial_id"]] == [1]
    assert twice <= {0, 1}, "the default was measured before, and is trial 0 all the same"
    assert prefix.for_searchers.ended[:12] == list(range(-12, 0))


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "random"])
def test_a_strategy_learns_from_it(strategy):
    """Trials of a search that begins where another one stands are better than those of one that begins with nothing."""
    space, means = options_space(holes=8), []
    for known in (None, 60):
        found = []
        for seed in range(6):
            start = None if known is None else earlier(space, target_score, known, seed=100 + seed)
            for one in start or ():
                one |= {"rung": 1, "completed": True}
            searcher = find("raynas.strategies", strategy)(space, seed=seed)
            history = History.from_events(simulate(searcher, target_score, 12, seed=seed, warm_start=start))
            values = [history.value(number) for number in range(2, 12)]
            found.append(sum(values) / len(values))
        means.append(sum(found) / len(found))
    assert means[1] > means[0] + 0.03


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_nothing_else_is_left_what_was_measured_before_is_trained_best_first(strategy):
    space = recipe_space(a=Choice(1, 2, 3), b=Choice(1, 2, 3), c=Choice("x", "y"))
    known = earlier(space, lambda architecture: architecture["recipe.a"] + architecture["recipe.b"] / 10, 7)
    for one in known:
        one |= {"rung": 1, "completed": True}
    history = History.from_events(simulate(made(strategy, space), lambda a: 1.0, 99, warm_start=known))
    assert len(history.trials) == len(history.seen) == 18
    last = [record for record in history.trials.values() if record.origin.get("kind") == "warm start"][1:]
    assert [record.number for record in last] == list(range(18 - len(last), 18))
    values = {one["trial_id"]: one["metrics"]["score"] for one in known}
    assert [values[record.trial_id] for record in last] == sorted((values[r.trial_id] for r in last), reverse=True)
    assert len(last) >= 5


def test_under_a_plain_tuner_it_is_handed_to_the_searcher(tmp_path):
    space = options_space()
    known = earlier(space, target_score, 9)
    pairs = [(space.replay(one["architecture"]), 1, one["metrics"]["score"]) for one in known]
    for objective in (OBJECTIVE, None):
        searcher = made("evolution", space, objective=objective, warm_start=pairs)
        if objective is None:
            searcher.set_search_properties("score", "max", {})
        configs = [searcher.suggest("ray0"), searcher.suggest("ray1")]
        searcher.on_trial_complete("ray1", {"score": 0.5, "training_iteration": 1})
        configs.append(searcher.suggest("ray2"))
        searcher.save(tmp_path / "state")
        restored = made("evolution", space, objective=OBJECTIVE)
        restored.restore(tmp_path / "state")
        assert restored.suggest("ray3") == searcher.suggest("ray3")
        assert [config["trial"] for config in configs] == [0, 1, 2]
        history = searcher._plain.history.for_searchers
        assert history.trials[1].origin["kind"] == "warm start"
        assert history.trials[2].origin["kind"] in ("mutation", "crossover")
        assert min(history.trials) == -9
