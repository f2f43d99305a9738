"""What a journal says that MLflow does not have yet: the fold of the events, with marks on what is to be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from raynas.journal import History, TrialRecord
from raynas.journal.history import LOWEST
from raynas.tracking import runs
from raynas.tracking.keys import Keys, SearchKeys


class Changes:
    """State: the history, and the marks. The tracker takes a mark away when its writing has come through.

    Attributes:
        history: the fold of the events taken.
        keys: what the search's metrics and holes are called in MLflow.
        trials: trials of which something is to be written, if only their status.
        new: trials whose parameters and architecture are to be written.
        points: trial to its metrics that are to be written.
        search_points: metrics of the search's own run that are to be written.
        best: number of the best trial among those that have ended; None before the first.
        any: something was taken that was not flushed.
    """

    def __init__(self) -> None:
        self.history = History()
        self.keys = SearchKeys()
        self.trials: set[int] = set()
        self.new: set[int] = set()
        self.points: dict[int, list[runs.MetricPoint]] = defaultdict(list)
        self.search_points: list[runs.MetricPoint] = []
        self.best: int | None = None
        self.any = False
        self._best_key = LOWEST
        self._sizes: dict[int, list[runs.MetricPoint]] = {}
        self._session_of: dict[int, int] = {}  # trial to the session that last had it in hand

    def take(self, event: Mapping[str, Any], *, written: bool, search_written: bool) -> None:
        """Folds an event.

        Args:
            written: its trial's run has it already: nothing is marked there.
            search_written: the search's own run has it already.
        """
        self.any = True
        number, history = event.get("trial"), self.history
        before = None if number is None else history.trials.get(number)
        steps = 0 if before is None else len(before.measurements)
        ended = len(history.ended)
        history.apply(event)
        if number is None:
            if history.objective is not None and event["event"] == "search_started":
                self.keys.metrics(history.objective.metric)  # first of all: it has the key that fits it best
            if event["event"] in {"session_started", "session_ended"}:
                self.trials.update(history.running)
            return
        record = history.trials.get(number)
        if record is None:
            return
        self._session_of[number] = len(history.sessions) - 1
        if before is None:
            self._sizes[number] = list(runs.cost_points(event, self.keys.metrics))
            for path in record.values:
                self.keys.holes(path)
        measured = [point for each in record.measurements[steps:] for point in runs.points(each, self.keys.metrics)]
        if not written:
            self.trials.add(number)
            if before is None:
                self.new.add(number)
                self.points[number] += self._sizes[number]
            self.points[number] += measured
        if len(history.ended) > ended:
            self._trial_has_ended(record, search_written)

    def mark_all(self, record: TrialRecord) -> None:
        """Marks everything about a trial: its run is not in the store, or it is not sure what that has."""
        number = record.number
        self.new.add(number)
        self.trials.add(number)
        self.points[number] = [
            *self._sizes.get(number, []),
            *(point for each in record.measurements for point in runs.points(each, self.keys.metrics)),
        ]

    def postpone(self, number: int) -> None:
        """Not all of the trial could be written: with its next change, or when it is asked for, all is tried again."""
        self.trials.discard(number)
        self.new.add(number)

    def unmark(self, number: int) -> None:
        """All of the trial is written."""
        self.trials.discard(number)
        self.new.discard(number)
        self.points.pop(number, None)

    def in_hand(self, number: int) -> bool:
        """Whether the latest session has had the trial in hand: it is under way, if that session is."""
        return self._session_of.get(number) == len(self.history.sessions) - 1

    def last_seen(self, number: int) -> float | None:
        """When the session that last had the trial in hand wrote its last event, seconds since 1970."""
        session = self._session_of.get(number, -1)
        return self.history.sessions[session].last_event_at if session >= 0 else None

    def _trial_has_ended(self, record: TrialRecord, written: bool) -> None:
        """The search's best so far: a point for each trial that ends."""
        history = self.history
        if history.key(record) > self._best_key and record.repeat_of is None:
            self._best_key, self.best = history.key(record), record.number
        if written or self.best is None or history.objective is None or record.ended_at is None:
            return
        value_key = Keys({"best_trial"})(f"best_{history.objective.metric}")
        when, step = runs.milliseconds(record.ended_at), len(history.ended)
        for key, figure in {value_key: history.value(self.best), "best_trial": self.best}.items():
            if figure is not None:
                self.search_points.append(runs.MetricPoint(key, float(figure), when, step))
