"""What is far beyond what a trial can afford is not proposed, by any strategy, and is counted."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable

import pytest
from driving import simulate
from torch import nn

from raynas.journal import History
from raynas.schedulers.rungs import Rungs
from raynas.searchers.admission import FAR_BEYOND, MOST_REFUSED, Admission
from raynas.searchers.auto import AutoSearcher
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.local import LocalSearcher
from raynas.searchers.predictor import PredictorSearcher
from raynas.searchers.proposal import Proposal
from raynas.searchers.random import RandomSearcher
from raynas.searchers.reinforce import ReinforceSearcher
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.searchers.tpe import TPESearcher
from raynas.space import Architecture, Choice, Space, op

#: A predictor weighs so many candidates at most, and refuses none but those.
_CANDIDATES = PredictorSearcher.NEIGHBOURS + PredictorSearcher.RANDOM + PredictorSearcher.MUTANTS

Make = Callable[[Space], ArchitectureSearcher]

STRATEGIES: dict[str, Make] = {
    "random": lambda space: RandomSearcher(space, seed=3),
    "evolution": lambda space: EvolutionSearcher(space, seed=3, population=6, sample=3),
    "tpe": lambda space: TPESearcher(space, seed=3, startup=4),
    "predictor": lambda space: PredictorSearcher(space, seed=3),
    "local": lambda space: LocalSearcher(space, seed=3),
    "reinforce": lambda space: ReinforceSearcher(space, seed=3),
    "auto": lambda space: AutoSearcher(space, seed=3, budget=20),
    "auto, crowded": lambda space: AutoSearcher(space, seed=3, budget=20, crowded=2),
    "auto, the whole space": lambda space: AutoSearcher(space, seed=3, budget=10_000),
}


def wide_space(layers: int = 4, widths: int = 8) -> Space:
    """Layers of 1 to ``widths`` units, in the default of 1."""
    return Space(**{f"layer{place}": op(nn.Linear, 8, Choice(*range(1, widths + 1))) for place in range(layers)})


def flops(architecture: Architecture) -> float:
    return math.prod(architecture.values())


def score(architecture: Architecture) -> float:
    """The dearer the better: what strategies learn is to ask for more than fits."""
    if random.Random(repr(sorted(architecture.items()))).random() < 0.1:
        raise ArithmeticError
    return sum(architecture.values())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_refuses_and_counts_as_a_pure_function_of_the_history(strategy: str, workers: int) -> None:
    space, admission = wide_space(), Admission(20, flops)
    share = sum(map(flops, space.enumerate()), 0) / int(space.size())
    assert share > FAR_BEYOND * 20  # the mean architecture does not fit

    def make() -> ArchitectureSearcher:
        searcher = STRATEGIES[strategy](space)
        searcher.admit_only(admission)
        return searcher

    events = simulate(make(), score, 20, workers=workers, rule=Rungs(9, grace_period=1))
    again, prefix = pickle.loads(pickle.dumps(make())), History()
    for event in events:
        if event["event"] == "trial_proposed" and event["trial"] > 0:
            for searcher in (again, make()):
                proposal = searcher.propose(prefix, event["trial"])
                assert proposal is not None
                assert proposal.architecture.to_json() == event["architecture"]
                assert (proposal.refused, dict(proposal.origin)) == (event.get("refused", 0), event["origin"])
        prefix.apply(event)
    assert len(prefix.seen) == 20
    assert max(flops(record.architecture) for record in prefix.trials.values()) <= FAR_BEYOND * 20
    assert prefix.refused > 0
    assert prefix.beyond == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_nothing_fits_the_cheapest_of_some_draws_is_taken(strategy: str) -> None:
    searcher = STRATEGIES[strategy](wide_space())
    asked: list[float] = []
    searcher.admit_only(Admission(1e-3, lambda architecture: asked.append(flops(architecture)) or asked[-1]))
    history = History.from_events(simulate(searcher, score, 12))
    own = [record for number, record in history.trials.items() if number > 0]
    assert len(own) == len(history.seen) - 1 == history.beyond == 11
    most = _CANDIDATES if strategy.startswith(("predictor", "auto")) else MOST_REFUSED
    assert 0 < history.refused <= 11 * (most - 1)
    assert sum(map(flops, (record.architecture for record in own))) / 11 < sum(asked) / len(asked) / 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_small_space_is_tried_whole_the_affordable_first(strategy: str) -> None:
    searcher = STRATEGIES[strategy](wide_space(2, 4))
    searcher.admit_only(Admission(1, flops))
    history = History.from_events(simulate(searcher, score, 99))
    costs = [flops(record.architecture) for record in history.trials.values()]
    assert len(costs) == len(history.seen) == 16
    assert max(costs[:8]) <= FAR_BEYOND < min(costs[8:])
    assert history.beyond == 8


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_has_no_known_cost_is_admitted(strategy: str) -> None:
    searcher = STRATEGIES[strategy](wide_space())
    searcher.admit_only(Admission(1, lambda architecture: None))
    history = History.from_events(simulate(searcher, score, 8))
    assert len(history.seen) == 8
    assert history.refused == history.beyond == 0


class Own(ArchitectureSearcher):
    """Names the dearest architectures, and never asks ``fresh``."""

    def propose(self, history: History, number: int) -> Proposal:
        return self.proposal(list(self.space.enumerate())[-number], {})


def test_a_strategy_that_never_asks_for_a_fresh_one_is_taken_at_its_word() -> None:
    searcher = Own(wide_space())
    searcher.admit_only(Admission(1, flops))
    history = History.from_events(simulate(searcher, score, 4))
    assert min(flops(record.architecture) for number, record in history.trials.items() if number) > FAR_BEYOND
    assert history.refused == 0
