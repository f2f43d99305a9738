"""The predictor: pure on every kind of space, features against brute force, the process against scikit-learn."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from driving import best, options_space, recipe_space, simulate, target_score

from raynas.errors import SpecError
from raynas.journal import History
from raynas.searchers.predictor import PredictorSearcher, gaussian_process
from raynas.searchers.predictor.features import Features
from raynas.searchers.predictor.gaussian_process import normal_scores, posterior
from raynas.searchers.predictor.outline import Outline
from raynas.searchers.predictor.relevance import log_loss, relevance
from raynas.searchers.predictor.segments import Composed, Segment
from raynas.searchers.random import RandomSearcher
from raynas.space import Float, Int
from raynas.testing import SearcherContract
from raynas.testing.example_spaces import SPACES, cell_space, mixed_space
from raynas.testing.searcher import check_proposals


def make(space, **more):
    return PredictorSearcher(space, **{"seed": 3, **more})


class TestPredictorSearcher(SearcherContract):
    trials, fresh_every = 18, 4

    def searcher(self, space, **settings):
        return make(space, **settings)

    def check_search(self, history):
        assert "predictor" in {trial.origin["kind"] for trial in history.trials.values()}


def test_a_window_of_many_trials_is_recomputed_too():
    check_proposals(lambda space: make(space, fitted=10), mixed_space(), workers=3, trials=40, fresh_every=5)


def test_features_do_not_depend_on_what_was_seen_before():
    space, rng = cell_space(), random.Random(0)
    asked = [space.sample(rng) for _ in range(30)]
    one, other = Features(space), Features(space)
    other.points([space.sample(random.Random(9)) for _ in range(50)])
    a, b = (
        one.distances(one.points(asked), one.points(asked)),
        other.distances(other.points(asked), other.points(asked)),
    )
    assert set(a) == {"holes", "walks", "statistics"}
    for kind in a:
        assert (a[kind] == b[kind]).all()


@pytest.mark.parametrize("kind", SPACES)
def test_distances_make_kernels(kind):
    """Symmetric, zero for equal ones, of size about 1, and exp(-distance) is positive semidefinite."""
    space, rng = SPACES[kind](), random.Random(1)
    features = Features.of(space)
    points = features.points([space.sample(rng) for _ in range(60)])
    for name, matrix in features.distances(points, points).items():
        assert np.allclose(matrix, matrix.T), name
        assert np.allclose(np.diag(matrix), 0, atol=1e-6), name
        assert 0.05 < matrix.mean() < 1.2, name
        assert np.linalg.eigvalsh(np.exp(-matrix)).min() > -1e-6, name
    assert features.structured == (kind != "recipe")


def test_a_smooth_kernel_carries_a_trend_beyond_what_was_observed():
    places = np.linspace(0, 1, 8)
    apart, beyond = np.abs(places[:, None] - places), np.abs(places - 1.3)[:, None]
    scores = normal_scores(np.arange(1.0, 9.0), 8)
    plain = posterior([("a",)], {"a": apart}, {"a": beyond}, scores)
    smooth = posterior([("a",)], {"a": apart**2}, {"a": beyond**2}, scores)
    assert plain.mean[0] < scores[-1] < smooth.mean[0]


def test_numbers_differ_by_how_far_apart_they_are():
    space = recipe_space(lr=Float(1e-4, 1.0, log=True), width=Int(1, 100), depth=Int(1, 4))
    features = Features.of(space)

    names = ("lr", "width", "depth")

    def apart(a, b):
        points = [features.points([space.replay({f"recipe.{k}": v for k, v in zip(names, values, strict=True)})])
                  for values in (a, b)]  # fmt: skip
        return features.distances(*points)["holes"][0, 0]

    start = (1e-2, 50, 2)
    assert apart(start, (1e-1, 50, 2)) == pytest.approx(apart(start, (1e-3, 50, 2)))  # logarithmic
    assert apart(start, (1e-1, 50, 2)) == pytest.approx(0.5 * apart(start, (1.0, 50, 2)))
    assert apart(start, (1e-2, 60, 2)) == pytest.approx(0.5 * apart(start, (1e-2, 70, 2)))
    assert 0 < apart(start, (1e-2, 50, 3)) < apart(start, (1e-2, 50, 4))


def test_a_hole_that_is_not_active_has_a_value_of_its_own():
    space = SPACES["mlp"]()
    features, default = Features.of(space), space.default()
    shorter = space.replay({path: value for path, value in default.items() if ".1." not in path} | {"layers.depth": 1})
    changed = space.replay({**default, "layers.1.out_features": 256})
    distances = [features.distances(features.points([default]), features.points([other]))["holes"][0, 0]
                 for other in (default, changed, shorter)]  # fmt: skip
    assert distances[0] == 0
    assert distances[1] < distances[2]


@pytest.mark.parametrize("kind", SPACES)
def test_outlines_that_are_equal_are_of_equal_networks(kind):
    """And what was read before changes nothing."""
    space, rng = SPACES[kind](), random.Random(3)
    outline, networks = Outline(space), {}
    drawn = [space.sample(rng) for _ in range(60)]
    for architecture in [*drawn, *(space.mutate(one, rng) for one in drawn)]:
        graph, fresh = outline.graph(architecture), Outline(space).graph(architecture)
        operations, again = ([(it.label, dict(it.arguments)) for it in one.operations] for one in (graph, fresh))
        assert (operations, graph.sources) == (again, fresh.sources)
        if kind != "cell":  # the order of what is concatenated is not in an outline
            network = space.network_id(architecture)
            assert networks.setdefault(repr((operations, graph.sources)), network) == network


def test_a_process_fitted_in_two_steps_is_the_one_fitted_at_once(monkeypatch):
    rng = np.random.default_rng(1)
    places = rng.normal(size=(80, 2))
    among = {"x": np.linalg.norm(places[:50, None] - places[None, :50], axis=2)}
    across = {"x": np.linalg.norm(places[:50, None] - places[None, 50:], axis=2)}
    targets = np.sin(places[:50, 0])
    once = posterior([("x",)], among, across, targets)
    monkeypatch.setattr(gaussian_process, "_MANY", 20)
    twice = posterior([("x",)], among, across, targets)
    assert once.members == twice.members
    assert np.allclose(once.bound(2.0), twice.bound(2.0), atol=1e-9)
    assert np.allclose(once.weights, twice.weights)


def test_a_start_with_others_under_way_lies_far_apart():
    space = SPACES["resnet"]()

    def least(workers):
        found = []
        for seed in range(5):
            history = History.from_events(simulate(make(space, seed=seed), lambda _: 0.5, 8, workers=workers))
            points = Features.of(space).points([trial.architecture for trial in history.trials.values()])
            apart = Features.of(space).distances(points, points)["holes"]
            found.append((apart + np.eye(8)).min())
            kinds = [trial.origin.get("candidate") for trial in history.trials.values()][1:]
            assert (set(kinds) == {"farthest"}) == (workers == 8)
        return np.mean(found)

    assert least(8) > least(1)


def test_copies_of_a_cell_are_read_once():
    space = SPACES["nasbench201"]()
    graph = Outline(space).graph(space.default())
    assert len(graph.labels) == 3  # of the cell alone: three convolutions, and identities
    composed = Composed([Segment.of(graph)], np.array([[0]]))
    assert composed.figures[("log paths",)] == pytest.approx(math.log1p(4))


def test_one_member_is_scikit_learns_process():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(30, 2)), rng.normal(size=(7, 2))
    targets = rng.normal(size=30)

    def apart(a, b):
        return {"x": np.linalg.norm(a[:, None] - b[None], axis=2)}

    ours = posterior([("x",)], apart(known, known), apart(known, asked), targets, noises=(0.1,))
    theirs = GaussianProcessRegressor(Matern(1.0, nu=0.5), alpha=0.1, optimizer=None).fit(known, targets)
    mean, deviation = theirs.predict(asked, return_std=True)
    variance = (targets @ np.linalg.solve(theirs.kernel_(known) + 0.1 * np.eye(30), targets) + 1) / 31
    assert ours.means[0] == pytest.approx(mean, abs=1e-6)
    assert ours.deviations()[0] == pytest.approx(math.sqrt(variance) * deviation, abs=1e-6)
    assert ours.weights.tolist() == [1.0]


def test_the_best_candidates_come_first_without_the_deviations_of_the_others():
    """The order is that of all bounds, ties by lot; hopeless candidates are not looked at."""
    rng = np.random.default_rng(5)
    known, asked = rng.uniform(size=(60, 3)), rng.uniform(size=(200, 3))
    asked[150:] = asked[:50]  # ties
    targets = normal_scores(np.argsort(np.argsort(known.sum(axis=1))) + 1.0, 60)
    apart = [np.abs(known[:, None] - other[None]).sum(axis=2) for other in (known, asked)]
    found = posterior([("a",), ("b",)], dict.fromkeys("ab", apart[0]), dict.fromkeys("ab", apart[1]), targets)
    lots = rng.uniform(size=200).tolist()
    for kappa in (0.0, 1.5, 4.5):
        bounds = np.round(found.bound(kappa), 6)
        expected = sorted(range(200), key=lambda place: (-bounds[place], lots[place]))
        order = list(found.best_first(kappa, lots))
        assert [place for place, _, _ in order] == expected
        place, mean, doubt = order[7]
        assert mean == pytest.approx(found.mean[place])
        assert mean + kappa * doubt == pytest.approx(bounds[place], abs=1e-6)
    made = []
    posterior_of, found.deviations = found.deviations, lambda places: made.extend(places) or posterior_of(places)
    next(found.best_first(0.5, lots))
    assert len(made) < 150


def test_the_kind_of_distance_that_explains_gets_the_weight():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 3, size=60), rng.uniform(0, 3, size=60)
    matrices = {"x": np.abs(x[:, None] - x[None]), "y": np.abs(y[:, None] - y[None])}
    found = posterior([("x",), ("y",)], matrices, matrices, np.sin(2 * x))
    assert sum(weight for name, weight in zip(found.members, found.weights, strict=True) if name[0] == "x") > 0.95


def test_slopes_of_relevance_against_differences():
    rng = np.random.default_rng(2)
    points = rng.uniform(size=(15, 3))
    apart = np.abs(points.T[:, :, None] - points.T[:, None, :])
    targets, weights = rng.normal(size=15), np.array([0.5, 1.0, 2.0])
    _, slopes = log_loss(apart, targets, weights, 0.1)
    for place in range(4):
        up, down = ([*weights, 0.1] * np.exp(sign * 1e-5 * np.eye(4)[place]) for sign in (1, -1))
        difference = log_loss(apart, targets, up[:3], up[3])[0] - log_loss(apart, targets, down[:3], down[3])[0]
        assert slopes[place] == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-6)


def test_a_hole_that_matters_gets_the_weight():
    rng = np.random.default_rng(3)
    points = rng.uniform(size=(50, 6))
    apart = np.abs(points.T[:, :, None] - points.T[:, None, :])
    weights = relevance(apart, np.sin(5 * points[:, 2]), 0.3)
    assert weights[2] > 3 * np.delete(weights, 2).max()


def test_distances_by_each_hole_sum_up():
    space, rng = SPACES["resnet"](), random.Random(5)
    features = Features.of(space)
    points = features.points([space.sample(rng) for _ in range(20)]).holes
    weights = np.array([rng.random() for _ in range(features.holes.count)])
    assert np.allclose(
        features.holes.weighted(points, points, weights), np.tensordot(weights, features.holes.each(points), 1)
    )


def test_normal_scores():
    assert normal_scores(np.array([1.0, 2.0, 3.0]), 3) == pytest.approx([-0.967, 0, 0.967], abs=1e-3)


def test_what_fails_is_avoided():
    def half_fails(architecture):
        if architecture["recipe.h0"] >= 2:
            raise ArithmeticError
        return 1.0 - abs(architecture["recipe.h1"] - 2) / 10

    history = History.from_events(simulate(make(options_space()), half_fails, 60))
    late = [history.trials[number] for number in range(20, 60)]
    assert sum(trial.state == "failed" for trial in late) < 8  # at random: 20


def test_it_learns_from_small_rungs_no_more_than_from_great_ones():
    """Trials are compared by the rung they reached: a high value at a low rung is not good."""
    history = History.from_events(simulate(make(options_space()), target_score, 30))
    assert history.value(history.best()[0]) > 0.5


def test_it_beats_random_by_far():
    space = options_space(holes=10)
    ours = [best(simulate(make(space, seed=seed), target_score, 60, seed=seed)) for seed in range(4)]
    chance = [best(simulate(RandomSearcher(space, seed=seed), target_score, 60, seed=seed)) for seed in range(4)]
    assert min(ours) > max(chance)


@pytest.mark.parametrize(("options", "words"), [({"startup": 0}, "cannot start"), ({"fitted": 5}, "learns nothing"),
                                                ({"kappa": -1.0}, "avoid")])  # fmt: skip
def test_options_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words):
        make(options_space(), **options)


def test_under_noise_the_recommended_trial_is_truly_better_than_the_best_observed():
    """20 seeds on a smooth function: the posterior looks through the luck of single values."""
    space, gains = options_space(holes=6), []
    for seed in range(20):
        rng = random.Random(seed)
        searcher = PredictorSearcher(space, seed=seed)
        history = History.from_events(
            simulate(searcher, lambda one, rng=rng: target_score(one) + rng.gauss(0, 0.2), 50, seed=seed)
        )
        recommended = history.trials[searcher.recommend(history)]
        gains.append(target_score(recommended.architecture) - target_score(history.best()[0].architecture))
        assert searcher.recommend(history, among=[3, 9]) in (3, 9)
        assert PredictorSearcher(space, seed=seed).recommend(history) == recommended.number, "a pure function"
    mean = sum(gains) / 20
    assert mean > 2 * math.sqrt(sum((gain - mean) ** 2 for gain in gains) / 19 / 20)


def test_of_a_history_that_says_little_nothing_is_recommended():
    searcher = PredictorSearcher(options_space())
    assert searcher.recommend(History()) is None
    assert searcher.recommend(History.from_events(simulate(searcher, target_score, 9))) is None
    history = History.from_events(simulate(searcher, target_score, 10))
    assert searcher.recommend(history) is not None
    assert searcher.recommend(history, among=[]) is None
    assert searcher.recommend(history, among=[1]) == 1
