"""The default strategy: a small policy over the others, which says what it does and why.

It decides by the space and the budget of trials, which are both known before a search begins:

- If a space has no more architectures than there are trials, all of them are tried, in random order.
- Otherwise ``predictor`` proposes, after a few random trials. With tens to thousands of trials it finds better networks
  than any other strategy here (docs/benchmarks.md).
- If ``crowded`` trials or more are under way at the same time, ``evolution`` makes a quarter of the proposals. A
  predictor gives much the same answer to hundreds of questions if it has learned nothing in between, and evolution
  spreads them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raynas.counts import scientific
from raynas.errors import SpecError
from raynas.journal.history import History
from raynas.searchers.admission import Admission
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.predictor import PredictorSearcher
from raynas.searchers.random import RandomSearcher
from raynas.searchers.searcher import ArchitectureSearcher, Common, Proposal
from raynas.space import Space

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on


class AutoSearcher(ArchitectureSearcher):
    """Picks the strategy for every proposal, and writes into the proposal's origin which one it picked and why.

    Args:
        space: where to search.
        budget: how many trials the search is expected to have (None: not known).
        crowded: from this number of trials under way on, evolution takes part.
        **common: as in ``ArchitectureSearcher``.

    Raises:
        SpecError: a number that makes no sense.

    Example:
        >>> searcher = AutoSearcher(space, seed=1, budget=100)
        >>> searcher.explain()
        'predictor: 100 trials in a space of 15,625 architectures; at random until 5 have ended'
    """

    def __init__(
        self,
        space: Space,
        *,
        budget: int | None = None,
        crowded: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        usual = self.options(self.trials)
        self.budget = usual["budget"] if budget is None else budget
        self.crowded = usual["crowded"] if crowded is None else crowded
        if self.budget is not None and self.budget < 1:
            raise SpecError(f"a budget of {self.budget} trials; give 1 or more")
        if self.crowded < 2:
            raise SpecError(f"crowded={self.crowded} trials at a time are no crowd; give 2 or more")
        self.predictor = PredictorSearcher(space, seed=self.seed)
        self.evolution = EvolutionSearcher(space, seed=self.seed, trials=self.budget)
        self.random = RandomSearcher(space, seed=self.seed)

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        return {"budget": trials, "crowded": 64}

    def explain(self) -> str:
        """What this search's proposals come from, and why, in one line."""
        size = self.space.size()
        if size == math.inf:
            space = "a space without end"
        else:
            space = f"a space of {f'{size:,}' if size < 10**7 else scientific(int(size))} architectures"
        if self._whole:
            return f"random: {self.budget:,} trials are enough to try {space} whole"
        if not self.space.size_exact:
            space = space.replace("a space of", "a space of at least")
        budget = "any number of trials" if self.budget is None else f"{self.budget:,} trials"
        return f"predictor: {budget} in {space}; at random until {self.predictor.startup} have ended"

    def admit_only(self, admission: Admission | None) -> None:
        super().admit_only(admission)
        for strategy in (self.predictor, self.evolution, self.random):
            strategy.admit_only(admission)

    @property
    def _whole(self) -> bool:
        """Whether the budget covers the space."""
        return self.budget is not None and self.space.size() <= self.budget and self.space.size_exact

    def update(self, history: History) -> None:
        self.predictor.update(history)

    def propose(self, history: History, number: int) -> Proposal | None:
        strategy, why = self.choose(history, number)
        found = strategy.propose(history, number)
        if found is None:
            return None
        origin: Mapping[str, Any] = {**found.origin, "strategy": _NAMES[type(strategy)], "why": why}
        return replace(found, origin=origin)

    def recommend(self, history: History, among: Collection[int] | None = None) -> int | None:
        """The trial that ``predictor`` recommends: it learns from all trials, whoever proposed them."""
        return self.predictor.recommend(history, among)

    def choose(self, history: History, number: int) -> tuple[ArchitectureSearcher, str]:
        """The strategy for a trial, and why."""
        if self._whole:
            return self.random, "the budget covers the space"
        if len(history.under_way) >= self.crowded and self.rng(number, "auto").random() < 0.25:
            return self.evolution, f"{self.crowded} or more trials at a time: a quarter from evolution"
        if len(history.reached) < self.predictor.startup:
            return self.predictor, "a few random trials first"
        return self.predictor, "best within the budget"


_NAMES = {PredictorSearcher: "predictor", EvolutionSearcher: "evolution", RandomSearcher: "random"}
