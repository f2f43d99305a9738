"""Strategies on large spaces with conditionals, repeats and mixed holes, where nobody has a table.

    python -m tests.bench.structures [--space NAME …] [--strategy NAME …] [--seeds 20] [--trials 200] [--workers 1]

The objective is made up: a function of the architecture with one known optimum, drawn from a seed. Every hole has a
weight of its own (few matter much, as in real spaces), numbers count by their squared distance, a hole that is active
in one and not in the other counts in full, and pairs of holes count once more if both are wrong. 0 is the optimum;
noise is added to what strategies see, and what they are judged by is the true value of the best that they saw.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from raynas.counts import scientific
from raynas.journal import History
from raynas.objectives.objective import Objective
from raynas.searchers.auto import AutoSearcher
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.local import LocalSearcher
from raynas.searchers.predictor import PredictorSearcher
from raynas.searchers.random import RandomSearcher
from raynas.searchers.reinforce import ReinforceSearcher
from raynas.searchers.tpe import TPESearcher
from raynas.simulate.spaces import TableTask
from raynas.space import Architecture, Chain, Choice, Concat, Float, Graph, Int, Repeat, Space, Sum, Zero, op
from raynas.space.template.holes import Number
from raynas.space.template.nodes import Hole
from search_spaces.mlp import mlp
from search_spaces.resnet import resnet

#: Of the noise, as a share of the standard deviation of random architectures.
NOISE = 0.1


def cells() -> Space:
    """Stacked cells whose nodes choose their inputs, with depths and a recipe: graphs, repeats and numbers in one."""

    def edge(width: int) -> Choice:
        return Choice(
            {
                "none": Zero(),
                "skip": op(torch.nn.Identity),
                "conv": Chain(
                    act=torch.nn.ReLU,
                    conv=op(torch.nn.Conv2d, out_channels=width, kernel_size=Choice(1, 3, 5), padding="same"),
                ),
                "pool": op(torch.nn.AvgPool2d, 3, stride=1, padding=1),
            }
        )

    def cell(width: int) -> Graph:
        return Graph(
            {
                "a": Sum((Choice("input"), edge(width)), ("input", edge(width))),
                "b": Sum((Choice("input", "a"), edge(width)), (Choice("a", "input"), edge(width))),
                "c": Sum((Choice("input", "a", "b"), edge(width)), (Choice("b", "a", "input"), edge(width))),
                "out": Concat("a", "b", "c"),
            }
        )

    stages: dict[str, Any] = {f"stage{stage}": Repeat(cell(width), 1, 2) for stage, width in ((1, 16), (2, 32))}
    recipe = {"lr": Float(1e-3, 1.0, log=True), "epochs": Int(5, 100, log=True), "smooth": Choice(0.0, 0.1, 0.2)}
    return Space(name="cells", recipe=recipe, **stages)


def residual_chain() -> Space:
    """300 residual blocks, one after the other: n³/6 walks of three operations."""
    convolution = op(torch.nn.Conv2d, 16, 16, kernel_size=Choice(3, 5), padding="same")
    return Space(
        name="deep", **{f"block{index}": Graph({"o": Sum("input", ("input", convolution))}) for index in range(300)}
    )


#: Spaces in which a proposal must not take long: deep, of many holes, and with a hole of many options.
LARGE: dict[str, Callable[[], Space]] = {
    "300 residual blocks": residual_chain,
    "300 holes of 5 options": lambda: Space(
        **{f"layer{index}": op(torch.nn.Linear, 8, out_features=Choice(8, 16, 24, 32, 40)) for index in range(300)}
    ),
    "a hole of 15,625 options": lambda: Space(
        recipe={"row": Choice(*[f"r{index}" for index in range(15_625)])}, body=op(torch.nn.Identity)
    ),
}

SPACES: dict[str, Callable[[], Space]] = {
    "mlp": lambda: mlp(TableTask((1, 8, 8))),
    "resnet": lambda: resnet(TableTask((3, 32, 32))),
    "cells": cells,
    **LARGE,
}

STRATEGIES: dict[str, Any] = {
    "random": RandomSearcher,
    "evolution": EvolutionSearcher,
    "local": LocalSearcher,
    "reinforce": ReinforceSearcher,
    "tpe": TPESearcher,
    "predictor": PredictorSearcher,
    "auto": AutoSearcher,
}


class Landscape:
    """The made-up objective over a space.

    Attributes:
        optimum: where it is 0, its greatest value.
    """

    def __init__(self, space: Space, seed: int) -> None:
        rng = random.Random(f"landscape/{seed}")
        self.space, self.optimum = space, space.sample(rng)
        self.holes = dict(space.holes())
        self.weights = {path: math.exp(rng.gauss(0, 1)) for path in self.holes}
        paths = list(self.holes)
        pairs = [tuple(rng.sample(paths, 2)) for _ in paths if len(paths) > 1]
        self.pairs = [(a, b, math.exp(rng.gauss(-0.5, 1))) for a, b in pairs]
        values = [self.value(space.sample(rng)) for _ in range(200)]
        self.spread = statistics.stdev(values)

    def value(self, architecture: Architecture) -> float:
        """The true value."""
        wrong = {path: self.wrong(path, hole, architecture) for path, hole in self.holes.items()}
        total = sum(self.weights[path] * amount for path, amount in wrong.items())
        return -total - sum(weight * wrong[a] * wrong[b] for a, b, weight in self.pairs)

    def wrong(self, path: str, hole: Hole, architecture: Architecture) -> float:
        """How far a hole is from the optimum's, from 0 to 1."""
        if (path in architecture) != (path in self.optimum):
            return 1.0
        if path not in architecture:
            return 0.0
        one, other = architecture[path], self.optimum[path]
        if isinstance(hole, Number) and hole.low < hole.high:
            return min(1.0, 4 * ((hole.scaled(one) - hole.scaled(other)) / hole.span) ** 2)
        return float(one != other)

    def observed(self, architecture: Architecture, rng: random.Random) -> float:
        return self.value(architecture) + rng.gauss(0, NOISE * self.spread)


