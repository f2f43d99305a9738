"""The order of the trials, by what a history says about them. It is a cache that follows a history.

Under early stopping, trials were measured at different rungs, and neither the value nor the rung alone orders them. A
trial that was stopped at the first rung may be better than one that came there first, went on and disappointed. So a
value at a rung is carried to the next one, along a line through the trials that have a value at both: the line of Theil
and Sen (Sen 1968, JASA 63(324)), whose medians do not move with a diverged trial. Those trials were chosen by their
values at the lower rung, but this does not distort a regression on those values. Until there are ``PAIRS`` such trials,
the higher rung wins.

A trial that violates a constraint is behind every trial that violates none, at whatever rungs they are; so its value is
not carried. (Among the rungs it stands at ``INFEASIBLE``, the lowest, with minus its violation for a value.)
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable

import numpy as np

from raynas.journal.history import LOWEST, History, LogEntry, TrialRecord
from raynas.objectives.objectives import INFEASIBLE, Key
from raynas.space import Architecture

#: Reasons of failures that say nothing of the architecture.
_NOT_ITS_FAULT = frozenset({"infrastructure"})
#: So many trials with values at two rungs, and a line is laid through them; through so many of the latest at most.
PAIRS, _MOST_PAIRS = 6, 200

#: How good a trial is known to be, bigger is better: first what cannot be carried to each other, then the value.
Score = tuple[int, float]
FAILED: Score = (-1, -math.inf)


class Ranking:
    """Trials that ended or reached a rung, by their value at the highest rung, or carried to it (see the module).

    Failures of an architecture come last. The content depends only on the history, however often it was followed on the
    way.

    Attributes:
        log: ``(number, key at that time)``, one for each time that a trial reached a rung or ended (state).
        tried: all architectures that were ever proposed.
        brackets: the first rungs of the search's own trials. If there are several, trials were dealt out to brackets of
            different patience (Hyperband), and the highest rung that a trial reached says little about its
            architecture.
    """

    def __init__(self) -> None:
        self._follow_anew(None)

    def __reduce__(self) -> tuple[type[Ranking], tuple[()]]:
        return Ranking, ()  # nothing in it needs keeping

    def _follow_anew(self, history: History | None) -> None:
        self._history = history
        self._read = 0  # how many of history.reached
        self.log: list[tuple[int, Key]] = []
        self.tried: set[Architecture] = set()
        self.brackets: set[int] = set()
        self._proposed = 0  # how many of history.trials are in it
        self._entered: set[int] = set()  # numbers in the log
        self._rungs: set[int] = set()  # in the log
        self._order: list[tuple[Score, int]] | None = None  # worst first, with the number's sign turned
        self._scores: dict[int, Score] | None = None

    def follow(self, history: History) -> None:
        """Takes what was reached since the last time."""
        if history is not self._history:
            self._follow_anew(history)
        for record in itertools.islice(history.trials.values(), self._proposed, None):
            self.tried.add(record.architecture)
        self._proposed = len(history.trials)
        for entry in itertools.islice(history.reached, self._read, None):
            if entry.key > LOWEST or not tells_nothing(history.trials[entry.number]):
                self.log.append((entry.number, entry.key))
                self._enter(entry)
        self._read = len(history.reached)

    def _enter(self, entry: LogEntry) -> None:
        """Puts a new trial in its place; where values are carried between rungs, the order is to be made anew."""
        number, key = entry.number, entry.key
        failed, new = key <= LOWEST, number not in self._entered
        self._entered.add(number)
        self._scores = None
        if not failed:
            self._rungs.add(key[0])
            if new and number >= 0 and entry.standing is not None:
                self.brackets.add(entry.standing.rung)
        if self._order is not None and new and (failed or len(self._rungs) == 1):
            insort(self._order, (FAILED if failed else (0, key[1]), -number))
        else:
            self._order = None

    @property
    def order(self) -> list[tuple[Score, int]]:
        """``(score, -number)``, worst first."""
        if self._order is None:
            self._order = sorted((score, -number) for number, score in self.scores.items())
        return self._order

    @property
    def scores(self) -> dict[int, Score]:
        """How good each trial is known to be."""
        if self._scores is None:
            self._scores = scores_of(self.log)
        return self._scores

    def keys(self, history: History) -> Callable[[int], Key]:
        """What orders trials by number, bigger is better: ``History.key``, or ``scores`` where there are brackets."""
        self.follow(history)
        if len(self.brackets) < 2:
            return history.key
        scores = self.scores
        return lambda number: scores.get(number, FAILED)

    def __len__(self) -> int:
        return len(self.order)

    def best(self, count: int) -> list[int]:
        """The best trials' numbers, best first; none that failed."""
        top = self.order[-count:] if count else []
        return [-minus for score, minus in reversed(top) if score > FAILED]

    def ranks(self, numbers: Iterable[int]) -> dict[int, float]:
        """The ranks of these among all trials, 1 for the worst; equal ones share the mean of theirs."""
        found, wanted = [score for score, _ in self.order], set(numbers)
        return {
            -minus: (bisect_left(found, score) + bisect_right(found, score) + 1) / 2
            for score, minus in self.order
            if -minus in wanted
        }


def scores_of(log: list[tuple[int, Key]]) -> dict[int, Score]:
    """How good each trial of a ``Ranking.log`` is known to be, in the order in which they got their first."""
    values: dict[int, dict[int, float]] = {}  # number to rung to value; empty: failed
    for number, (rung, value) in log:
        known = values.setdefault(number, {})
        if rung == INFEASIBLE:  # or failed
            known.clear()
        known.pop(INFEASIBLE, None)
        if (rung, value) > LOWEST:
            known[rung] = value
    rungs = sorted({rung for known in values.values() for rung in known})
    lines = {low: _line(values, low, high) for low, high in itertools.pairwise(rungs) if low > INFEASIBLE}
    return {number: _carried(known, rungs, lines) if known else FAILED for number, known in values.items()}


def _carried(known: dict[int, float], rungs: list[int], lines: dict[int, tuple[float, float] | None]) -> Score:
    place = rungs.index(max(known))
    value = known[rungs[place]]
    while (line := lines.get(rungs[place])) is not None:
        slope, offset = line
        place, value = place + 1, slope * value + offset
    return place, value


def _line(values: dict[int, dict[int, float]], low: int, high: int) -> tuple[float, float] | None:
    """Slope and offset that carry a value from a rung to the next; None while too few trials have both."""
    pairs = [(known[low], known[high]) for known in values.values() if low in known and high in known][-_MOST_PAIRS:]
    if len(pairs) < PAIRS:
        return None
    x, y = np.array(pairs).T
    one, other = np.triu_indices(len(pairs), 1)
    steps = x[one] - x[other]
    differ = steps != 0
    slope = max(0.0, float(np.median((y[one] - y[other])[differ] / steps[differ]))) if differ.any() else 0.0
    return slope, float(np.median(y - slope * x))


def tells_nothing(record: TrialRecord) -> bool:
    """Whether an ended trial without a finite score says nothing bad of its architecture."""
    if record.state == "failed":
        return record.reason in _NOT_ITS_FAULT
    return record.score is None  # one that has a score has a value that is not finite
