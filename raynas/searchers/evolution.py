"""Regularised (aging) evolution: the young compete, the best of a small sample breeds, the old drop out.

Real, Aggarwal, Huang, Le 2019, "Regularized Evolution for Image Classifier Architecture Search" (AAAI,
arXiv:1802.01548), algorithm 1, asynchronous as in the paper: whenever a worker is free, the tournament is held among
the trials that have been measured by then.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError, SpecError
from raynas.journal.history import LOWEST, History, TrialRecord
from raynas.searchers.ranking import Ranking
from raynas.searchers.searcher import ArchitectureSearcher, Common, Proposal
from raynas.space import Architecture, Space

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

#: After so many children that were all seen before, one more hole changes in each (a crowded neighbourhood).
_CROWDED = 10


class EvolutionSearcher(ArchitectureSearcher):
    """Evolution over the ``population`` trials that were scored last. Failed trials have no children.

    The first ``population`` trials are random. Trial 0, the default of the space, is a member like any other, and so is
    a measurement of a warm start. After that, the parent of each child is the best of ``sample`` members that are drawn
    without replacement: the one at the highest rung, and there with the best value (under Hyperband, the one with the
    best of ``Ranking.scores``). The child differs from its parent in one hole. With probability ``crossover`` it
    instead takes each hole from one of two such winners, and is mutated only if it was seen before. (Real et al. only
    mutate. A small share of crossover joins what two lines have found, as in Guo et al. 2020, "Single Path One-Shot",
    section 3.4, where the share is half.)

    Args:
        space: where to search.
        population: P in the paper, which has 100 for 20,000 trials (default for a budget of trials: see ``options``).
        sample: S in the paper, which has 25 of 100.
        crossover: probability of a child with two parents.
        **common: as in ``ArchitectureSearcher``.

    Raises:
        SpecError: a size or probability that makes no sense.
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int | None = None,
        sample: int | None = None,
        crossover: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        usual = self.options(self.trials)
        self.population = usual["population"] if population is None else population
        self.sample = min(usual["sample"], self.population) if sample is None else sample
        self.crossover = usual["crossover"] if crossover is None else crossover
        if self.population < 1:
            raise SpecError(f"a population of {self.population} breeds nothing; give 1 or more")
        if not 1 <= self.sample <= self.population:
            raise SpecError(f"a sample of {self.sample} is not between 1 and the population of {self.population}")
        if not 0 <= self.crossover <= 1:
            raise SpecError(f"crossover {self.crossover} is a probability; give 0 to 1")
        self._ranking = Ranking()

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        """Population a fifth of the trials, from 10 to 50; sample a third of it; crossover 0.1.

        On NAS-Bench-201, 30 and 10 did well within 50 to 200 trials.
        """
        population = 50 if trials is None else min(max(trials // 5, 10), 50)
        return {"population": population, "sample": population // 3, "crossover": 0.1}

    def update(self, history: History) -> None:
        self._ranking.follow(history)

    def propose(self, history: History, number: int) -> Proposal | None:
        rng = self.rng(number)
        living = self.living(history) if len(history.trials) >= self.population else []
        if not living:
            return self.fresh(history, rng, self.random_draw)
        attempts = itertools.count()

        def draw(rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
            try:
                return self._child(history, living, rng, mutations=1 + next(attempts) // _CROWDED)
            except SpaceError:  # no hole has a second value
                return self.random_draw(rng)

        return self.fresh(history, rng, draw)

    def living(self, history: History) -> list[TrialRecord]:
        """The ``population`` trials that were scored last, youngest first, without failed ones."""
        scored = (history.trials[number] for number in reversed(history.scored))
        return list(itertools.islice((trial for trial in scored if history.key(trial) > LOWEST), self.population))

    def _tournament(self, history: History, living: list[TrialRecord], rng: random.Random) -> TrialRecord:
        key = self._ranking.keys(history)
        return max(rng.sample(living, min(self.sample, len(living))), key=lambda trial: key(trial.number))

    def _child(
        self, history: History, living: list[TrialRecord], rng: random.Random, mutations: int
    ) -> tuple[Architecture, Mapping[str, Any]]:
        parent = self._tournament(history, living, rng)
        child, kind, parents = parent.architecture, "mutation", [parent.number]
        if rng.random() < self.crossover:
            other = self._tournament(history, living, rng)
            child, kind, parents = (
                self.space.crossover(child, other.architecture, rng),
                "crossover",
                [*parents, other.number],
            )
            if self.space.trial_id(child) not in history.seen:
                mutations = 0
        for _ in range(mutations):
            child = self.space.mutate(child, rng)
        return child, {"kind": kind, "parents": parents, "mutations": mutations}
