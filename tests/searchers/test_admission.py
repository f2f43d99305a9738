"""What breaks a constraint, or is far beyond what a trial can afford, is proposed by no strategy, and is counted."""

from __future__ import annotations

import json
import math
import pickle
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from driving import simulate
from torch import nn

from raynas.journal import History
from raynas.objectives import Constraint, Objective
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
from raynas.searchers.warm_start import AlwaysInfeasible
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


def costs(architecture: Architecture) -> dict[str, float]:
    return {"flops": flops(architecture), "params": sum(architecture.values())}


def score(architecture: Architecture) -> float:
    """The dearer the better: what strategies learn is to ask for more than fits."""
    if random.Random(repr(sorted(architecture.items()))).random() < 0.1:
        raise ArithmeticError
    return sum(architecture.values())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_refuses_and_counts_as_a_pure_function_of_the_history(strategy: str, workers: int) -> None:
    space, admission = wide_space(), Admission(costs, affordable_flops=20)
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

    def noted(architecture: Architecture) -> dict[str, float]:
        asked.append(flops(architecture))
        return {"flops": asked[-1]}

    searcher.admit_only(Admission(noted, affordable_flops=1e-3))
    history = History.from_events(simulate(searcher, score, 12))
    own = [record for number, record in history.trials.items() if number > 0]
    assert len(own) == len(history.seen) - 1 == history.beyond == 11
    most = _CANDIDATES if strategy.startswith(("predictor", "auto")) else MOST_REFUSED
    assert 0 < history.refused <= 11 * (most - 1)
    assert sum(map(flops, (record.architecture for record in own))) / 11 < sum(asked) / len(asked) / 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_small_space_is_tried_whole_the_affordable_first(strategy: str) -> None:
    searcher = STRATEGIES[strategy](wide_space(2, 4))
    searcher.admit_only(Admission(costs, affordable_flops=1))
    history = History.from_events(simulate(searcher, score, 99))
    found = [flops(record.architecture) for record in history.trials.values()]
    assert len(found) == len(history.seen) == 16
    assert max(found[:8]) <= FAR_BEYOND < min(found[8:])
    assert history.beyond == 8


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_has_no_known_cost_is_admitted(strategy: str) -> None:
    searcher = STRATEGIES[strategy](wide_space())
    searcher.admit_only(Admission(lambda architecture: {}, affordable_flops=1))
    history = History.from_events(simulate(searcher, score, 8))
    assert len(history.seen) == 8
    assert history.refused == history.beyond == 0


class Own(ArchitectureSearcher):
    """Names the dearest architectures, and never asks ``fresh``."""

    def propose(self, history: History, number: int) -> Proposal:
        return self.proposal(list(self.space.enumerate())[-number], {})


def test_a_strategy_that_never_asks_for_a_fresh_one_is_taken_at_its_word() -> None:
    searcher = Own(wide_space())
    searcher.admit_only(Admission(costs, affordable_flops=1))
    history = History.from_events(simulate(searcher, score, 4))
    assert min(flops(record.architecture) for number, record in history.trials.items() if number) > FAR_BEYOND
    assert history.refused == 0


