"""Brings MLflow to what a journal says.

Events are taken in batches. A batch is folded into the history, which marks the trials that have something new; then
each of their runs is written: made if it is not there, its values in one request, its status if it has changed. When
the whole batch is in, its position is saved. A batch that was cut off anywhere is written again from its start, and
that changes nothing: runs are found by their tags, metrics and parameters that are there are left alone, tags and
status are set to the same values.

What the store refuses is kept by name with the position, and does not hold up the rest: it is tried again with the
trial's next change, when the search ends, and by ``raynas sync``.

Statuses are not events but a view of the history at the batch's end: that is why a search that ended, was stopped,
killed or resumed while nobody was looking comes out right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raynas.journal import TrialRecord
from raynas.tracking import runs, search_run
from raynas.tracking.answers import Refused, RunGone, StoreTrouble, Unreachable, all_of
from raynas.tracking.changes import Changes
from raynas.tracking.identity import FOLDER_TAG, id_of_copy, is_copy
from raynas.tracking.position import Position
from raynas.tracking.redaction import public_uri
from raynas.tracking.store import RunHandle, RunStore
from raynas.tracking.uri import home_store

#: The store's words are kept so long with what it refused.
_REFUSAL = 200


class StartOver(Exception):
    """What the tracker remembers does not fit what it finds: begin again from the journal's start, with no position."""


