"""A warm start teaches every strategy, and is proposed again only where nothing else is left.

That proposals replay with one is a part of ``SearcherContract``.
"""

from __future__ import annotations

import pytest
from driving import OBJECTIVE, options_space, simulate, target_score

from raynas.journal import History
from raynas.registry import find
from raynas.testing.example_spaces import small_space
from raynas.testing.simulated_search import warm_start_of

STRATEGIES = ("random", "evolution", "local", "reinforce", "tpe", "predictor", "auto")


def made(strategy, space, **more):
    small = {"population": 8, "sample": 4} if strategy == "evolution" else {}
    return find("raynas.strategies", strategy)(space, seed=3, **small, **more)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "random"])
def test_a_strategy_learns_from_it(strategy):
    """Trials of a search that begins where another one stands are better than those of one that begins with nothing."""
    space, means = options_space(holes=8), []
    for known in (None, 60):
        found = []
        for seed in range(6):
            start = None if known is None else warm_start_of(space, target_score, known, seed=100 + seed)
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
    space = small_space()
    known = warm_start_of(space, lambda architecture: architecture["recipe.a"] + architecture["recipe.b"] / 10, 7)
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
    known = warm_start_of(space, target_score, 9)
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
