"""How fast a search goes, when it will be over, and how many trials it can still make: from its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.durations import format_duration
from raynas.journal import History

#: Fewer ended trials than these say nothing about the next ones.
ENOUGH_TRIALS = 3


class Pace:
    """State: where the session under way began to count, and when the last event came.

    The clock of the pace starts with the session's first trial: Ray's start comes once, and would make the first
    minutes look slow. ``now`` is any clock's, the same for all calls.

    Args:
        history: the search's, which somebody else keeps up to date.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.session: Mapping[str, Any] | None = None
        self.spec: dict[str, Any] = {}
        self._first_start: float | None = None  # seconds of the search
        self._ended_before = 0
        self._last_taken = 0.0

    @classmethod
    def of(cls, history: History) -> Pace:
        """The pace of a history's last session, for a reader of its journal. ``now`` is then the time of day.

        The first trial's start is known by the events' own times there, which a clock that is set makes wrong.
        """
        pace = cls(history)
        if not history.sessions or not history.search:
            return pace
        last = history.sessions[-1]
        pace._begin(last.started)
        starts = [trial.started_at for trial in history.trials.values() if trial.started_at is not None]
        begun = [start for start in starts if start >= last.started_at]
        ended = [number for number in history.ended if (history.trials[number].ended_at or 0.0) >= last.started_at]
        if begun:
            before = history.elapsed_seconds - last.seconds
            pace._first_start = before + min(begun) - last.started_at
        pace._ended_before = len(history.ended) - len(ended)
        pace._last_taken = last.last_event_at
        return pace

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Takes an event that the history has taken already."""
        self._last_taken = now
        if event["event"] == "session_started":
            self._begin(event)
        elif event["event"] == "trial_started" and self.session is not None and self._first_start is None:
            self._first_start, self._ended_before = self._history.elapsed_seconds, len(self._history.ended)

    def _begin(self, session: Mapping[str, Any]) -> None:
        from raynas.results.search_view import current_spec

        self.session, self._first_start = session, None
        self.spec = current_spec(self._history) if self._history.search else {}

    @property
    def max_steps(self) -> int:
        """A trial's full budget, in steps; 0 where it is not known."""
        return int(self.spec.get("epochs") or 0)

    @property
    def limits(self) -> tuple[int | None, float | None]:
        """Trials, the repeats of finalists included, and seconds of the whole search."""
        from raynas.results.search_view import planned_trials

        limits = (self.session or {}).get("limits") or {}
        trials = planned_trials(limits.get("trials"), self.spec.get("finalists"), self.spec.get("repeats"))
        return trials, limits.get("seconds")

    def elapsed(self, now: float) -> float:
        """Seconds of the search up to now, over all sessions."""
        if not self._history.sessions:
            return 0.0
        return self._history.elapsed_seconds + max(0.0, now - self._last_taken)

    def share(self, now: float) -> float:
        """How much of the budget is used, in [0, 1]: of the limit that is nearer."""
        trials, seconds = self.limits
        used = [len(self._history.ended) / trials] if trials else []
        used += [self.elapsed(now) / seconds] if seconds else []
        return min(1.0, max(used, default=0.0))

    def trials_per_hour(self, now: float) -> float | None:
        """The session's rate; None while it is too early to tell."""
        ended = len(self._history.ended) - self._ended_before
        if self._first_start is None or ended < ENOUGH_TRIALS or self.elapsed(now) <= self._first_start:
            return None
        return 3_600 * ended / (self.elapsed(now) - self._first_start)

    def eta_text(self, now: float) -> str:
        """When it will be over: by the trials that are left, or by the time that is left, whichever comes first."""
        trials, seconds = self.limits
        left = None if seconds is None else max(0.0, seconds - self.elapsed(now))
        rate = self.trials_per_hour(now)
        by_trials = None
        if trials is not None and rate is not None:
            by_trials = 3_600 * max(0, trials - len(self._history.ended)) / rate
        if by_trials is not None and (left is None or by_trials < left):
            return f"about {format_duration(by_trials)}"
        if left is None:
            return "–"
        # Where the trials' pace is not known yet, they may be made before the time is up.
        return f"within {format_duration(left)}" if trials is not None and by_trials is None else format_duration(left)

    def trials_text(self, now: float) -> str:
        """How many trials it can still make: by the limit on trials, or by the time that is left at the pace so far.

        Before there is a pace, the one of the plan that the search was begun with, where it has one.
        """
        trials, seconds = self.limits
        by_limit = None if trials is None else max(0, trials - len(self._history.ended))
        rate = self.trials_per_hour(now) or self._planned_per_hour()
        if by_limit is not None and (seconds is None or rate is None):
            return f"{by_limit:,}" if seconds is None else f"at most {by_limit:,}"
        if seconds is None or rate is None:
            return "–"
        by_time = int(max(0.0, seconds - self.elapsed(now)) * rate / 3_600 + 1e-6)  # 30.999… is 31
        return f"{by_limit:,}" if by_limit is not None and by_limit <= by_time else f"about {by_time:,}"

    def time_left_text(self, now: float) -> str:
        """Time and trials that are left: ``about 2m40s, 16 more trials``; "" where nothing is, or no limit is known."""
        if self.limits == (None, None) or self.share(now) >= 1:
            return ""
        time, trials = self.eta_text(now), self.trials_text(now)
        known = [] if time == "–" else [time]
        known += [] if trials == "–" else [f"{trials} more trial{'' if trials in ('1', 'about 1') else 's'}"]
        return ", ".join(known)

    def _planned_per_hour(self) -> float | None:
        """The pace that the search's plan expects (``plan`` of ``search_started``); None where it has none."""
        search = self._history.search or {}
        trials, seconds = (search.get("plan") or {}).get("trials"), search.get("spec", {}).get("time")
        return 3_600 * trials / seconds if trials and seconds else None
