"""Which trials' weights stay on disk as a search goes on: the best ones', and what finalists and strategies want."""

from __future__ import annotations

from raynas.journal import History, TrialRecord
from raynas.journal.history import LOWEST
from raynas.storage.search_folder import SearchFolder

#: While a session runs, the weights of so many of the best trials are there for a strategy to recommend one of them.
RESERVE = 10


class WeightRetention:
    """State: the ended trials whose weights are kept.

    Args:
        best: of so many of the best trials the weights stay (0: no weights stay at all).
        searcher: may have a method ``recommend(history, among)``.
    """

    def __init__(self, folder: SearchFolder, history: History, best: int, searcher: object) -> None:
        self._folder, self._history, self._best = folder, history, best
        self._recommend = getattr(searcher, "recommend", None)
        self._kept: set[int] = set()

    def ended(self, trial: TrialRecord) -> None:
        """Keeps the trial's weights if they may be wanted at the end, and removes those that it pushes out."""
        self._kept.add(trial.number)
        self._keep(self._best if self._recommend is None else max(self._best, RESERVE))

    def recommended(self) -> int | None:
        """The trial that the strategy would take, of those whose weights are there; None where it cannot tell.

        To be asked at a session's end: then no other weights stay than this one's, the best ones' and the finalists'.
        """
        number: int | None = None
        if self._recommend is not None:
            there = sorted(number for number in self._kept if self._folder.trial_folder(number).is_dir())
            number = self._recommend(self._history.for_searchers, there if self._best else None)
        self._keep(self._best, also=number)
        return number

    def _keep(self, best: int, also: int | None = None) -> None:
        """Keeps so many of the best trials, each finalist's best repeat, and one trial more.

        With several objectives also the whole front: no trial of it is better than another.
        """
        history, kept, originals, room = self._history, set(), set(), best
        several = history.objectives is not None and history.objectives.several
        front = {record.number for record in history.front()} if several else set()
        for number in sorted(self._kept, key=lambda number: (history.key(number), -number), reverse=True):
            of = history.trials[number].repeat_of
            if history.key(number) <= LOWEST or not self._best:
                continue
            if of is None:
                wanted = room > 0 or number == also or number in front
                room -= 1
            else:
                wanted = of not in originals
                originals.add(of)
            if wanted:
                kept.add(number)
        for number in self._kept - kept:
            self._folder.remove_checkpoints(number)
        self._kept = kept
