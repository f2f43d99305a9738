"""What TPE sees of a search: the best trials and the latest, as Optuna's frozen trials.

Optuna's cost per proposal grows with the trials in a study, and a search may have 10,000. Few of them matter: TPE calls
the best tenth good (25 at most), and of the others the latest have the most weight. So a study holds a window. A
quarter of it are the best trials, the rest are those that ended last.

A trial is told so that Optuna's order is that of ``History.key``:

- completed, at the highest rung that any trial has reached: COMPLETE, with its value;
- stopped earlier: PRUNED, with its values at the rungs. Optuna ranks these behind all completed ones, by the last step
  and then by the value there;
- failed (NaN, out of memory, exception, worker died, time limit): PRUNED with no value at all. Optuna ignores trials
  told as FAIL, so nothing would be learned of them; a NaN reported at step 9 would rank before a good value at step 3;
  PRUNED without a value ranks last of all. (``_get_pruned_trial_score`` in Optuna 4 and 5; a test holds it.);
- failed for no fault of the architecture ("infrastructure"), or ended without a score: left out. Optuna's FAIL comes
  to the same;
- paused at a rung: PRUNED, as if it had been stopped there; it comes again if it is promoted;
- judged where it violates a constraint: PRUNED at step 0, which is no rung, with its violation as the value there. So
  it ranks behind all that violate none, and before those without a value;
- under way: RUNNING, for the constant liar.

If trials were dealt out to brackets (Hyperband), the highest rung depends on the bracket that a trial was put into.
There the order is that of ``Ranking.scores``: a trial is told with its value carried to the last rung, as COMPLETE if
it can be carried there, and otherwise as PRUNED at the rung to which it can be carried.

If more than nine in ten trials fail, failed ones would fill up the good tenth. Then only the latest of them are told,
so few that the good tenth is left to the others.
"""

from __future__ import annotations

import datetime
import itertools
import math
from bisect import bisect_left, insort
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from raynas.journal.history import LOWEST, History, TrialRecord
from raynas.objectives.objectives import INFEASIBLE, Key
from raynas.searchers.ranking import FAILED, Ranking, Score, tells_nothing
from raynas.space import Choice, Int, Space
from raynas.space.template.nodes import Hole
from raynas.space.template.values import exact

#: TPE calls one in so many trials good (``default_gamma`` in Optuna).
_GOOD_ONE_IN = 10
#: Optuna wants dates and TPE does not look at them.
_DATE = datetime.datetime(2000, 1, 1)


@lru_cache(maxsize=10_000)
def distribution(hole: Hole) -> Any:
    """A hole as Optuna's distribution. A choice is one of its options' indices: there 0, 0.0 and False are three."""
    if isinstance(hole, Choice):
        return CategoricalDistribution(tuple(range(len(hole.options))))
    if isinstance(hole, Int):
        return IntDistribution(hole.low, hole.high, log=hole.log)
    return FloatDistribution(hole.low, hole.high, log=hole.log)  # type: ignore[attr-defined]


@lru_cache(maxsize=10_000)
def _indices(hole: Choice) -> dict[Any, int]:
    return {exact(value): index for index, value in enumerate(hole.options)}


