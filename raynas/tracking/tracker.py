"""Brings MLflow to what a journal says.

Events are taken in batches. A batch is folded into the history, which marks the trials that have something new; then
each of their runs is written: made if it is not there, its values in one request, its status if it has changed. When
the whole batch is in, its position is saved. A batch that was cut off anywhere is written again from its start, and
that changes nothing: runs are found by their tags, metrics and parameters that are there are left alone, tags and
status are set to the same values.

Statuses are not events but a view of the history at the batch's end: that is why a search that ended, was stopped,
killed or resumed while nobody was looking comes out right.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from raynas.journal import TrialRecord
from raynas.tracking import note, runs
from raynas.tracking.changes import Changes
from raynas.tracking.position import Position
from raynas.tracking.store import Refused, RunGone, RunHandle, RunStore, Unreachable

#: The description of the search is written anew at most so often.
_NOTE_SECONDS = 5.0


class StartOver(Exception):
    """What the tracker remembers does not fit what it finds: begin again from the journal's start, with no position."""


class Tracker:
    """State of one search's tracker.

    Args:
        folder: the search's folder.
        store: where to write.
        position: from the last time; one of another store or search is as good as none.

    Attributes:
        refused: what the store would not take, a line each.
        position: what is surely in the store.
    """

    def __init__(self, folder: Path, store: RunStore, position: Position | None) -> None:
        self.folder = folder
        self.store = store
        self.refused: list[str] = []
        fits = position is not None and position.tracking_uri == store.tracking_uri
        self.position = position if fits and position is not None else Position(store.tracking_uri)
        self._changes = Changes()
        self._history = self._changes.history
        self._last_time = 0.0
        self._experiment_id = ""
        self._parent: RunHandle | None = None
        self._runs: dict[int, RunHandle] = {}
        # A request was given up while the store may still be at it: which trials' runs may be there all the same, and
        # whether close() has to look everything up again.
        self._doubtful: set[int] = set()
        self._in_doubt = False
        # What the search's run was last given, to write what has changed alone.
        self._note_about: tuple[Any, ...] = ()
        self._note_due = 0.0
        self._view = ""
        self._spec_of_session = -1

    @property
    def unwritten(self) -> bool:
        """Whether something was taken since the last ``flush`` that came through."""
        return self._changes.any

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Folds events, and marks what they change."""
        for event in events:
            if event["event"] == "search_started" and self.position.search_id != event["search_id"]:
                self.position = Position(self.store.tracking_uri, search_id=event["search_id"])
            self._changes.take(event, written=event["seq"] <= self.position.seq)
            self._last_time = event["time"]

    def flush(self, live: bool) -> None:
        """Writes what was taken and is not written yet.

        Args:
            live: whether somebody runs the search now; otherwise no run is left as running.

        Raises:
            Unreachable: the store does not answer; what is not written stays marked, and ``flush`` may be called again.
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
            if not parent.deleted:
                self._write_search(parent, live)
        except Unreachable:
            self._in_doubt = True
            raise
        self._changes.any = False
        self._save(closed=False)

    def close(self, live: bool = False) -> None:
        """Writes the rest, ends every run that is not under way, and keeps the journal as an artifact.

        Raises:
            Unreachable, StartOver, UserError: as ``flush``.
        """
        if self._history.search is None:
            return
        self._note_due = 0.0
        self._changes.trials.update(self._history.running)
        self.flush(live)
        if self._in_doubt:
            # Requests that were given up may have been done since: doubled runs, an older status on top of a newer one.
            self._look_up()
            self.flush(live)
            self._in_doubt = False
        self._without_refused("the journal", lambda run: self.store.copy_artifact(run, self.folder / "journal.jsonl"))
        self._save(closed=not live)

    def _save(self, *, closed: bool) -> None:
        position = Position(
            tracking_uri=self.store.tracking_uri,
            search_id=self._search["search_id"],
            seq=self._history.last_seq,
            time=self._last_time,
            experiment_id=self._experiment_id,
            parent_run_id=None if self._parent is None else self._parent.run_id,
            closed=closed,
        )
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
        if self._parent is not None:
            return self._parent
        identity = {"raynas.search_id": self._search["search_id"], "raynas.search": self._search["name"]}
        # The kind leads the UI to its pages for training runs.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        self._experiment_id = self.store.experiment(self._search["name"], self._search["search_id"], identity | kind)
        self._look_up()
        if self._parent is None:
            self._parent = self.store.create(
                self._experiment_id,
                self._search["name"],
                runs.milliseconds(self._search["time"]),
                identity | {"raynas.kind": "search"},
            )
        return self._parent

    def _look_up(self) -> None:
        """Learns which runs are in the store, and puts into the bin what the journal does not account for."""
        found: dict[int | None, list[RunHandle]] = defaultdict(list)
        for run in self.store.runs(self._experiment_id, self._search["search_id"]):
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
        number = record.number
        running = live and self._changes.in_hand(number)
        run = self._runs.get(number)
        if run is None:
            run = self._runs[number] = self._make_run(record, parent, running)
        if not run.deleted:
            try:
                self._write_run(run, record, running)
            except Refused as error:
                self.refused.append(f"trial {number}: {error}")
            except RunGone:  # removed for good under our hands
                del self._runs[number]
                self._changes.mark_all(record)
                return self._write_trial(record, parent, live)
        self._changes.unmark(number)

    def _make_run(self, record: TrialRecord, parent: RunHandle, running: bool) -> RunHandle:
        search = self._search
        if record.number in self._doubtful:
            there = self.store.runs_of_trial(self._experiment_id, search["search_id"], record.number)
            if there:
                return self._choose(there, None)
        tags = runs.trial_identity(record, search["search_id"], search["name"], parent.run_id)
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
        new = record.number in self._changes.new
        tags = runs.trial_state(record, running)
        if new:
            self.store.write_artifact(run, "architecture.json", runs.architecture_document(record))
        if record.error and record.error.get("traceback") and run.tags.get("raynas.state") != tags["raynas.state"]:
            self.store.write_artifact(run, "error.txt", record.error["traceback"])
        # The tags last: what they say is what the run has.
        self.store.log(
            run,
            metrics=self._changes.points.get(record.number, ()),
            params=runs.params(record.values) if new else None,
            tags=tags,
        )
        status = runs.trial_status(record, running)
        if run.status != status:
            ended = record.ended_at if record.terminal else self._changes.last_seen(record.number)
            self.store.set_status(run, status, None if ended is None else runs.milliseconds(ended))

    # -- the search's run ------------------------------------------------------------------------------------------

    def _write_search(self, parent: RunHandle, live: bool) -> None:
        sessions = self._history.sessions
        reason = sessions[-1].reason if sessions else None
        about = (live, reason, len(self._history.trials), len(self._history.ended), self._changes.best)
        described = None
        if about != self._note_about and time.monotonic() >= self._note_due:
            described = note.description(self._history, self.folder, live)
        status = runs.search_status(reason, live)
        tags = runs.search_state(status, reason, len(sessions))
        first = self.position.seq < 0
        try:
            self.store.log(
                parent,
                metrics=self._changes.search_points,
                params=runs.spec_params(self._search["spec"]) if first else None,
                tags=tags if described is None else {**tags, note.NOTE_TAG: described},
            )
        except Refused as error:
            self.refused.append(f"the search's run: {error}")
        self._changes.search_points.clear()
        if first:
            self._without_refused("the data set", self._log_dataset)
        if self._spec_of_session != len(sessions):
            self._without_refused("spec.yaml", lambda run: self.store.copy_artifact(run, self.folder / "spec.yaml"))
            self._spec_of_session = len(sessions)
        if status != parent.status:
            ended = sessions[-1].last_event_at if sessions else self._search["time"]
            self.store.set_status(parent, status, runs.milliseconds(ended))
        self._write_experiment(described)
        if described is not None:
            self._note_about, self._note_due = about, time.monotonic() + _NOTE_SECONDS

    def _write_experiment(self, described: str | None) -> None:
        """The saved view, and the search's description at the head of the experiment's page."""
        tags = {} if described is None else {note.NOTE_TAG: described}
        view = note.saved_view(self._history)
        if view != self._view:
            tags[note.VIEW_TAG] = view
        self._without_refused("the saved view", lambda _: self.store.tag_experiment(self._experiment_id, tags))
        self._view = view

    def _log_dataset(self, run: RunHandle) -> None:
        task = dict(self._search["task"])
        name = str(task.get("name") or task.get("reference"))
        digest = str(task.get("digest") or hashlib.sha256(repr(sorted(task.items())).encode()).hexdigest()[:8])
        self.store.log_dataset(run, runs.clean_text(name, 500), digest[:36], task)

    def _without_refused(self, what: str, write: Callable[[RunHandle], None]) -> None:
        """Does without what the store refuses, and keeps its words."""
        assert self._parent is not None
        try:
            write(self._parent)
        except (Refused, RunGone) as error:
            self.refused.append(f"{what}: {error}")