def run(strategy: str, space: Space, seed: int, trials: int, workers: int = 1) -> tuple[list[float], list[float]]:
    """The true value of the best seen after each trial, in standard deviations of random ones; seconds a proposal."""
    landscape, rng = Landscape(space, seed), random.Random(f"noise/{seed}")
    cls = STRATEGIES[strategy]
    searcher = cls(space, seed=seed, **cls.options(trials))
    history, path, took, best = History(Objective("value", "max")), [], [], (-math.inf, 0.0)
    while len(path) < trials:
        while len(history.running) < min(workers, trials - len(history.ended)):
            number, began = history.next_number, time.perf_counter()
            proposal = searcher.propose(history, number)
            took.append(time.perf_counter() - began)
            history.apply({"event": "trial_proposed", "trial": number, "architecture": proposal.architecture.to_json(),
                           "trial_id": proposal.trial_id, "network_id": proposal.network_id,
                           "origin": proposal.origin})  # fmt: skip
        record = history.trials[rng.choice(list(history.running))]
        observed = landscape.observed(record.architecture, rng)
        history.apply({"event": "measured", "trial": record.number, "step": 1, "metrics": {"value": observed},
                       "rung": 1, "decision": "stop", "stop_reason": "budget"})  # fmt: skip
        best = max(best, (observed, landscape.value(record.architecture)))
        path.append(best[1] / landscape.spread)
    return path, took


def main() -> None:
    """Per space and strategy, the mean true value of the best seen (0 is the optimum) and its standard error."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--strategy", action="append", choices=STRATEGIES)
    parser.add_argument("--space", action="append", choices=SPACES)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    for name in given.space or [name for name in SPACES if name not in LARGE]:
        space = SPACES[name]()
        size = "no end of" if space.size() == math.inf else scientific(int(space.size()))
        print(f"{name}: {size} architectures, {len(space.holes())} holes")
        for strategy in given.strategy or [name for name in STRATEGIES if name != "predictor"]:
            paths, times = [], []
            for seed in range(given.seeds):
                path, took = run(strategy, space, seed, given.trials, given.workers)
                paths.append(path)
                times += took
            cells = []
            for after in (50, 100, 200, 400, 1000):
                if after <= given.trials:
                    values = [path[after - 1] for path in paths]
                    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
                    cells.append(f"{after}: {statistics.mean(values):6.3f} ± {error:.3f}")
            print(f"  {strategy:10s} {'   '.join(cells)}   {1000 * statistics.median(times):.1f} ms", flush=True)


if __name__ == "__main__":
    main()