def limited(strategy: str, *limits: str, space: Space | None = None, affordable: float | None = None) -> Any:
    """A strategy with constraints, and its admission."""
    searcher = STRATEGIES[strategy](space or wide_space())
    admission = Admission(costs, affordable_flops=affordable, constraints=list(map(Constraint.parse, limits)))
    searcher.admit_only(admission)
    return searcher, admission


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_strategy_proposes_what_breaks_a_constraint(strategy: str, workers: int) -> None:
    limits = ("params<=14", "flops>=6")
    space = wide_space()
    searcher, admission = limited(strategy, *limits, space=space)
    share = sum(all(each.holds(costs(one)[each.metric]) for each in admission.constraints) for one in space.enumerate())
    assert 0.05 < share / int(space.size()) < 0.4
    events = simulate(searcher, score, 20, workers=workers, rule=Rungs(9, grace_period=1))
    again, prefix = pickle.loads(pickle.dumps(limited(strategy, *limits, space=space)[0])), History()
    for event in events:
        if event["event"] == "trial_proposed":
            proposal = again.next_proposal(prefix, event["trial"])
            assert proposal.architecture.to_json() == event["architecture"]
            assert (proposal.infeasible, dict(proposal.origin)) == (event.get("infeasible", 0), event["origin"])
        prefix.apply(event)
    assert len(prefix.seen) == 20
    for record in prefix.trials.values():
        assert costs(record.architecture)["params"] <= 14
        assert costs(record.architecture)["flops"] >= 6
    assert prefix.default is None, "the default, of 1 FLOP, is left out"
    assert prefix.infeasible > 0
    assert prefix.refused == prefix.beyond == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_few_in_thousands_are_found(strategy: str) -> None:
    """Of 2,097,152 architectures 8 have a sum of at most 8 over seven layers, and random ones of about 31."""
    space = wide_space(layers=7)
    history = History.from_events(simulate(limited(strategy, "params<=8", space=space)[0], score, 6))
    assert len(history.seen) == len(history.trials) == 6
    assert max(costs(record.architecture)["params"] for record in history.trials.values()) <= 8
    assert history.default is not None, "it keeps the constraint"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_all_that_keep_a_constraint_were_tried_the_search_is_at_its_end(strategy: str) -> None:
    searcher, admission = limited(strategy, "params<=4", space=wide_space(2, 4))
    history = History.from_events(simulate(searcher, score, 99))
    assert sorted(costs(record.architecture)["params"] for record in history.trials.values()) == [2, 3, 3, 4, 4, 4]
    assert admission.shortage.describe() == ("of 16 networks drawn 6 keep params<=4, and there is no other to try")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_nothing_keeps_a_constraint_the_nearest_value_is_told(strategy: str) -> None:
    searcher, admission = limited(strategy, "params<=3")
    assert searcher.next_proposal(History(Objective("score")), 0) is None
    said = admission.shortage.describe()
    assert said == f"of {admission.shortage.drawn:,} networks drawn none has params<=3; the smallest has 4"


def test_a_constraint_is_kept_where_nothing_is_affordable() -> None:
    searcher, _ = limited("random", "params>=20", affordable=1e-3)
    history = History.from_events(simulate(searcher, score, 6))
    assert min(costs(record.architecture)["params"] for record in history.trials.values()) >= 20
    assert history.beyond == 6


def test_each_constraint_alone_can_be_kept_but_not_both() -> None:
    searcher, admission = limited("random", "params<=6", "flops>=1k")
    assert searcher.next_proposal(History(Objective("score")), 0) is None
    found = re.fullmatch(
        r"of [\d,]+ networks drawn none keeps params<=6 and flops>=1k together; "
        r"the nearest has params [\d,]+ and flops [\d,]+",
        admission.shortage.describe(),
    )
    assert found


def test_what_has_no_known_cost_does_not_keep_a_constraint_on_it() -> None:
    searcher, admission = limited("random", "latency_ms<=3")
    assert searcher.next_proposal(History(Objective("score")), 0) is None
    assert admission.shortage.describe().endswith(
        "networks drawn none has a known latency_ms, which latency_ms<=3 limits"
    )


def test_a_warm_start_is_learned_from_and_the_best_that_keeps_the_constraints_comes_first() -> None:
    space = wide_space()
    known = [(Architecture(dict.fromkeys(space.default(), width)), 9, float(width)) for width in (8, 3, 2)]
    searcher = RandomSearcher(space, seed=3, objective=Objective("score"), trials=4, warm_start=known)
    searcher.admit_only(Admission(costs, constraints=[Constraint.parse("params<=12")]))
    proposed = [json.loads(searcher.suggest(str(turn))["architecture"]) for turn in range(4)]
    assert [sum(each.values()) for each in proposed[:2]] == [4, 12], "the default; of 8, 3 and 2 the 3"
    assert max(sum(each.values()) for each in proposed) <= 12


class Walking(ArchitectureSearcher):
    """Names the dearest architecture that was not seen yet, and never asks ``fresh``."""

    def propose(self, history: History, number: int) -> Proposal | None:
        untried = (
            one for one in reversed(list(self.space.enumerate())) if self.space.trial_id(one) not in history.seen
        )
        return next((self.proposal(one, {"kind": "walk"}) for one in untried), None)


def test_a_strategy_of_ones_own_is_asked_again() -> None:
    searcher = Walking(wide_space(2, 4))
    searcher.admit_only(Admission(costs, constraints=[Constraint.parse("params<=5")]))
    history = History.from_events(simulate(searcher, score, 99))
    found = [costs(record.architecture)["params"] for record in history.trials.values()]
    assert len(found) == 10
    assert max(found) == 5


def test_a_strategy_that_names_nothing_else_is_told_of() -> None:
    searcher = Own(wide_space())
    searcher.admit_only(Admission(costs, constraints=[Constraint.parse("params<=5")]))
    with pytest.raises(AlwaysInfeasible, match=r"for trial 1 only networks that break params<=5; .* self\.fresh"):
        searcher.next_proposal(History(Objective("score")), 1)