class Memory:
    """Follows a history and picks the window from it. It is a cache, and its content depends only on the history.

    Attributes:
        ranked: ``(key, -number)`` of the trials that were judged with a score, the worst first (state).
        ended: how many judged trials TPE can learn from, including failures of the architecture.
    """

    def __init__(self, space: Space, size: int) -> None:
        self._space, self._size = space, size
        self._ranking = Ranking()
        self._follow_anew(None)

    def __reduce__(self) -> tuple[type[Memory], tuple[Space, int]]:
        return Memory, (self._space, self._size)  # nothing in it needs keeping

    def _follow_anew(self, history: History | None) -> None:
        self._history = history
        self._read = 0  # how many of history.judged
        self._usable: dict[int, Key] = {}  # number to key, in the order of the last judgement
        self.ranked: list[tuple[Key, int]] = []
        self._frozen: dict[int, FrozenTrial] = {}  # of trials that were in the last window

    def follow(self, history: History) -> None:
        """Takes what was judged since the last time."""
        if history is not self._history:
            self._follow_anew(history)
        for entry in itertools.islice(history.judged, self._read, None):
            number, key = entry.number, entry.key
            before = self._usable.pop(number, LOWEST)
            if before > LOWEST:  # it was paused there
                del self.ranked[bisect_left(self.ranked, (before, -number))]
                self._frozen.pop(number, None)
            if key > LOWEST:
                insort(self.ranked, (key, -number))
            elif tells_nothing(history.trials[number]):
                continue
            self._usable[number] = key
        self._read = len(history.judged)
        self._ranking.follow(history)

    @property
    def ended(self) -> int:
        return len(self._usable)

    @property
    def best(self) -> int:
        """The best trial's number; of equals the earlier."""
        return self._best(1)[0]

    @property
    def _scores(self) -> dict[int, Score] | None:
        """What orders the trials where there are brackets; None where ``ranked`` does."""
        return self._ranking.scores if len(self._ranking.brackets) > 1 else None

    def _best(self, count: int) -> list[int]:
        """The numbers of the best judged trials with a score, the worst of them first."""
        scores = self._scores
        if scores is None:
            return [-minus for _, minus in self.ranked[-count:]]
        return [-minus for _, minus in sorted((scores[-minus], minus) for _, minus in self.ranked)[-count:]]

    def numbers(self, history: History) -> list[int]:
        """The judged trials of the window, by number."""
        chosen = set(self._best(self._size // 4))
        room = min(self._size, _GOOD_ONE_IN * len(self.ranked))
        for number in reversed(self._usable):
            if len(chosen) >= room:
                break
            chosen.add(number)
        return sorted(chosen)

    def trials(self, history: History) -> list[FrozenTrial]:
        """The window, trials under way included, by number, as Optuna knows them."""
        numbers, scores = self.numbers(history), self._scores
        if scores is None:
            judged = self._by_rung(numbers, history)
        else:
            judged = self._by_score(numbers, scores, history)
        under_way = [number for number in history.running if number not in self._usable]
        running = {
            number: self._freeze(history.trials[number], TrialState.RUNNING, None, {})
            for number in under_way[-self._size :]
        }
        return [trial for _, trial in sorted({**judged, **running}.items())]

    def _by_rung(self, numbers: list[int], history: History) -> dict[int, FrozenTrial]:
        top = self.ranked[-1][0][0]
        kept: dict[int, FrozenTrial] = {}
        for number in numbers:
            record = history.trials[number]
            state = TrialState.PRUNED
            at_top = record.score is not None and record.score[0] == top and history.feasible(record)
            if record.state == "completed" and at_top:
                state = TrialState.COMPLETE
            known = self._frozen.get(number)
            if known is None or known.state != state:
                value = history.value(record) if state == TrialState.COMPLETE else None
                known = self._freeze(record, state, value, self._at_rungs(record, history))
            kept[number] = known
        self._frozen = kept
        return kept

    def _by_score(self, numbers: list[int], scores: dict[int, Score], history: History) -> dict[int, FrozenTrial]:
        assert history.objective is not None
        found = {}
        top = max(place for place, _ in scores.values())
        for number in numbers:
            place, signed = scores.get(number, FAILED)
            if history.trials[number].state == "failed" or (place, signed) <= FAILED:
                told: tuple[TrialState, float | None, dict[int, float]] = (TrialState.PRUNED, None, {})
            elif place == top:
                told = TrialState.COMPLETE, history.objective.sign * signed, {}
            else:
                told = TrialState.PRUNED, None, {place: history.objective.sign * signed}
            found[number] = self._freeze(history.trials[number], *told)
        return found

    def _at_rungs(self, record: TrialRecord, history: History) -> dict[int, float]:
        """A judged trial's finite values at the rungs up to the one where it was judged; none of a failed trial."""
        assert history.objective is not None
        if record.state == "failed":
            return {}
        judged_at, signed = self._usable[record.number]
        if judged_at == INFEASIBLE:  # or no finite score
            return {judged_at: history.objective.sign * signed} if math.isfinite(signed) else {}
        values: dict[int, float] = {}
        for measurement in record.measurements:
            value = measurement.metrics.get(history.objective.metric, math.nan)
            if measurement.rung is not None and measurement.rung <= judged_at and math.isfinite(value):
                values[measurement.rung] = value
        return values

    def _freeze(
        self, record: TrialRecord, state: TrialState, value: float | None, at_rungs: dict[int, float]
    ) -> FrozenTrial:
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        for path, chosen in record.architecture.items():
            hole = self._space.hole_map[path]
            distributions[path] = distribution(hole)
            params[path] = _indices(hole)[exact(chosen)] if isinstance(hole, Choice) else chosen
        return _Frozen(
            number=record.number,
            state=state,
            value=value,
            datetime_start=_DATE,
            datetime_complete=None if state == TrialState.RUNNING else _DATE,
            params=params,
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values=at_rungs,
            trial_id=record.number,
        )


class _Frozen(FrozenTrial):
    """A trial that a storage copies in microseconds, because nobody changes a trial that was told."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        twin = _Frozen.__new__(_Frozen)
        twin.__dict__.update(self.__dict__)
        return twin
