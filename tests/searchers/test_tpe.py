"""TPE: pure, along the active path, taught by failures, never twice the same, and better than chance."""

from __future__ import annotations

import inspect
import logging
import math
import random
import warnings

import optuna
import pytest
import torch
from driving import OBJECTIVE, best, options_space, recipe_space, simulate, target_score

from raynas.errors import SpecError
from raynas.journal import History
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import Rungs
from raynas.searchers.random import RandomSearcher
from raynas.searchers.tpe import TPESearcher
from raynas.searchers.tpe.window import Memory
from raynas.space import Choice, Float, Int, Repeat, Space, op
from raynas.testing import SearcherContract
from raynas.testing.example_spaces import cell_space
from raynas.testing.searcher import check_proposals


def conditional_space() -> Space:
    """Depths, branches with a hole of one name and other domains, a shared hole, and every kind of value."""
    wide = op(torch.nn.Linear, out_features=Int(4, 64, log=True), bias=Choice(True, False))
    narrow = op(torch.nn.Linear, out_features=Choice(2, 3, name="narrow.width"))
    return Space(
        body=Repeat(Choice({"wide": wide, "narrow": narrow, "nothing": op(torch.nn.Identity)}), 1, 4),
        recipe={
            "lr": Float(1e-3, 1.0, log=True),
            "mixed": Choice(0, False, 0.0, None, "a", (1, 2)),
            "warmup": Int(0, 3),
        },
    )


def conditional_score(architecture) -> float:
    """Best with two wide layers of about 32 and a learning rate of about 0.1."""
    wide = [path for path, value in architecture.items() if value == "wide"]
    value = -abs(len(wide) - 2) - abs(math.log10(architecture["recipe.lr"]) + 1)
    return value - sum(abs(math.log2(architecture[f"{path}.wide.out_features"]) - 5) for path in wide) / 5


def failing_score(architecture) -> float:
    if architecture["recipe.warmup"] == 2:
        raise ArithmeticError
    return math.nan if architecture["recipe.mixed"] is None else conditional_score(architecture)


def history_of(*trials, space=None, mode="max", params=None, constraints=()) -> History:
    """A history of trials given as (values, state, reason, {rung: value}); ``params``: by their numbers."""
    space = space or options_space(holes=2)
    history = History()
    begun = {"event": "search_started", "objective": {"metric": "score", "mode": mode}}
    history.apply({**begun, "constraints": list(constraints)})
    for number, (values, state, reason, rungs) in enumerate(trials):
        architecture = space.replay({f"recipe.h{index}": value for index, value in enumerate(values)})
        ids = {"trial_id": space.trial_id(architecture), "network_id": space.network_id(architecture)}
        ids |= {} if params is None else {"params": params.get(number)}
        history.apply({"event": "trial_proposed", "trial": number, "architecture": architecture.to_json(), **ids})
        for step, value in rungs.items():
            history.apply(
                {"event": "measured", "trial": number, "step": step, "rung": step, "metrics": {"score": value}}
            )
        if state is not None:
            history.apply({"event": "trial_ended", "trial": number, "state": state, "reason": reason})
    return history


# --- a proposal is a pure function ----------------------------------------------------------------------------------


class TestTPESearcher(SearcherContract):
    spaces, fresh_every = {"conditional": conditional_space, "cell": cell_space}, 2

    def searcher(self, space, **settings):
        return TPESearcher(space, **settings)

    def check_search(self, history):
        assert "tpe" in {trial.origin["kind"] for trial in history.trials.values()}


@pytest.mark.parametrize("workers", [1, 4])
def test_all_proposals_of_a_long_search_are_recomputed(workers):
    """150 trials with failures and early stops; a window of 40, so that old trials leave it."""
    history = check_proposals(
        lambda space: TPESearcher(space, seed=3, window=40),
        conditional_space(),
        failing_score,
        workers=workers,
        trials=150,
    )
    assert history.counts["failed"] > 5
    assert history.counts["stopped"] > 20
    assert "tpe" in {trial.origin["kind"] for trial in history.trials.values()}


