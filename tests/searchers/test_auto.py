"""The default strategy: its policy, its words, and pure proposals."""

from __future__ import annotations

import pytest
from driving import options_space, recipe_space, simulate, target_score

from raynas.errors import SpecError
from raynas.journal import History
from raynas.searchers.auto import AutoSearcher
from raynas.space import Choice
from raynas.testing import SearcherContract
from raynas.testing.example_spaces import mixed_space, small_space
from raynas.testing.searcher import check_proposals


def make(space, **more):
    return AutoSearcher(space, **{"seed": 3, **more})


class TestAutoSearcher(SearcherContract):
    workers, trials, fresh_every = (3,), 16, 5

    def searcher(self, space, **settings):
        return make(space, **settings)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_budget_that_covers_a_space_exhausts_it(workers):
    searcher = make(small_space(), budget=99)
    history = History.from_events(simulate(searcher, lambda a: a["recipe.a"], 99, workers=workers))
    assert len(history.trials) == len(history.seen) == 18
    assert not history.running


def test_also_where_many_run_at_a_time():
    history = check_proposals(
        lambda space: make(space, crowded=4), options_space(), workers=9, trials=60, fresh_every=9
    )
    assert {trial.origin.get("strategy") for trial in history.trials.values()} == {None, "predictor", "evolution"}


def test_each_proposal_says_what_and_why():
    history = History.from_events(simulate(make(options_space()), target_score, 20))
    origins = [trial.origin for trial in list(history.trials.values())[1:]]
    assert {origin["strategy"] for origin in origins} == {"predictor"}
    assert [origin["why"] for origin in origins[:5]].count("a few random trials first") == 4  # after the default
    assert origins[-1]["kind"] == "predictor"
    assert origins[-1]["why"] == "best within the budget"


def test_a_small_space_is_tried_whole():
    space = recipe_space(a=Choice(1, 2, 3), b=Choice(1, 2, 3))
    searcher = make(space, **AutoSearcher.options(20))
    assert searcher.explain() == "random: 20 trials are enough to try a space of 9 architectures whole"
    history = History.from_events(simulate(searcher, lambda a: 1.0, 20))
    assert {trial.origin.get("strategy") for trial in history.trials.values()} == {None, "random"}


def test_in_one_line():
    assert make(options_space(), budget=100).explain() == (
        "predictor: 100 trials in a space of 65,536 architectures; at random until 5 have ended"
    )
    assert "a space without end" in make(mixed_space()).explain()
    assert "4.3e+09" in make(options_space(holes=16)).explain()


@pytest.mark.parametrize(("options", "words"), [({"budget": 0}, "1 or more"), ({"crowded": 1}, "no crowd")])
def test_options_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words):
        make(options_space(), **options)