class Tracker:
    """State of one search's tracker.

    Args:
        folder: the search's folder.
        store: where to write.
        position: from the last time; one of another store or search is as good as none.

    Attributes:
        position: what is surely in the store.
    """

    def __init__(self, folder: Path, store: RunStore, position: Position | None) -> None:
        self.folder = folder
        self.store = store
        self._own_store = store.tracking_uri == home_store(folder.absolute().parent)
        if position is not None and position.is_about(store.tracking_uri, self._own_store):
            self.position = position
        else:  # the search is the same one in another store
            search_id, tracked_as = ("", "") if position is None else (position.search_id, position.tracked_as)
            self.position = self._nothing_written(search_id, tracked_as)
        self._refused = dict(self.position.refused)
        self._refused_before = frozenset(self._refused)  # of these it is not known what the store has
        self._tracked_as = ""  # the search's id in MLflow
        self._changes = Changes()
        self._history = self._changes.history
        self._last_time = 0.0
        self._experiment_id = ""
        self._parent: RunHandle | None = None
        self._stale = False  # what is known of the store's runs is to be looked up again
        self._runs: dict[int, RunHandle] = {}
        # A request was given up while the store may still be at it: which trials' runs may be there all the same, and
        # whether close() has to look everything up again.
        self._doubtful: set[int] = set()
        self._in_doubt = False
        self._search_run = search_run.SearchRun(folder, store, self._changes, self._attempt)
        self._search_run.again = not search_run.THINGS.isdisjoint(self._refused)

    @property
    def unwritten(self) -> bool:
        """Whether something was taken since the last ``flush`` that came through."""
        return self._changes.any

    @property
    def refused(self) -> list[str]:
        """What the store would not take, a line each."""
        return [f"{what}: {words}" for what, words in self._refused.items()]

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Folds events, and marks what they change."""
        for event in events:
            if event["event"] == "search_started" and self.position.search_id != event["search_id"]:
                self.position = self._nothing_written(event["search_id"])
                self._refused.clear()
                self._refused_before = frozenset()
            known, before = event["seq"] <= self.position.seq, self._refused_before
            self._changes.take(
                event,
                written=known and _trial(event.get("trial")) not in before,
                search_written=known and search_run.RUN not in before,
            )
            self._last_time = event["time"]

    def flush(self, live: bool) -> None:
        """Writes what was taken and is not written yet.

        Args:
            live: whether somebody runs the search now; otherwise no run is left as running.

        Raises:
            StoreTrouble: the store does not answer, or denies it; what is not written stays marked, and ``flush`` may
                be called again.
            StartOver: the store does not have what the position says.
            UserError: the search cannot be written to this store at all.
        """
        if self._history.search is None:
            return
        live = live and bool(self._history.sessions) and self._history.sessions[-1].reason is None
        try:
            parent = self._open()
            for number in sorted(self._changes.trials):
                self._write_trial(self._history.trials[number], parent, live)
            if parent.deleted:
                self._refused = {what: words for what, words in self._refused.items() if what not in search_run.THINGS}
            else:
                self._search_run.write(parent, self._experiment_id, live, first=self.position.seq < 0)
        except RunGone:
            raise StartOver from None
        except StoreTrouble as trouble:
            self._in_doubt = self._in_doubt or isinstance(trouble, Unreachable)
            raise
        self._changes.any = False
        self._save(closed=False)

    def close(self, live: bool = False) -> None:
        """Writes the rest, ends every run that is not under way, and keeps the journal as an artifact.

        Raises:
            StoreTrouble, StartOver, UserError: as ``flush``.
        """
        if self._history.search is None:
            return
        self._search_run.describe_now()
        self._changes.trials.update(self._history.running)
        self.flush(live)
        if self._in_doubt or self._refused:
            # Requests that were given up may have been done since: doubled runs, an older status on top of a newer one.
            # What was refused may be taken now, or a person has put it into the bin.
            self._stale = True
            self._changes.trials.update(n for n in self._history.trials if _trial(n) in self._refused)
            self._search_run.again = not search_run.THINGS.isdisjoint(self._refused)
            self.flush(live)
            self._in_doubt = False
        assert self._parent is not None
        self._search_run.keep_journal(self._parent)
        self._save(closed=not live)

    def _attempt(self, what: str, write: Callable[[], None]) -> bool:
        """Writes one thing, and goes on without it where it is refused: the only place where that happens.

        Raises:
            RunGone, Unreachable, Denied: as they come; they are about more than this one thing.
        """
        try:
            write()
        except Refused as error:
            self._refused[what] = str(error)[:_REFUSAL]
            return False
        self._refused.pop(what, None)
        return True

    def _nothing_written(self, search_id: str = "", tracked_as: str = "") -> Position:
        uri = public_uri(self.store.tracking_uri)
        here = str(self.folder.resolve())
        return Position(uri, search_id, tracked_as=tracked_as, folder=here, own_store=self._own_store)

    def _save(self, *, closed: bool) -> None:
        position = replace(
            self._nothing_written(self._search["search_id"]),
            tracked_as="" if self._tracked_as == self._search["search_id"] else self._tracked_as,
            seq=self._history.last_seq,
            time=self._last_time,
            experiment_id=self._experiment_id,
            parent_run_id=None if self._parent is None else self._parent.run_id,
            closed=closed,
            refused=dict(self._refused),
        )
        if self.position.seq > position.seq:  # what was written before is still being read again
            refused = self.position.refused | self._refused
            position = replace(position, seq=self.position.seq, time=self.position.time, refused=refused)
        if position != self.position:
            position.save(self.folder)
            self.position = position

    @property
    def _search(self) -> Mapping[str, Any]:
        """The ``search_started`` event."""
        assert self._history.search is not None
        return self._history.search

    # -- finding what is there -------------------------------------------------------------------------------------

    def _open(self) -> RunHandle:
        """The search's run; the first time, experiment and run are found or made, and the trials' runs looked up."""
        if self._parent is not None and not self._stale:
            return self._parent
        search = self._search
        self._find_experiment(self.position.tracked_as or search["search_id"])
        self._look_up()
        if self._parent is None:
            tags = self._identity() | {"raynas.kind": "search"}
            if self._tracked_as != search["search_id"]:
                tags["raynas.copy_of"] = search["search_id"]
            self._parent = self.store.create(self._experiment_id, self._name, runs.milliseconds(search["time"]), tags)
        self._stale = False
        return self._parent

    def _find_experiment(self, tracked_as: str) -> None:
        """Finds or makes the experiment; one that is another folder's, which this one was copied from, is left alone.

        Raises:
            StartOver: this folder is a copy, and the position is of the one that it was copied from.
        """
        self._tracked_as = tracked_as
        original = self._search["search_id"]
        found = self.store.find_experiment(tracked_as)
        owner = None if found is None else found.tags.get(FOLDER_TAG)
        if (found is not None or tracked_as == original) and is_copy(self.folder, owner, self._search):
            known, self.position = self.position.seq >= 0, self._nothing_written(original)
            self._refused.clear()
            if known:
                raise StartOver
            return self._find_experiment(id_of_copy(self.folder, tracked_as))
        here = {FOLDER_TAG: str(self.folder.resolve())}
        if found is None:
            # The kind leads the UI to its pages for training runs.
            tags = self._identity() | here | {"mlflow.experimentKind": "custom_model_development"}
            found = self.store.make_experiment(self._name, tracked_as, tags)
        self._experiment_id = found.experiment_id
        if found.tags.get(FOLDER_TAG) != here[FOLDER_TAG]:
            self._attempt(search_run.EXPERIMENT, lambda: self.store.tag_experiment(self._experiment_id, here))

    @property
    def _name(self) -> str:
        """The search's name in MLflow: a copy has its folder's."""
        copied = self._tracked_as != self._search["search_id"]
        return self.folder.name if copied else str(self._search["name"])

    def _identity(self) -> dict[str, str]:
        return {"raynas.search_id": self._tracked_as, "raynas.search": self._name}

    def _look_up(self) -> None:
        """Learns which runs are in the store, and puts into the bin what the journal does not account for."""
        found: dict[int | None, list[RunHandle]] = defaultdict(list)
        for run in self.store.runs(self._experiment_id, self._tracked_as):
            found[run.trial].append(run)
        parents = found.pop(None, [])
        self._parent = self._choose(parents, self._parent) if parents else None
        if self._parent is None and self.position.seq >= 0:
            raise StartOver  # the store has lost what it had: its file was removed, say
        known, self._runs = self._runs, {}
        for number, several in found.items():
            assert number is not None
            record = self._history.trials.get(number)
            if record is not None:
                self._changes.trials.add(number)  # its status is compared, which costs nothing
                if len([run for run in several if not run.deleted]) > 1:
                    self._changes.mark_all(record)
                several = self._of_this_architecture(several, record)
            if several:
                self._runs[number] = self._choose(several, known.get(number))
        for number, record in self._history.trials.items():
            if number not in self._runs:
                self._changes.mark_all(record)

    def _of_this_architecture(self, several: list[RunHandle], record: TrialRecord) -> list[RunHandle]:
        """Others are left from a journal whose end was lost in a power cut: its numbers were given out anew."""
        for run in several:
            if run.trial_id != record.trial_id and not run.deleted:
                self.store.delete(run)
        return [run for run in several if run.trial_id == record.trial_id]

    def _choose(self, several: list[RunHandle], known: RunHandle | None) -> RunHandle:
        """The run to go on with; others, made by a request that was given up and done all the same, go into the bin."""
        kept = None if known is None else known.run_id
        several = sorted(several, key=lambda run: (run.run_id != kept, run.deleted, -run.metrics, run.run_id))
        for extra in several[1:]:
            if not extra.deleted:
                self.store.delete(extra)
        return several[0]

    # -- a trial's run ---------------------------------------------------------------------------------------------

    def _write_trial(self, record: TrialRecord, parent: RunHandle, live: bool) -> None:
        running = live and self._changes.in_hand(record.number)
        if self._attempt(_trial(record.number), lambda: self._bring_up(record, parent, running)):
            self._changes.unmark(record.number)
        else:
            self._changes.postpone(record.number)

    def _bring_up(self, record: TrialRecord, parent: RunHandle, running: bool) -> None:
        number = record.number
        for last_try in (False, True):
            run = self._runs.get(number)
            if run is None:
                run = self._runs[number] = self._make_run(record, parent, running)
            if run.deleted:
                return
            try:
                return self._write_run(run, record, running)
            except RunGone:  # removed for good under our hands
                if last_try:
                    raise
                del self._runs[number]
                self._changes.mark_all(record)

    def _make_run(self, record: TrialRecord, parent: RunHandle, running: bool) -> RunHandle:
        if record.number in self._doubtful:
            there = self.store.runs_of_trial(self._experiment_id, self._tracked_as, record.number)
            if there:
                return self._choose(there, None)
        tags = runs.trial_identity(record, self._tracked_as, self._name, parent.run_id)
        if not record.error:  # its text is written before the tag that says so
            tags |= runs.trial_state(record, running)
        begun = runs.milliseconds(record.proposed_at)
        try:
            run = self.store.create(self._experiment_id, runs.trial_run_name(record), begun, tags)
        except Unreachable:
            self._doubtful.add(record.number)
            raise
        self._doubtful.discard(record.number)
        return run

    def _write_run(self, run: RunHandle, record: TrialRecord, running: bool) -> None:
        """Writes all that can be written.

        Raises:
            Refused: something of it was not.
        """
        new = record.number in self._changes.new
        tags = runs.trial_state(record, running)
        writes: list[Callable[[], None]] = []
        if new:
            document = runs.architecture_document(record)
            writes.append(lambda: self.store.write_artifact(run, "architecture.json", document))
        if record.error and record.error.get("traceback") and run.tags.get("raynas.state") != tags["raynas.state"]:
            traceback = record.error["traceback"]
            writes.append(lambda: self.store.write_artifact(run, "error.txt", traceback))
        # The tags last: what they say is what the run has.
        points = self._changes.points.get(record.number, ())
        params = runs.params(record.values, self._changes.keys.holes) if new else None
        writes.append(lambda: self.store.log(run, metrics=points, params=params, tags=tags))
        status = runs.trial_status(record, running)
        if run.status != status:
            ended = record.ended_at if record.terminal else self._changes.last_seen(record.number)
            writes.append(
                lambda: self.store.set_status(run, status, None if ended is None else runs.milliseconds(ended))
            )
        all_of(writes)


def _trial(number: int | None) -> str:
    """A trial as ``refused`` names it."""
    return f"trial {number}"