def test_a_searcher_may_follow_several_histories():
    space = options_space()
    searcher = TPESearcher(space, seed=1)
    histories = [History.from_events(simulate(RandomSearcher(space, seed=seed), target_score, 30)) for seed in (1, 2)]
    first, second = ([searcher.propose(history, 30) for history in histories] for _ in range(2))
    assert first == second
    assert first[0] != first[1]
    histories[0].apply({"event": "trial_ended", "trial": 99, "state": "failed", "reason": "nan"})  # unknown: ignored
    assert searcher.propose(histories[0], 30) == first[0]


# --- what it proposes -----------------------------------------------------------------------------------------------


def test_proposals_are_architectures_of_a_conditional_space():
    space = conditional_space()
    events = simulate(TPESearcher(space, seed=2), conditional_score, 60, workers=2)
    for event in events:
        if event["event"] == "trial_proposed":
            assert space.replay(event["architecture"]).to_json() == event["architecture"]  # neither more nor less
    history = History.from_events(events)
    assert sum(trial.origin["kind"] == "tpe" for trial in history.trials.values()) >= 45
    mixed = [trial.architecture["recipe.mixed"] for trial in history.trials.values()]
    assert {type(value) for value in mixed} >= {int, bool, float}


def test_nothing_is_proposed_twice_in_a_small_space():
    space = options_space(holes=3, options=4)
    history = History.from_events(simulate(TPESearcher(space, seed=4), target_score, 64, workers=3))
    assert len(history.seen) == 64
    assert {"tpe", "mutation"} <= {trial.origin["kind"] for trial in history.trials.values()}
    asked = [trial.origin["asked"] for trial in history.trials.values() if "asked" in trial.origin]
    assert 1 < max(asked) <= 10


@pytest.mark.parametrize("workers", [1, 4])
def test_holes_of_one_value_do_not_keep_a_space_from_being_exhausted(workers):
    space = recipe_space(a=Choice(1, 2, 3), b=Choice(1, 2, 3), c=Choice("x", "y"), only=Choice(1), one=Int(3, 3))
    history = History.from_events(simulate(TPESearcher(space), lambda a: a["recipe.a"], 99, workers=workers))
    assert len(history.trials) == len(history.seen) == 18
    assert not history.running


def test_a_space_with_one_architecture_is_nothing_to_learn_from():
    space = recipe_space(a=Choice(1))
    history = History.from_events(simulate(TPESearcher(space, startup=1), lambda a: 1.0, 9))
    assert len(history.trials) == 1


def test_the_first_proposals_are_random_until_enough_has_ended():
    events = simulate(TPESearcher(options_space(), startup=6), target_score, 30, workers=4)
    ended = 0
    for event in events:
        if event["event"] == "trial_proposed" and event["trial"] > 0:
            assert (event["origin"]["kind"] == "random") == (ended < 6)
        ended += event["event"] == "measured"


# --- how trials are told --------------------------------------------------------------------------------------------


def order_in_optuna(history, space):
    """The numbers of the window's ended trials, best first, as Optuna's TPE sorts them into good and bad."""
    from optuna.samplers._tpe.sampler import _split_trials

    assert history.objective is not None
    memory = Memory(space, 200)
    memory.follow(history)
    trials = [trial for trial in memory.trials(history) if trial.state != optuna.trial.TrialState.RUNNING]
    study = optuna.create_study(direction={"max": "maximize", "min": "minimize"}[history.objective.mode])
    no_constraints = [False] * (len(inspect.signature(_split_trials).parameters) - 3)  # Optuna 4 wants to know
    order: list[int] = []
    for count in range(1, len(trials) + 1):
        below = {trial.number for trial in _split_trials(study, trials, count, *no_constraints)[0]}
        order += below - set(order)
    return order


