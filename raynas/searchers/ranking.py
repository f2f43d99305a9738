"""What a history says of which architectures are better: the ended trials in order. A cache that follows a history."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right, insort

from raynas.journal.history import LOWEST, History, TrialRecord
from raynas.space import Architecture

#: Reasons of failures that say nothing of the architecture.
_NOT_ITS_FAULT = frozenset({"infrastructure"})


class Ranking:
    """Ended trials by ``History.key``: the higher rung wins, then the value; failures of an architecture come last.

    Its content is a function of the history alone, however often it was followed on the way.

    Attributes:
        order: ``(key, -number)``, worst first (state).
        numbers: the trials that count, in the order of ending.
        tried: all architectures that were ever proposed.
    """

    def __init__(self) -> None:
        self._follow_anew(None)

    def __reduce__(self) -> tuple[type[Ranking], tuple[()]]:
        return Ranking, ()  # nothing in it needs keeping

    def _follow_anew(self, history: History | None) -> None:
        self._history = history
        self._read = 0  # how many of history.ended
        self.order: list[tuple[tuple[int, float], int]] = []
        self.numbers: list[int] = []
        self.tried: set[Architecture] = set()
        self._proposed = 0  # how many of history.trials are in it

    def follow(self, history: History) -> None:
        """Takes what has ended since the last time."""
        if history is not self._history:
            self._follow_anew(history)
        for record in itertools.islice(history.trials.values(), self._proposed, None):
            self.tried.add(record.architecture)
        self._proposed = len(history.trials)
        for number in history.ended[self._read :]:
            key = history.key(number)
            if key > LOWEST or not blameless(history.trials[number]):
                insort(self.order, (key, -number))
                self.numbers.append(number)
        self._read = len(history.ended)

    def __len__(self) -> int:
        return len(self.numbers)

    def best(self, count: int) -> list[int]:
        """The best trials' numbers, best first; none that failed."""
        top = self.order[-count:] if count else []
        return [-minus for key, minus in reversed(top) if key > LOWEST]

    def rank(self, key: tuple[int, float]) -> float:
        """The rank of a key, 1 for the worst; equal ones share the mean of theirs."""
        left = bisect_left(self.order, (key, -(1 << 62)))
        right = bisect_right(self.order, (key, 1 << 62))
        return (left + right + 1) / 2


def blameless(record: TrialRecord) -> bool:
    """Whether an ended trial without a finite score says nothing bad of its architecture."""
    if record.state == "failed":
        return record.reason in _NOT_ITS_FAULT
    return record.score is None
