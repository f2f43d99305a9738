"""What every strategy is held to, on spaces of every kind: pure proposals, no trial twice, an end."""

from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch
from driving import recipe_space, simulate

from raynas.journal import History
from raynas.schedulers.rungs import Rungs
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.simulate.spaces import TableTask
from raynas.space import Chain, Choice, Concat, Float, Graph, Int, Repeat, Space, Sum, Zero, op
from search_spaces.mlp import mlp
from search_spaces.nasbench201 import nasbench201
from search_spaces.resnet import resnet

#: Makes a fresh searcher over a space.
Make = Callable[..., ArchitectureSearcher]


def cell_space() -> Space:
    """Graphs, sources, repeats and conditional holes in one."""
    edge = Choice({"none": Zero(), "skip": op(torch.nn.Identity), "relu": op(torch.nn.ReLU), "wide": _wide()})
    cell = Graph(
        {
            "a": Sum(("input", edge)),
            "b": Sum((Choice("input", "a"), op(torch.nn.Tanh)), ("a", edge)),
            "out": Concat("a", "b"),
        }
    )
    return Space(body=Repeat(cell, 1, 2), tail=Choice(torch.nn.ReLU, torch.nn.GELU))


def _wide() -> Chain:
    return Chain(act=torch.nn.ReLU, drop=op(torch.nn.Dropout, p=Choice(0.0, 0.1, 0.3)))


def mixed_space() -> Space:
    return recipe_space(lr=Float(1e-3, 1.0, log=True), width=Int(1, 90), a=Choice(0, 1, 2), b=Choice(True, 0))


SPACES: dict[str, Callable[[], Space]] = {
    "recipe": mixed_space,
    "cell": cell_space,
    "mlp": lambda: mlp(TableTask((1, 8, 8))),
    "resnet": lambda: resnet(TableTask((1, 8, 8))),
    "nasbench201": lambda: nasbench201(TableTask(), channels=4, cells=1),
}


def score(architecture: Any) -> float:
    """A function of the architecture that fails here and there, and now and then yields no number."""
    lot = random.Random(repr(sorted(architecture.to_json().items()))).random()
    if lot < 0.1:
        raise ArithmeticError
    return math.nan if lot < 0.2 else len(architecture) + lot


def check_recomputed(make: Make, space: Space, *, workers: int, trials: int, every: int = 1) -> History:
    """Every proposal again from its journal prefix, by a fresh searcher each time and by one that has caches."""
    events = simulate(make(space), score, trials, workers=workers, rule=Rungs(9, grace_period=1))
    again, prefix, proposals = pickle.loads(pickle.dumps(make(space))), History(), 0
    for event in events:
        if event["event"] == "trial_proposed" and event["trial"] > 0:
            proposals += 1
            searchers = [again] if event["trial"] % every else [again, make(space)]
            for searcher in searchers:
                proposal = searcher.propose(prefix, event["trial"])
                assert proposal is not None
                assert proposal.architecture.to_json() == event["architecture"]
                assert (proposal.trial_id, dict(proposal.origin)) == (event["trial_id"], event["origin"])
                assert space.trial_id(proposal.architecture) == proposal.trial_id
        prefix.apply(event)
        if event["event"] == "trial_ended":
            again.update(prefix)
    assert len(prefix.trials) == len(prefix.seen) == trials
    assert proposals == trials - 1
    return prefix


def check_exhausted(make: Make, workers: int) -> None:
    """A finite space is tried whole, every trial once."""
    space = recipe_space(a=Choice(1, 2, 3), b=Choice(1, 2, 3), c=Choice("x", "y"))
    history = History.from_events(simulate(make(space), lambda a: a["recipe.a"], 99, workers=workers))
    assert len(history.trials) == len(history.seen) == 18
    assert not history.running


def check_other_process(strategy: type[ArchitectureSearcher]) -> None:
    """Proposals do not depend on the process's hash seed."""
    code = (
        "from contract import *\n"
        f"from {strategy.__module__} import {strategy.__name__} as strategy\n"
        "events = simulate(strategy(cell_space(), seed=5), score, 16)\n"
        "print([e['architecture'] for e in events if 'architecture' in e])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1
    assert "body.depth" in outputs.pop()