@pytest.mark.parametrize("mode", ["max", "min"])
def test_optuna_ranks_trials_as_the_history_does(mode):
    sign = 1 if mode == "max" else -1
    space = options_space(holes=2)
    history = history_of(
        ((0, 0), "failed", "nan", {1: sign * 7.0, 3: math.nan}),
        ((0, 1), "stopped", "early_stopped", {1: sign * 2.0}),
        ((0, 2), "completed", "budget", {1: sign * 1.0, 9: sign * 1.0}),
        ((0, 3), "stopped", "early_stopped", {1: sign * 9.0, 3: sign * 0.0}),
        ((1, 0), "failed", "out_of_memory", {}),
        ((1, 1), "completed", "budget", {9: sign * 3.0}),
        ((1, 2), "stopped", "early_stopped", {1: sign * 4.0}),
        ((1, 3), "failed", "infrastructure", {1: sign * 8.0}),
        ((2, 0), None, None, {1: sign * 99.0}),
        ((2, 1), "completed", "budget", {3: sign * 5.0}),  # stopped by a plain Tuner's scheduler: Ray does not say
        ((2, 2), "failed", "worker_died", {1: sign * 6.0}),
        ((2, 3), "stopped", "removed", {}),
        mode=mode,
    )
    ranked = order_in_optuna(history, space)
    assert ranked[:6] == [5, 2, 9, 3, 6, 1] == [trial.number for trial in history.best(99) if trial.number != 8]
    assert ranked[6:] == [0, 4, 10]  # failures of the architecture: worst, and equal


@pytest.mark.parametrize("mode", ["max", "min"])
def test_optuna_ranks_trials_beyond_a_constraint_as_the_history_does(mode):
    sign = 1 if mode == "max" else -1
    space = options_space(holes=2)
    history = history_of(
        ((0, 0), "completed", "budget", {9: sign * 9.0}),
        ((0, 1), "completed", "budget", {9: sign * 1.0}),
        ((0, 2), "stopped", "early_stopped", {3: sign * 7.0}),
        ((0, 3), "completed", "budget", {9: sign * 8.0}),
        ((1, 0), "failed", "exception", {}),
        ((1, 1), "stopped", "early_stopped", {3: sign * 0.0}),
        ((1, 2), "completed", "budget", {9: sign * 2.0}),
        mode=mode,
        params={0: 150, 1: 100, 2: 120, 3: 120, 5: 90, 6: 1_000},
        constraints=[{"metric": "params", "bound": "<=", "value": 100}],
    )
    assert order_in_optuna(history, space) == [1, 5, 2, 3, 0, 6, 4]
    assert [trial.number for trial in history.best(99)] == [1, 5, 2, 3, 0, 6]


def test_running_trials_are_told_as_running_without_their_values():
    history = history_of(((0, 0), "completed", "budget", {9: 1.0}), ((0, 1), None, None, {1: 5.0}))
    memory = Memory(options_space(holes=2), 20)
    memory.follow(history)
    done, running = memory.trials(history)
    assert (done.state.name, running.state.name) == ("COMPLETE", "RUNNING")
    assert running.params == {"recipe.h0": 0, "recipe.h1": 1}
    assert not running.intermediate_values


def test_the_window_holds_the_best_and_the_latest():
    space = options_space(holes=8)
    scores = iter(random.Random(1).sample(range(1000), 300))
    history = History.from_events(simulate(RandomSearcher(space), lambda a: float(next(scores)), 300, workers=4))
    memory = Memory(space, 100)
    memory.follow(history)
    window = memory.numbers(history)
    assert len(window) == 100
    assert window == sorted(window)
    assert {trial.number for trial in history.best(25)} <= set(window)
    assert set(history.ended[-75:]) <= set(window)


