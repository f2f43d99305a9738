"""Deep, wide and huge spaces: what no float holds, what is cubic in depth, what is quadratic in options."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest
import torch
from driving import recipe_space, simulate
from threadpoolctl import threadpool_info, threadpool_limits

from raynas.counts import digits, scientific
from raynas.engine.dry_run import _TRIABLE
from raynas.journal import History
from raynas.report import documents
from raynas.report import wording as words
from raynas.searchers import warm_start as warm
from raynas.searchers.auto import AutoSearcher
from raynas.searchers.local import LocalSearcher
from raynas.searchers.predictor import PredictorSearcher, segments
from raynas.searchers.predictor.features import Features
from raynas.space import Architecture, Choice, Float, Graph, Int, Space, Sum, op


def flat(holes: int, options: int) -> Space:
    return recipe_space(**{f"h{index}": Choice(*range(options)) for index in range(holes)})


def residual(blocks: int, *, alike: bool = True) -> Space:
    """A chain of residual blocks; each with a label of its own, or all alike."""

    def block(index: int) -> Graph:
        fixed = 1 if alike else 1 + index
        convolution = op(torch.nn.Conv2d, 8, 8, kernel_size=Choice(3, 5), padding="same", dilation=fixed)
        return Graph({"out": Sum("input", ("input", convolution))})

    return Space(**{f"block{index}": block(index) for index in range(blocks)})


def test_more_fillings_than_a_float_holds():
    space = flat(300, 16)
    searcher = AutoSearcher(space, seed=1, budget=20)
    assert searcher.explain() == (
        "predictor: 20 trials in a space of 1.7e+361 architectures; at random until 5 have ended"
    )
    assert len(simulate(searcher, lambda architecture: sum(architecture.values()), 9)) == 19
    sizes = documents.sizes(space)
    assert (words.format_size(sizes["size"]), sizes["size_without_recipe"]) == ("about 1.7e361", "1")
    assert space.size() > _TRIABLE  # so a plan has no end by it


def test_counts_of_any_size():
    assert scientific(10**7) == "1.0e+07"
    assert scientific(16**300) == "1.7e+361"
    assert digits(10**5_000) == "1" + "0" * 5_000
    assert digits(float("inf")) == "inf"


def test_a_proposal_takes_one_blas_thread_and_gives_the_others_back():
    seen = []

    class Probe(PredictorSearcher):
        def candidates(self, *given):
            seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
            return super().candidates(*given)

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    space = flat(6, 4)
    history = History.from_events(simulate(PredictorSearcher(space), lambda one: one["recipe.h0"], 8))
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        assert set(before) == {2}
        assert Probe(space).propose(history, 8) is not None
        assert threads() == before
        foreign = type("Foreign", (), {"propose": lambda self, history, number: seen.append({*threads()})})()
        warm.proposed(foreign, history, 8)
        assert threads() == before
    assert seen == [{1}, {1}]


def test_every_whole_number_is_reached_by_steps():
    for hole in (Int(1, 1000), Int(1, 1000, log=True), Int(-7, 10), Int(0, 10**400)):
        space = recipe_space(x=hole)
        rng = random.Random(3)
        for _ in range(5):
            start, goal = space.sample(rng), space.sample(rng)["recipe.x"]
            here = start["recipe.x"]
            near = {one["recipe.x"] for one in space.neighbours(start)}
            assert {here - 1, here + 1} - {hole.low - 1, hole.high + 1} <= near
            for _ in range(40 if hole.high < 10**6 and here != goal else 0):
                around = space.neighbours(start.replaced("recipe.x", here))
                here = min([here, *(one["recipe.x"] for one in around)], key=lambda value: abs(value - goal))
            assert here == goal or hole.high > 10**6, hole


def test_what_steps_are_as_they_were():
    """A Float steps as before, and a whole number takes the steps of before and finer ones."""

    def steps(hole, value):
        return [one["recipe.x"] for one in recipe_space(x=hole).neighbours(Architecture({"recipe.x": value}))]

    assert steps(Float(0.0, 1.0), 0.5) == pytest.approx([0.25, 0.45, 0.55, 0.75])
    assert steps(Int(0, 1000), 500) == [250, 450, 490, 498, 499, 501, 502, 510, 550, 750]


def test_local_search_finds_the_best_of_a_thousand_numbers():
    space = recipe_space(x=Int(1, 1000))
    history = History.from_events(simulate(LocalSearcher(space, seed=2), lambda one: -abs(one["recipe.x"] - 737), 80))
    assert history.value(history.best()[0]) == 0


def test_the_first_step_of_local_search_makes_few_ids(monkeypatch):
    space, made = flat(300, 5), []
    history = History.from_events(simulate(LocalSearcher(space), lambda one: 1.0, 1))
    ids = Space.trial_id
    monkeypatch.setattr(Space, "trial_id", lambda self, one: made.append(one) or ids(self, one))
    assert LocalSearcher(space).propose(history, 1).origin["kind"] == "neighbour"
    assert len(made) < 5
    assert len(space.neighbours(space.default())) == 1_200


def test_a_hole_of_many_options_takes_little_memory():
    space = recipe_space(row=Choice(*[f"r{index}" for index in range(15_625)]), other=Choice(1, 2))
    tracemalloc.start()
    features = Features(space)
    rng = random.Random(1)
    points = features.points([space.sample(rng) for _ in range(50)])
    apart = features.distances(points, points)["holes"]
    assert tracemalloc.get_traced_memory()[1] < 100e6  # options squared would take 2 GB
    tracemalloc.stop()
    assert sorted(np.unique(np.round(apart / features.common, 9))) == [0, 1, 2]
    assert np.allclose(features.holes.each(points.holes).sum(axis=0) * features.common, apart)


@pytest.mark.parametrize("alike", [True, False])
def test_a_deep_chain_is_counted_in_one_pass(alike, monkeypatch):
    """Of n residual blocks there are n³/6 walks, and n³/6 different ones if each block has a label of its own."""
    columns = []
    take = segments._Step.take
    monkeypatch.setattr(
        segments._Step, "take", lambda self, *given: columns.append(given[2].shape[1]) or take(self, *given)
    )
    space = residual(150, alike=alike)
    Features.of(space).points([space.default()])
    assert len(columns) == (2 * 150 + 1) + (150 + 1)  # of all samples, and of one network: each block's fillings once
    assert max(columns) <= 10
    events = simulate(AutoSearcher(space, seed=2), lambda architecture: sum(architecture.values()), 8)
    assert len({event["trial_id"] for event in events if event["event"] == "trial_proposed"}) == 8
