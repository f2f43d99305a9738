"""A predictor learns from the measurements which architectures are good, and the most promising candidate is tried.

This is Bayesian optimisation over architectures, in the form of local search guided by a Gaussian process: as in
Kandasamy et al. 2018, "NASBOT" (NeurIPS, arXiv:1802.07191) and White et al. 2021, "BANANAS" (AAAI, arXiv:1910.11858),
with a mixture of fixed kernels instead of a trained model; see ``features`` and ``gaussian_process``. The targets are
normal scores of ranks, so neither the scale of the metric nor a single diverged trial matters.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.errors import SpaceError, SpecError
from raynas.journal.history import LOWEST, History
from raynas.searchers.admission import MOST_REFUSED, Refusals
from raynas.searchers.predictor.features import Features
from raynas.searchers.predictor.gaussian_process import Array, Posterior, normal_scores, posterior
from raynas.searchers.predictor.relevance import log_prior, relevance
from raynas.searchers.ranking import Ranking, scores_of
from raynas.searchers.searcher import ArchitectureSearcher, Common, Draw, Proposal
from raynas.searchers.threads import one_blas_thread
from raynas.space import Architecture, Space

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

#: Kinds of distance that each kernel averages over: for spaces with and without structure, before there are weights...
_PLAIN: dict[bool, tuple[tuple[str, ...], ...]] = {
    True: (("holes",), ("holes", "walks", "statistics"), ("holes", "statistics"), ("statistics",)),
    False: (("holes",),),
}
#: ... and with weights.
_WEIGHTED: dict[bool, tuple[tuple[str, ...], ...]] = {
    True: (*_PLAIN[True], ("weighted holes",), ("weighted holes", "statistics")),
    False: (*_PLAIN[False], ("weighted holes",)),
}
#: Weights are learned anew whenever there are a quarter more trials, from so many of them at most.
_FIRST, _GROWTH, _LEARNED_FROM = 8, 1.25, 120
#: Figures that learning may take at a time: holes times trials squared.
_FIGURES = 1_500_000


class PredictorSearcher(ArchitectureSearcher):
    """Fits a mixture of Gaussian processes to the ended trials and tries the candidate with the best upper bound.

    The candidates are all neighbours of the best trials, some random architectures, and mutants of two steps. (The
    random ones are drawn for ``POOLED`` proposals in a row, because they are seldom taken and cost as much as others.)
    Until ``startup`` trials have ended, proposals are random. If other trials are under way, several are drawn, and the
    one that is farthest from all trials is proposed. Trials under way are not proposed again, and nothing is assumed
    about their results. But if there are any, each proposal draws its own ``kappa``, so that the workers do not all ask
    the same question. If there are more than ``fitted`` trials, the best half of that number and as many others, at
    random, are fitted (their ranks are those among all trials).

    Args:
        space: where to search.
        startup: random trials first.
        kappa: how many standard deviations are credited to a candidate; with other trials under way, 0 to three times
            as many: mostly few, and ``kappa`` on average.
        fitted: the largest number of trials that are fitted.
        **common: as in ``ArchitectureSearcher``.

    Raises:
        SpecError: a number that makes no sense.

    Example:
        >>> searcher = PredictorSearcher(space, seed=1)
        >>> searcher.propose(history, number=30).origin
        {'kind': 'predictor', 'candidate': 'neighbour', 'parents': [17], 'expected': 1.31, 'doubt': 0.42}
    """

    BEST, RANDOM, MUTANTS, NEIGHBOURS, POOLED = 5, 100, 50, 150, 8
    #: Random architectures from which the start's farthest is taken, and the trials from which it is to be far.
    SPREAD, LATEST = 20, 300

    def __init__(
        self,
        space: Space,
        *,
        startup: int | None = None,
        kappa: float | None = None,
        fitted: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        usual = self.options(self.trials)
        self.startup = usual["startup"] if startup is None else startup
        self.kappa = usual["kappa"] if kappa is None else kappa
        self.fitted = usual["fitted"] if fitted is None else fitted
        if self.startup < 1:
            raise SpecError(f"a predictor cannot start from {self.startup} trials; give startup=1 or more")
        if self.fitted < 10:
            raise SpecError(f"a predictor learns nothing from {self.fitted} trials; give fitted=10 or more")
        if self.kappa < 0:
            raise SpecError(f"kappa={self.kappa} would avoid what is not known; give 0 or more")
        self._ranking = Ranking()
        self._learned: tuple[History, int, Array] | None = None  # this and the next three are caches
        self._draws: dict[int, float] = {}
        self._neighbours: dict[Architecture, Sequence[Architecture]] = {}
        self._pooled: tuple[int, list[Architecture]] | None = None

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        return {"startup": 5, "kappa": 1.5, "fitted": 300}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_learned": None, "_neighbours": {}, "_pooled": None}

    @property
    def _features(self) -> Features:
        return Features.of(self.space)

    def update(self, history: History) -> None:
        self._ranking.follow(history)

    @one_blas_thread()
    def propose(self, history: History, number: int) -> Proposal | None:
        rng = self.rng(number)
        self._ranking.follow(history)
        best = self._ranking.best(self.BEST)
        if len(self._ranking) < self.startup or not best:
            return self.fresh(history, rng, self._far_draw(history) if history.running else self.random_draw)
        candidates = self.candidates(history, best, number)
        if not candidates:
            return self.fresh(history, rng, self.random_draw)
        expected = self.expect(history, list(candidates))
        listed = list(candidates.items())
        # Where the best is refused its next best is taken, as long as there is one.
        refusals = Refusals(self.admission, most=max(MOST_REFUSED, len(listed)))
        kappa = self.kappa * (3 * rng.random() ** 2 if history.running else 1)
        for place, mean, doubt in expected.best_first(kappa, [rng.random() for _ in listed]):
            architecture, origin = listed[place]
            if self.space.trial_id(architecture) not in history.seen:
                figures = {"expected": round(mean, 2), "doubt": round(doubt, 2)}
                found = self.proposal(architecture, {"kind": "predictor", **origin, **figures})
                settled = refusals.settle(found)
                if settled is not None:
                    return settled
        return self.fresh(history, rng, self.random_draw, refusals)

    @one_blas_thread()
    def recommend(self, history: History, among: Collection[int] | None = None) -> int | None:
        """The trial whose architecture has the best posterior mean: under noise, the best observed is a lucky one.

        Those that reached the highest rung of all are compared, by what is known of them and of architectures like
        them; of equals the earlier is taken.

        Args:
            among: numbers of trials to choose from (default: all).

        Returns:
            The trial's number; None where nothing has a figure, or less is known than a few random trials.
        """
        self._ranking.follow(history)
        if len(self._ranking) < 2 * self.startup:
            return None
        scored = [-minus for key, minus in self._ranking.order if key > LOWEST and minus <= 0]
        listed = sorted(number for number in scored if among is None or number in among)
        top = max((history.key(number)[0] for number in listed), default=0)
        listed = [number for number in listed if history.key(number)[0] == top]
        if not listed:
            return None
        expected = self.expect(history, [history.trials[number].architecture for number in listed])
        return listed[int(np.argmax(np.round(expected.mean, 6)))]

    def candidates(self, history: History, best: Sequence[int], number: int) -> dict[Architecture, Mapping[str, Any]]:
        """Architectures that trial ``number`` may have, with their origins."""
        rng = self.rng(number, "candidates")
        found: dict[Architecture, Mapping[str, Any]] = {}
        near = [self._near(history.trials[parent].architecture) for parent in best]
        ends = list(itertools.accumulate(map(len, near)))
        places: Iterable[int] = range(ends[-1])
        if ends[-1] > self.NEIGHBOURS:
            places = rng.sample(range(ends[-1]), self.NEIGHBOURS)
        for place in places:
            of = bisect_right(ends, place)
            architecture = near[of][place - ends[of]]  # counted from the end of its list
            found.setdefault(architecture, {"candidate": "neighbour", "parents": [best[of]]})
        for architecture in self._pool(number // self.POOLED):
            found.setdefault(architecture, {"candidate": "random"})
        for _ in range(self.MUTANTS):
            parent = rng.choice(best)
            try:
                once = self.space.mutate(history.trials[parent].architecture, rng)
                found.setdefault(self.space.mutate(once, rng), {"candidate": "mutant", "parents": [parent]})
            except SpaceError:  # no hole has a second value
                break
        tried = self._ranking.tried
        return {architecture: origin for architecture, origin in found.items() if architecture not in tried}

    def expect(self, history: History, candidates: Sequence[Architecture]) -> Posterior:
        """What the ended trials say of the candidates, in normal scores of ranks (0: the median trial so far)."""
        features = self._features
        numbers = self._fitted()
        ranking = self._ranking
        ranks = ranking.ranks(numbers)
        targets = normal_scores(np.array([ranks[number] for number in numbers]), len(ranking))
        known = features.points([history.trials[number].architecture for number in numbers])
        asked = features.points(candidates)
        weights = self._weights(history)
        kinds = (_PLAIN if weights is None else _WEIGHTED)[features.structured]
        among, across = features.distances(known, known, weights), features.distances(known, asked, weights)
        priors = {} if weights is None else {"weighted holes": log_prior(weights, features.common)}
        return posterior(kinds, among, across, targets, log_priors=priors)

    def _weights(self, history: History) -> Array | None:
        """How much each hole matters, learned from the first trials that ended; None while there are too few.

        From how many follows from how many there are, so it does not matter when anyone asked before.
        """
        count = float(_FIRST)
        if len(self._ranking.log) < count:
            return None
        while count * _GROWTH <= len(self._ranking.log):
            count *= _GROWTH
        if self._learned is None or self._learned[0] is not history or self._learned[1] != int(count):
            then = scores_of(self._ranking.log[: int(count)])
            ranked = sorted(then, key=lambda number: (then[number], -number))
            features = self._features
            most = min(_LEARNED_FROM, int(math.sqrt(_FIGURES / features.holes.count)))
            numbers = self._selection(ranked, max(most, 2 * _FIRST))
            keys = [then[number] for number in numbers]
            places = [(bisect_left(keys, key) + bisect_right(keys, key) + 1) / 2 for key in keys]
            points = features.points([history.trials[number].architecture for number in numbers])
            scores = normal_scores(np.array(places), len(places))
            self._learned = history, int(count), relevance(features.holes.each(points.holes), scores, features.common)
        return self._learned[2]

    def _fitted(self) -> list[int]:
        """The trials to fit, by number."""
        return sorted(self._selection([-minus for _, minus in self._ranking.order], self.fitted))

    def _selection(self, ranked: Sequence[int], most: int) -> list[int]:
        """``most`` of the trials, worst first: the best half, and others at random (a trial's draw never changes)."""
        if len(ranked) <= most:
            return list(ranked)
        cut = len(ranked) - most // 2
        for number in ranked[:cut]:
            if number not in self._draws:
                self._draws[number] = random.Random(f"{self.seed}/fit/{number}").random()
        drawn = set(sorted(ranked[:cut], key=self._draws.__getitem__)[: most - most // 2])
        return [*(number for number in ranked[:cut] if number in drawn), *ranked[cut:]]

    def _near(self, architecture: Architecture) -> Sequence[Architecture]:
        known = self._neighbours.get(architecture)
        if known is None:
            if len(self._neighbours) >= 100:
                self._neighbours.clear()
            known = self._neighbours[architecture] = self.space.neighbours(architecture)
        return known

    def _pool(self, turn: int) -> list[Architecture]:
        """The random candidates of some proposals in a row."""
        if self._pooled is None or self._pooled[0] != turn:
            rng = self.rng(turn, "pool")
            self._pooled = turn, [self.space.sample(rng) for _ in range(self.RANDOM)]
        return self._pooled[1]

    def _far_draw(self, history: History) -> Draw:
        """Draws the architecture farthest from the latest trials, of some random ones."""
        features = self._features
        latest = features.points([history.trials[n].architecture for n in list(history.trials)[-self.LATEST :]])

        def draw(rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
            drawn = [self.space.sample(rng) for _ in range(self.SPREAD)]
            distances = np.mean(list(features.distances(features.points(drawn), latest).values()), axis=0).min(axis=1)
            return drawn[int(np.argmax(np.round(distances, 6)))], {"kind": "random", "candidate": "farthest"}

        return draw
