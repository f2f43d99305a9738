"""Local search: from a random start to a better neighbour, again and again; if no neighbour is better, a new start.

White, Nolen, Savani 2021, "Exploring the Loss Landscape in Neural Architecture Search" (UAI, arXiv:2005.02960): a
strong and simple baseline. Here it is asynchronous. Whenever a worker is free, it gets an untried neighbour of the best
trial of the climb so far. As soon as a better one has been measured, the climb continues from there ("query until
improvement" in the paper).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raynas.journal.history import LOWEST, History
from raynas.searchers.admission import Refusals
from raynas.searchers.ranking import FAILED, Ranking, Score
from raynas.searchers.searcher import ArchitectureSearcher, Common, Proposal
from raynas.space import Architecture, Space

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on


#: The ids of so many neighbours are made at once.
_FEW = 256


class LocalSearcher(ArchitectureSearcher):
    """Climbs from random starts (the first climb from trial 0, the space's default, if it was measured).

    The origin of every proposal says which climb it belongs to, so the climbs can be read back from the history. A
    climb stands at the best of its trials that have ended. If all neighbours of that trial were tried, an earlier climb
    that a late result has moved continues; if there is none, a new climb starts.

    Args:
        space: where to search.
        **common: as in ``ArchitectureSearcher``.

    Example:
        >>> searcher = LocalSearcher(space, seed=1)
        >>> searcher.propose(history, number=30).origin
        {'kind': 'neighbour', 'parents': [17], 'climb': 0}
    """

    def __init__(
        self,
        space: Space,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        self._climbs = _Climbs()
        # A cache: ids of architectures whose neighbours were all proposed or refused.
        self._surrounded: set[str] = set()

    def update(self, history: History) -> None:
        self._climbs.follow(history)

    def propose(self, history: History, number: int) -> Proposal | None:
        rng, climbs = self.rng(number), self._climbs
        if climbs.follow(history):
            self._surrounded.clear()
        started, standing = climbs.started, climbs.standing
        if started >= 0 and started not in standing:
            return self._start(history, rng, started)  # its starts are under way or failed: another one
        for climb in sorted(standing, reverse=True):
            place = history.trials[standing[climb]]
            if place.trial_id in self._surrounded:
                continue
            refusals = Refusals(self.admission)
            # Whether this place was looked at must not matter to the next: with an admission each has a generator.
            own = rng if self.admission is None else self.rng(number, f"around {place.number}")
            origin = {"kind": "neighbour", "parents": [place.number], "climb": climb}
            for near in self._new_ones(self.space.neighbours(place.architecture), history, own):
                found = refusals.settle(self.proposal(near, origin))
                if found is not None and not found.beyond:
                    return found
                if refusals.full:
                    return self._start(history, rng, started + 1)
            self._surrounded.add(place.trial_id)
        return self._start(history, rng, started + 1)

    def _new_ones(self, around: Sequence[Architecture], history: History, rng: random.Random) -> Iterator[Architecture]:
        """Those that were never proposed, in random order. (Of many, few are looked at: an id takes a while.)"""
        if len(around) <= _FEW:
            untried = [near for near in around if self.space.trial_id(near) not in history.seen]
            while untried:
                near = rng.choice(untried)
                yield near
                untried.remove(near)
        else:
            in_random_order = (around[place] for place in rng.sample(range(len(around)), len(around)))
            yield from (near for near in in_random_order if self.space.trial_id(near) not in history.seen)

    def _start(self, history: History, rng: random.Random, climb: int) -> Proposal | None:
        def draw(rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
            return self.space.sample(rng), {"kind": "start", "climb": climb}

        found = self.fresh(history, rng, draw)
        if found is not None and "climb" not in found.origin:
            found = replace(found, origin={**found.origin, "climb": climb})
        return found


class _Climbs:
    """Where each climb stands: a cache that follows a history.

    Attributes:
        started: the number of the latest climb; -1 before the first one.
        standing: climb to the number of its best judged trial (ended, or paused at a rung; under Hyperband by
            ``Ranking.scores``); climbs without such a trial are missing.
    """

    def __init__(self) -> None:
        self._follow_anew(None)

    def __reduce__(self) -> tuple[type[_Climbs], tuple[()]]:
        return _Climbs, ()  # nothing in it needs keeping

    def _follow_anew(self, history: History | None) -> None:
        self._history = history
        self._proposed = 0  # how many of history.trials were read
        self._judged = 0  # how many of history.judged
        self.started = -1
        self.standing: dict[int, int] = {}
        self._keys: dict[int, tuple[int, float]] = {}  # climb to that trial's key
        self._ranking = Ranking()

    def follow(self, history: History) -> bool:
        """Takes what is new; says whether this is another history than before."""
        other = history is not self._history
        if other:
            self._follow_anew(history)
        for record in itertools.islice(history.trials.values(), self._proposed, None):
            self.started = max(self.started, _climb(record.origin))
        self._proposed = len(history.trials)
        for entry in itertools.islice(history.judged, self._judged, None):
            climb = _climb(history.trials[entry.number].origin)
            if entry.key > self._keys.get(climb, LOWEST):
                self.standing[climb], self._keys[climb] = entry.number, entry.key
        self._judged = len(history.judged)
        self._ranking.follow(history)
        if len(self._ranking.brackets) > 1:
            self._stand_by_scores(history)
        return other

    def _stand_by_scores(self, history: History) -> None:
        best: dict[int, tuple[Score, int]] = {}
        for number in {entry.number for entry in history.judged if entry.key > LOWEST}:
            climb = _climb(history.trials[number].origin)
            best[climb] = max(best.get(climb, (FAILED, 0)), (self._ranking.scores[number], -number))
        self.standing = {climb: -minus for climb, (score, minus) in best.items() if score > FAILED}


def _climb(origin: Mapping[str, Any]) -> int:
    """The climb of a trial; those that others proposed (the default, a warm start) belong to the first."""
    climb = origin.get("climb", 0)
    return climb if type(climb) is int and climb >= 0 else 0
