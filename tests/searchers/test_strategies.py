"""Random search and evolution: the contract, and what each of them is about."""

from __future__ import annotations

import math
import random

import pytest
from driving import OBJECTIVE, best, options_space, recipe_space, simulate, target_score

from raynas.journal import History
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import Rungs
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.local import LocalSearcher
from raynas.searchers.random import RandomSearcher
from raynas.searchers.tpe.window import Memory
from raynas.space import Choice
from raynas.testing import SearcherContract

STRATEGIES = [RandomSearcher, EvolutionSearcher]


def make(strategy, space, **more):
    small = {"population": 6, "sample": 3} if strategy is EvolutionSearcher else {}
    return strategy(space, **{"seed": 3, **small, **more})


class TestRandomSearcher(SearcherContract):
    def searcher(self, space, **settings):
        return RandomSearcher(space, **settings)


class TestEvolutionSearcher(SearcherContract):
    trials = 40

    def searcher(self, space, **settings):
        return make(EvolutionSearcher, space, **settings)

    def check_search(self, history):
        assert history.counts["failed"] > 0
        assert {trial.origin["kind"] for trial in history.trials.values()} >= {"random", "mutation"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_seed_is_another_search(strategy):
    space = options_space()
    first, second = (
        [e["trial_id"] for e in simulate(make(strategy, space, seed=seed), target_score, 12) if "trial_id" in e]
        for seed in (1, 2)
    )
    assert len(set(first) & set(second)) <= 2


def test_evolution_breeds_nothing_where_there_is_one_architecture():
    searcher = make(EvolutionSearcher, recipe_space(a=Choice(1)), population=1, sample=1)
    assert len(History.from_events(simulate(searcher, lambda a: 1.0, 20)).trials) == 1


def test_random_proposals_do_not_depend_on_results():
    space = options_space()
    runs = [simulate(RandomSearcher(space, seed=1), score, 10) for score in (target_score, lambda a: 0.0)]
    first, second = ([e["trial_id"] for e in events if "trial_id" in e] for events in runs)
    assert first == second


def test_evolution_breeds_from_the_best_of_the_latest():
    space = options_space(holes=12)
    searcher = EvolutionSearcher(space, seed=0, population=8, sample=8, crossover=0.0)
    history = History()
    for event in simulate(searcher, target_score, 60):
        if event["event"] == "trial_proposed" and event["trial"] >= 8:
            youngest = list(history.trials.values())[-8:]
            parent = max(youngest, key=lambda t: (history.key(t), t.number))
            assert event["origin"]["kind"] == "mutation"
            [number] = event["origin"]["parents"]
            assert history.key(number) == history.key(parent)
            assert number in [t.number for t in youngest]
            old, new = history.trials[number].architecture, event["architecture"]
            assert sum(old[path] != new[path] for path in new) <= event["origin"]["mutations"]
        history.apply(event)


def under_hyperband(mode):
    """A history of two brackets: 0 to 11 with rungs at 3 and 9, of which eight went on; 12 to 15 with the last alone.

    Values double from rung 3 to 9. Trial 11 was stopped at 3 with the best value there; trial 12 is the best of the
    others by what it has at 9, which is less than trial 11's would be.
    """
    sign = 1 if mode == "max" else -1
    space, history = options_space(holes=2), History(Objective("score", mode))

    def measured(number, step, value, decision):
        facts = {"metrics": {"score": sign * value}, "rung": step, "decision": decision}
        history.apply({"event": "measured", "trial": number, "step": step, **facts})

    for number in range(16):
        values = {"recipe.h0": number % 4, "recipe.h1": number // 4}
        ids = {"trial_id": space.trial_id(space.replay(values)), "network_id": str(number)}
        history.apply({"event": "trial_proposed", "trial": number, "architecture": values, **ids})
        if number < 12:
            measured(number, 3, number / 10, "continue" if number < 8 else "stop")
        if number < 8:
            measured(number, 9, number / 5, "stop")
        elif number > 11:
            measured(number, 9, 1.5 - number / 100, "stop")
    return space, history


@pytest.mark.parametrize("mode", ["max", "min"])
def test_under_hyperband_a_trial_of_a_late_bracket_does_not_win_by_its_rung(mode):
    space, history = under_hyperband(mode)
    evolution = EvolutionSearcher(space, population=16, sample=16, crossover=0.0)
    assert evolution._child(history, evolution.living(history), random.Random(0), 1)[1]["parents"] == [11]
    local = LocalSearcher(space)
    local.update(history)
    assert local._climbs.standing == {0: 11}
    memory = Memory(space, 200)
    memory.follow(history)
    assert memory.best == 11
    told = {trial.number: trial for trial in memory.trials(history)}
    assert {trial.state.name for trial in told.values()} == {"COMPLETE"}
    assert sorted(told, key=lambda number: -told[number].value * (1 if mode == "max" else -1))[:5] == [11, 10, 9, 8, 7]
    assert told[11].value == pytest.approx(2.2 if mode == "max" else -2.2)


def test_evolution_never_breeds_from_failures():
    def score(architecture):
        if architecture["recipe.h0"] % 2:
            raise ArithmeticError
        return math.inf if architecture["recipe.h1"] == 3 else target_score(architecture)

    events = simulate(
        EvolutionSearcher(options_space(), population=10, sample=5, crossover=0.5), score, 80, rule=Rungs(1)
    )
    history = History.from_events(events)
    bred = [trial for trial in history.trials.values() if "parents" in trial.origin]
    assert len(bred) == 70
    assert {history.trials[parent].state for trial in bred for parent in trial.origin["parents"]} == {"completed"}
    assert {trial.origin["kind"] for trial in bred} == {"mutation", "crossover"}


def test_evolution_when_everything_fails_is_random():
    def score(architecture):
        raise ArithmeticError

    events = simulate(EvolutionSearcher(options_space(), population=3, sample=2), score, 12)
    assert {e["origin"]["kind"] for e in events if "origin" in e} == {"default", "random"}


def test_evolution_looks_at_a_bounded_number_of_trials():
    space, searcher = options_space(20), EvolutionSearcher(options_space(20), population=10, sample=5)
    history = History.from_events(simulate(RandomSearcher(space, seed=1), target_score, 300))
    asked = []
    key, history.key = history.key, lambda trial: asked.append(trial) or key(trial)
    searcher.propose(history, 300)
    assert len(asked) < 3 * searcher.population + 1  # however long the history


def test_evolution_beats_random():
    """30 seeds, 100 trials on a function with one optimum among 4**10: the mean difference by a wide margin."""
    space = options_space(holes=10)
    differences = []
    for seed in range(30):
        evolution = best(simulate(EvolutionSearcher(space, seed=seed, trials=100), target_score, 100, seed=seed))
        chance = best(simulate(RandomSearcher(space, seed=seed), target_score, 100, seed=seed))
        differences.append(evolution - chance)
    mean = sum(differences) / 30
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 29 / 30)
    assert mean > 0.05
    assert mean > 4 * error


def test_default_sizes_of_evolution():
    assert [EvolutionSearcher.options(trials)["population"] for trials in (None, 5, 100, 150, 10_000)] == [
        50,
        10,
        20,
        30,
        50,
    ]
    searcher = EvolutionSearcher(options_space(), trials=150)
    assert (searcher.population, searcher.sample) == (30, 10)
    assert RandomSearcher.options(100) == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": 0}, "breeds nothing"),
        ({"population": 5, "sample": 6}, "between 1 and the population of 5"),
        ({"crossover": 1.5}, "probability"),
    ],
)
def test_options_that_make_no_sense(options, words):
    from raynas.errors import SpecError

    with pytest.raises(SpecError, match=words):
        EvolutionSearcher(options_space(), **options)


def test_hooks_tell_how_trials_ended_also_after_a_restore(tmp_path):
    searcher = make(EvolutionSearcher, options_space(), objective=OBJECTIVE, trials=30)
    rng = random.Random(0)
    for count in range(14):
        searcher.suggest(f"ray{count}")
        searcher.on_trial_result(f"ray{count}", {"score": rng.random(), "training_iteration": 1})
        if count % 5 == 1:
            searcher.on_trial_complete(f"ray{count}", error=True)
        else:
            searcher.on_trial_complete(f"ray{count}", {"score": rng.random(), "training_iteration": 2})
    searcher.suggest("open")
    searcher.save(tmp_path / "state")
    restored = make(EvolutionSearcher, options_space(), objective=OBJECTIVE, trials=30)
    restored.restore(tmp_path / "state")
    restored.on_trial_complete("open", {"score": math.nan, "training_iteration": 1})
    states = restored._plain.history.counts
    assert (states["failed"], states["completed"]) == (4, 11)
