"""The search's own run, and the experiment's page: settings, best so far, description, data set, files.

What is written is a view of the history; of what was written last only so much is remembered as keeps it from being
written again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raynas.tracking import note, runs
from raynas.tracking.answers import Refused, all_of
from raynas.tracking.changes import Changes
from raynas.tracking.store import RunHandle, RunStore

#: The description of the search is written anew at most so often.
_NOTE_SECONDS = 5.0

#: What is written of a search besides its trials, by the names that a refusal has.
RUN, DATA, SPEC, JOURNAL = "the search's run", "the data set", "spec.yaml", "journal.jsonl"
EXPERIMENT = "the experiment's tags"

#: Of these, what is written again where one was refused. (The journal is at each end.)
THINGS = frozenset((RUN, DATA, SPEC, EXPERIMENT))


class SearchRun:
    """State: what was last written.

    Args:
        attempt: writes one thing by its name, and goes on where it is refused (``Tracker``).

    Attributes:
        again: with the next writing everything is written, as if nothing had been.
    """

    def __init__(
        self, folder: Path, store: RunStore, changes: Changes, attempt: Callable[[str, Callable[[], None]], bool]
    ) -> None:
        self.again = False
        self._folder = folder
        self._store = store
        self._changes = changes
        self._history = changes.history
        self._attempt = attempt
        self._note_about: tuple[Any, ...] = ()
        self._note_due = 0.0
        self._view = ""
        self._spec_of_session = -1

    def describe_now(self) -> None:
        """The description is written with the next writing, if it has changed."""
        self._note_due = 0.0

    def write(self, parent: RunHandle, experiment_id: str, live: bool, first: bool) -> None:
        """Writes what has changed.

        Args:
            parent: the search's run.
            live: whether somebody runs the search now.
            first: nothing of it is in the store yet.
        """
        sessions = self._history.sessions
        reason = sessions[-1].reason if sessions else None
        about = (live, reason, len(self._history.trials), len(self._history.ended), self._changes.best)
        described = None
        if about != self._note_about and time.monotonic() >= self._note_due:
            described = note.description(self._history, self._folder, live)
        status = runs.search_status(reason, live)
        tags = runs.search_state(status, reason, len(sessions)) | self._names_of_keys()
        first = first or self.again
        params = runs.spec_params(self._search["spec"]) if first else None
        written = {**tags, **({} if described is None else {note.NOTE_TAG: described})}
        points = self._changes.search_points
        ended = sessions[-1].last_event_at if sessions else self._search["time"]
        writes = [lambda: self._store.log(parent, metrics=points, params=params, tags=written)]
        if status != parent.status:
            writes.append(lambda: self._store.set_status(parent, status, runs.milliseconds(ended)))
        if self._attempt(RUN, lambda: all_of(writes)):
            points.clear()
        if first:
            self._attempt(DATA, lambda: self._log_dataset(parent))
        if self._spec_of_session != len(sessions) or self.again:
            self._attempt(SPEC, lambda: self._copy_artifact(parent, "spec.yaml"))
            self._spec_of_session = len(sessions)
        self._attempt(EXPERIMENT, lambda: self._write_experiment(experiment_id, described))
        if described is not None:
            self._note_about, self._note_due = about, time.monotonic() + _NOTE_SECONDS
        self.again = False

    def _write_experiment(self, experiment_id: str, described: str | None) -> None:
        """The saved view, and the search's description at the head of the experiment's page."""
        tags = {} if described is None else {note.NOTE_TAG: described}
        view = note.saved_view(self._history, self._changes.keys)
        if view != self._view or self.again:
            tags[note.VIEW_TAG] = view
        self._store.tag_experiment(experiment_id, tags)
        self._view = view

    def _names_of_keys(self) -> dict[str, str]:
        """What metrics are called whose names MLflow does not allow."""
        changed = self._changes.keys.metrics.changed
        if not changed:
            return {}
        return {"raynas.metric_names": runs.clean_text(json.dumps(changed, ensure_ascii=False), runs.MAX_TAG)}

    def _copy_artifact(self, parent: RunHandle, name: str) -> None:
        """Keeps a file of the search's folder, without the password that an earlier release may have left in it."""
        spec = self._search["spec"]
        secret, public = spec.get("tracking_uri"), runs.public_address(spec)
        if secret == public:
            self._store.copy_artifact(parent, self._folder / name)
            return
        try:
            text = (self._folder / name).read_text(encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise Refused(f"{name} cannot be read: {error.strerror}") from None
        for spelled in (str, json.dumps, lambda uri: json.dumps(uri, ensure_ascii=False)):
            text = text.replace(spelled(secret).strip('"'), spelled(public).strip('"'))
        self._store.write_artifact(parent, name, text)

    def _log_dataset(self, run: RunHandle) -> None:
        task = dict(self._search["task"])
        name = str(task.get("name") or task.get("reference"))
        digest = str(task.get("digest") or hashlib.sha256(repr(sorted(task.items())).encode()).hexdigest()[:8])
        self._store.log_dataset(run, runs.clean_text(name, 500), digest[:36], task)

    def keep_journal(self, parent: RunHandle) -> None:
        """Keeps the journal as an artifact."""
        self._attempt(JOURNAL, lambda: self._copy_artifact(parent, "journal.jsonl"))

    @property
    def _search(self) -> Mapping[str, Any]:
        """The ``search_started`` event."""
        assert self._history.search is not None
        return self._history.search
