"""Follows a journal as it grows: reads, hands batches to the tracker, waits where the store does not answer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from raynas.errors import JournalError, UserError
from raynas.journal import read_from
from raynas.tracking.answers import Denied, Refused, StoreTrouble
from raynas.tracking.locks import search_is_running
from raynas.tracking.position import Position, load_position
from raynas.tracking.redaction import public_uri, without_secrets
from raynas.tracking.store import RunStore, open_store
from raynas.tracking.tracker import StartOver, Tracker

#: Events a batch: between two batches the position is saved.
BATCH = 500

#: How often the journal is looked at, in seconds. One request then carries what a trial measured in that time.
POLL_SECONDS = 1.0

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0

#: A store that has lost what it had is filled again at once so often.
_RESTARTS = 3

#: Once the search is over, a store that gives no answer for so long is left alone (seconds).
GIVE_UP_SECONDS = 60.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """``missing``: events that are not in the store; ``problem``: why, one line, or None.

    ``refused``: what of the other events the store would not take, a line each.
    """

    events: int
    missing: int
    problem: str | None
    refused: tuple[str, ...] = ()
    position: Position | None = None


class Follower:
    """State of a tracker's process.

    Args:
        folder: the search's folder.
        tracking_uri: the store's address.
        finish: set when no more is to come: what is there is written, and that is the end.
        progress: called with (events written, events known).
        give_up_seconds: how long to try a store that does not answer once ``finish`` is set, or nobody runs the search.
        once: give up after that time in any case.
    """

    def __init__(
        self,
        folder: Path,
        tracking_uri: str,
        finish: Event,
        *,
        progress: Progress | None = None,
        give_up_seconds: float = GIVE_UP_SECONDS,
        once: bool = False,
    ) -> None:
        self.folder = folder
        self._journal = folder / "journal.jsonl"
        self.tracking_uri = tracking_uri
        self.finish = finish
        self._progress = progress
        self._give_up_seconds = give_up_seconds
        self._once = once
        self._position = load_position(folder)
        self._store: RunStore | None = None
        self._tracker: Tracker | None = None
        self._waiting: deque[dict[str, Any]] = deque()  # read, not handed over
        self._offset = 0
        self._known = 0
        self._written = 0
        self._said = ""  # of a trouble, in the position's file
        self._restarts = 0
        self._over = False  # nobody ran the search once: another process may go on with it, and brings its own tracker

    def follow(self) -> Outcome:
        """Until the search is over, or ``finish`` is set, and all is written or given up."""
        problem: str | None = None
        try:
            while True:
                self._over = self._over or not search_is_running(self.folder)
                last = self.finish.is_set() or self._over  # asked before reading: what was written by then is read now
                self._read()
                while self._waiting or self._unwritten():
                    problem = self._insist(lambda: self._batch(live=self._live()))
                    if problem is not None:
                        return self._outcome(problem)
                if last:
                    problem = self._insist(lambda: self._end(live=False))
                    if problem is not None or not self._waiting:
                        return self._outcome(problem)
                    continue
                self.finish.wait(POLL_SECONDS)
        except UserError as error:
            self._say(str(error))
            raise
        except BaseException as error:
            self._say(f"{type(error).__name__}: {error}")
            raise

    def catch_up(self) -> Outcome:
        """Once, up to now; trials of a search that runs at the moment stay as running."""
        self._read()
        live = search_is_running(self.folder)
        while True:
            while self._waiting or self._unwritten():
                problem = self._insist(lambda: self._batch(live))
                if problem is not None:
                    return self._outcome(problem)
            problem = self._insist(lambda: self._end(live))
            if problem is not None or not self._waiting:
                return self._outcome(problem)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _live(self) -> bool:
        return not self._over and not self.finish.is_set()

    def _unwritten(self) -> bool:
        return self._tracker is not None and self._tracker.unwritten

    def _read(self) -> None:
        try:
            events, self._offset = read_from(self._journal, self._offset)
        except JournalError:
            if self._offset == 0 or self._journal.stat().st_size >= self._offset:
                raise
            self._start_over()  # a power cut took back its end
            events, self._offset = read_from(self._journal, 0)
        if self._known == 0 and not self._fits(events):
            self._position = None
        self._waiting.extend(events)
        self._known += len(events)

    def _fits(self, events: list[dict[str, Any]]) -> bool:
        """Whether the position is of this journal, all of whose events are given."""
        position = self._position
        if position is None or position.seq < 0:
            return True
        return position.seq < len(events) and events[position.seq]["time"] == position.time

    def _batch(self, live: bool) -> None:
        tracker = self._open()
        if not tracker.unwritten:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            tracker.take(batch)
            self._written += len(batch)
        # Only with the last batch is it known who is under way: before that every unfinished trial might be.
        tracker.flush(live or bool(self._waiting))
        if self._progress is not None:
            self._progress(self._written, self._known)

    def _end(self, live: bool) -> None:
        self._open().close(live)

    def _open(self) -> Tracker:
        if self._store is None:
            self._store = open_store(self.tracking_uri)
        if self._tracker is None:
            self._tracker = Tracker(self.folder, self._store, self._position)
        return self._tracker

    def _start_over(self) -> None:
        """Forgets how far it had come, but not which search the folder is."""
        old = self._position if self._tracker is None else self._tracker.position
        self._position = None if old is None else Position(old.tracking_uri, old.search_id, tracked_as=old.tracked_as)
        self._tracker = None
        self._waiting.clear()
        self._offset = self._known = self._written = 0

    def _insist(self, do: Callable[[], None]) -> str | None:
        """Does it, again and again while the store does not let it; what the trouble was where that is given up."""
        wait, since = _FIRST_WAIT, time.monotonic()
        while True:
            denied = False
            try:
                do()
                self._unsay()
                return None
            except StartOver:
                return self._begin_again()
            except StoreTrouble as trouble:
                verb = "refused: " if isinstance(trouble, Refused) else ""
                problem = f"{public_uri(self.tracking_uri)} {verb}{trouble}"
                denied = isinstance(trouble, Denied)
            self._say(problem)
            self._over = self._over or not search_is_running(self.folder)
            patience = 0.0 if denied else self._give_up_seconds
            if (self._once or not self._live()) and time.monotonic() - since > patience:
                return problem
            if self.finish.is_set():
                time.sleep(min(wait, 1.0))
            else:
                self.finish.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _begin_again(self) -> str | None:
        """All is read anew. A store in which things vanish time and again is said, and waited for."""
        self._restarts += 1
        self._start_over()
        self._read()
        if self._restarts <= _RESTARTS:
            return None
        problem = f"{public_uri(self.tracking_uri)} loses what is written to it"
        self._say(problem)
        if self._once or not self._live():
            return problem
        self.finish.wait(_LONGEST_WAIT)
        return None

    def _say(self, problem: str) -> None:
        """Leaves word in the position's file: the search's process reads it there."""
        position = self._tracker.position if self._tracker is not None else self._position
        position = position or Position(self.tracking_uri)
        self._said = without_secrets(problem, self.tracking_uri)[:1_000]
        replace(position, problem=self._said).save(self.folder)

    def _unsay(self) -> None:
        """All is well again."""
        if self._said and self._tracker is not None:
            self._tracker.position.save(self.folder)
        self._said = ""

    def _outcome(self, problem: str | None) -> Outcome:
        tracker = self._tracker
        written = 0 if tracker is None else tracker.position.seq + 1
        refused = () if tracker is None else tuple(tracker.refused)
        position = None if tracker is None else tracker.position
        return Outcome(written, max(0, self._known - written), problem, refused, position)