def test_failures_do_not_fill_the_good_tenth():
    """With two good trials among 60, TPE may call no failed one good."""
    space = options_space(holes=3)
    trials = [((n // 16, n // 4 % 4, n % 4), "failed", "exception", {}) for n in range(60)]
    trials[7] = (*trials[7][:1], "completed", "budget", {9: 1.0})
    trials[30] = (*trials[30][:1], "completed", "budget", {9: 2.0})
    history = history_of(*trials, space=space)
    memory = Memory(space, 200)
    memory.follow(history)
    window = memory.numbers(history)
    assert len(window) == 20
    assert {7, 30, 59} <= set(window)
    proposal = TPESearcher(space).propose(history, 60)
    assert proposal.origin["kind"] in ("tpe", "mutation")


def test_when_everything_fails_proposals_are_random():
    def score(architecture):
        raise ArithmeticError

    events = simulate(TPESearcher(options_space(), startup=3), score, 20)
    assert {e["origin"]["kind"] for e in events if "origin" in e} == {"default", "random"}


# --- that it learns -------------------------------------------------------------------------------------------------


def test_failures_are_avoided():
    """A value in three fails whatever the rest (so a third of random trials); nothing else matters."""
    space = recipe_space(**{f"h{index}": Choice(*range(3)) for index in range(6)})

    def score(architecture):
        if architecture["recipe.h3"] == 1:
            raise ArithmeticError
        return architecture["recipe.h0"] / 10

    shares = []
    for seed in range(6):
        history = History.from_events(simulate(TPESearcher(space, seed=seed), score, 70, workers=2, seed=seed))
        late = [history.trials[number] for number in range(30, 70)]
        shares.append(sum(trial.state == "failed" for trial in late) / len(late))
    assert sum(shares) / len(shares) < 0.2


def test_smaller_is_better_is_the_mirror_of_bigger_is_better():
    def architectures(mode, sign):
        searcher = TPESearcher(conditional_space(), seed=6)
        events = simulate(
            searcher,
            lambda a: sign * failing_score(a),
            50,
            workers=2,
            rule=Rungs(9, grace_period=1, mode=mode),
            objective=Objective("score", mode),
        )
        return [event["architecture"] for event in events if "architecture" in event]

    assert architectures("max", 1) == architectures("min", -1)


def advantage(space, score, trials: int) -> tuple[float, float]:
    """Mean over 20 seeds of what TPE finds more than random search, and its standard error."""
    differences = [
        best(simulate(TPESearcher(space, seed=seed), score, trials))
        - best(simulate(RandomSearcher(space, seed=seed), score, trials))
        for seed in range(20)
    ]
    mean = sum(differences) / 20
    return mean, math.sqrt(sum((d - mean) ** 2 for d in differences) / 19 / 20)


def test_tpe_beats_random_on_a_conditional_space():
    """50 trials: 0.1 of the score is a tenth of a decade of learning rate, half a doubling of one layer's width."""
    mean, error = advantage(conditional_space(), conditional_score, 50)
    assert mean > max(0.1, 4 * error)


def test_tpe_beats_random_on_a_flat_space():
    """60 trials on a function with one optimum among 4**10: one hole more of ten at its best."""
    mean, error = advantage(options_space(holes=10), target_score, 60)
    assert mean > max(0.1, 4 * error)


# --- manners --------------------------------------------------------------------------------------------------------


def test_it_is_quiet(caplog):
    """No warning, no line of log, and the level that a user gave Optuna stays."""
    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG, logger="optuna"):
        warnings.simplefilter("error", optuna.exceptions.ExperimentalWarning)
        optuna.logging.enable_propagation()
        try:
            simulate(TPESearcher(conditional_space()), conditional_score, 20)
        finally:
            optuna.logging.disable_propagation()
    assert not caplog.records
    assert optuna.logging.get_verbosity() == before


@pytest.mark.parametrize(("options", "words"), [({"startup": 0}, "cannot start"), ({"window": 5}, "sees nothing")])
def test_options_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words):
        TPESearcher(options_space(), **options)


def test_options_do_not_depend_on_the_budget():
    assert TPESearcher.options(20) == TPESearcher.options(None) == {"startup": 10, "window": 200}


def test_a_plain_tuner(ray_session, tmp_path):
    pytest.importorskip("ray.tune")
    from test_plain_tuner import tuned

    searcher = TPESearcher(options_space(), seed=1, objective=OBJECTIVE, max_concurrent=2, startup=5)
    results = tuned(searcher, 20, tmp_path)
    assert not results.errors
    assert len({result.config["architecture"] for result in results}) == 20
    history = searcher._plain.history
    assert len(history.ended) == 20
    assert sum(trial.origin["kind"] == "tpe" for trial in history.trials.values()) >= 10
