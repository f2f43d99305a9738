"""The one file that talks to MLflow: experiments and runs of one search, through ``MlflowClient``.

Everything here may be done twice with the same result, but for making a run: MLflow draws the run's id itself. Runs
are therefore looked up by their tags whenever it is not certain whether one was made.

What goes wrong in a call is sorted in one place, ``raynas.tracking.answers``.

MLflow is imported by ``open_store``: that takes seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raynas.errors import UserError
from raynas.tracking.answers import Refused, RunGone, answers
from raynas.tracking.batches import Batch, batches
from raynas.tracking.moved import bring_artifacts_along
from raynas.tracking.redaction import public_uri
from raynas.tracking.runs import MetricPoint
from raynas.tracking.uri import artifact_folder, prepare_environment, sqlite_path


@dataclass(frozen=True)
class Experiment:
    """A search's experiment in the store."""

    experiment_id: str
    tags: Mapping[str, str]


@dataclass
class RunHandle:
    """A run in the store. ``status`` is what the store has, as far as this process knows."""

    run_id: str
    artifact_uri: str
    status: str = "RUNNING"
    trial: int | None = None  # None: the search's own run
    trial_id: str = ""
    deleted: bool = False  # a person put it into the bin: it is left alone
    metrics: int = 0
    tags: dict[str, str] = field(default_factory=dict)  # what was last written, as far as this process knows


def open_store(tracking_uri: str) -> RunStore:
    """The store at ``tracking_uri``; an SQLite file is made where there is none.

    Raises:
        UserError: MLflow cannot use such an address.
        Unreachable, Denied: it does not answer, or wants another password.
    """
    prepare_environment()
    import logging

    import mlflow

    # MLflow's own log has a line for each step of a new database, and a traceback for each try at one that is away.
    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with _first_use(tracking_uri), answers(tracking_uri):
            _try_database(tracking_uri)
            client = mlflow.MlflowClient(tracking_uri=tracking_uri)
            client.search_experiments(max_results=1)
            database, folder = sqlite_path(tracking_uri), artifact_folder(tracking_uri)
            if database is not None and folder is not None:
                bring_artifacts_along(database, folder)
    except Refused as error:
        raise UserError(f"MLflow cannot use the tracking URI {public_uri(tracking_uri)!r}: {error}") from None
    return RunStore(client, tracking_uri)


def _try_database(tracking_uri: str) -> None:
    """Finds a database that is away at once; MLflow tries it for 100 seconds before it says a word."""
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from mlflow.utils.uri import get_uri_scheme

    if get_uri_scheme(tracking_uri) in {"postgresql", "mysql", "mssql"}:
        engine = create_sqlalchemy_engine(tracking_uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


class RunStore:
    """Experiments and runs of one store."""

    def __init__(self, client: Any, tracking_uri: str) -> None:
        self._client = client
        self.tracking_uri = tracking_uri

    def _answers(self, *, artifact: bool = False) -> AbstractContextManager[None]:
        return answers(self.tracking_uri, artifact=artifact)

    # -- experiment ------------------------------------------------------------------------------------------------

    def find_experiment(self, search_id: str) -> Experiment | None:
        """The search's experiment, whatever it is called by now; None where there is none.

        Raises:
            UserError: it was deleted in MLflow.
        """
        from mlflow.entities import ViewType

        query = f"tags.`raynas.search_id` = '{search_id}'"
        with self._answers():
            found = list(self._client.search_experiments(ViewType.ALL, filter_string=query))
        active = [each for each in found if each.lifecycle_stage != "deleted"]
        if found and not active:
            raise UserError(
                f"experiment {found[0].name!r} was deleted in MLflow; restore it "
                f"(mlflow experiments restore --experiment-id {found[0].experiment_id}) or use --no-mlflow"
            )
        return Experiment(str(active[0].experiment_id), dict(active[0].tags)) if active else None

    def make_experiment(self, name: str, search_id: str, tags: Mapping[str, str]) -> Experiment:
        """Makes the search's experiment.

        It has the search's name; where another search has taken that name (on a server that several people share, or
        after a search was removed and begun again), the first letters of the search's id follow.

        Raises:
            UserError: both names are taken.
        """
        folder = artifact_folder(self.tracking_uri)
        location = None if folder is None else (folder / search_id).as_uri()
        for candidate in (name, f"{name} ({search_id[:8]})"):
            with self._answers():
                taken = self._client.get_experiment_by_name(candidate) is not None
            if not taken:
                with self._answers():
                    made = self._client.create_experiment(candidate, artifact_location=location, tags=dict(tags))
                return Experiment(str(made), dict(tags))
        raise UserError(f"experiment {name!r} of search {search_id} cannot be named in MLflow; rename the other one")

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of the experiment."""
        for key, value in tags.items():
            with self._answers():
                self._client.set_experiment_tag(experiment_id, key, value)

    # -- runs ------------------------------------------------------------------------------------------------------

    def runs(self, experiment_id: str, search_id: str) -> Iterator[RunHandle]:
        """All runs of the search, those in the bin included, in no particular order."""
        yield from self._search(experiment_id, f"tags.`raynas.search_id` = '{search_id}'")

    def runs_of_trial(self, experiment_id: str, search_id: str, trial: int) -> list[RunHandle]:
        """The runs of one trial: one at most, unless a request was done after it was given up."""
        query = f"tags.`raynas.search_id` = '{search_id}' and tags.`raynas.trial` = '{trial}'"
        return list(self._search(experiment_id, query))

    def _search(self, experiment_id: str, query: str) -> Iterator[RunHandle]:
        from mlflow.entities import ViewType

        token: str | None = None
        while True:
            with self._answers():
                page = self._client.search_runs(
                    [experiment_id], query, run_view_type=ViewType.ALL, max_results=1_000, page_token=token
                )
            for run in page:
                number = run.data.tags.get("raynas.trial")
                yield RunHandle(
                    run_id=run.info.run_id,
                    artifact_uri=run.info.artifact_uri,
                    status=run.info.status,
                    trial=None if number is None else int(number),
                    trial_id=run.data.tags.get("raynas.trial_id", ""),
                    deleted=run.info.lifecycle_stage == "deleted",
                    metrics=len(run.data.metrics),
                    tags=dict(run.data.tags),
                )
            token = page.token
            if not token:
                return

    def create(self, experiment_id: str, name: str, start_ms: int, tags: Mapping[str, str]) -> RunHandle:
        """Makes a run. After ``Unreachable`` it may be there or not."""
        source = {"mlflow.user": _user(), "mlflow.source.name": "raynas", "mlflow.source.type": "LOCAL"}
        with self._answers():
            run = self._client.create_run(experiment_id, start_time=start_ms, tags={**source, **tags}, run_name=name)
        number = tags.get("raynas.trial")
        return RunHandle(
            run_id=run.info.run_id,
            artifact_uri=run.info.artifact_uri,
            trial=None if number is None else int(number),
            trial_id=tags.get("raynas.trial_id", ""),
            tags=dict(tags),
        )

    def log(
        self,
        run: RunHandle,
        metrics: Sequence[MetricPoint] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Writes values in as few requests as MLflow's limits allow; what is there already is left as it is.

        Raises:
            Refused: something of it; all else was written.
        """
        new_tags = {key: value for key, value in (tags or {}).items() if run.tags.get(key) != value}
        refused: Refused | None = None
        for batch in batches(params or {}, metrics, new_tags):
            try:
                self._log_batch(run, batch)
            except Refused as error:
                refused = refused or error
        if refused is not None:
            raise refused
        run.tags |= new_tags

    def _log_batch(self, run: RunHandle, batch: Batch) -> None:
        """One request. Where it is refused, its metrics do not suffer for its parameters, nor these for its tags."""
        from mlflow.entities import Metric, Param, RunTag

        try:
            with self._answers():
                self._client.log_batch(
                    run.run_id,
                    metrics=[Metric(point.key, point.value, point.timestamp, point.step) for point in batch.metrics],
                    params=[Param(key, value) for key, value in batch.params.items()],
                    tags=[RunTag(key, value) for key, value in batch.tags.items()],
                )
        except Refused:
            if len(batch.kinds) > 1:
                for part in batch.kinds:
                    with contextlib.suppress(Refused):
                        self._log_batch(run, part)
            raise

    def set_status(self, run: RunHandle, status: str, end_ms: int | None = None) -> None:
        """Ends a run at ``end_ms``, or sets one RUNNING again (its old end stays until it ends anew)."""
        with self._answers():
            if status == "RUNNING":
                self._client.update_run(run.run_id, status=status)
            else:
                self._client.set_terminated(run.run_id, status=status, end_time=end_ms)
        run.status = status

    def delete(self, run: RunHandle) -> None:
        """Puts a run into the bin; one that is there, or nowhere, is left as it is."""
        with contextlib.suppress(RunGone, Refused), self._answers():
            self._client.delete_run(run.run_id)

    # -- artifacts and data ----------------------------------------------------------------------------------------

    def write_artifact(self, run: RunHandle, name: str, text: str) -> None:
        """Writes a small text as an artifact of the run.

        Raises:
            Refused: the place of artifacts cannot be used from here; the store may be fine.
        """
        with tempfile.TemporaryDirectory(prefix="raynas-") as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            self.copy_artifact(run, path)

    def copy_artifact(self, run: RunHandle, path: Path) -> None:
        """Copies a file to the run's artifacts, replacing one of the same name."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._answers(artifact=True):
            # Straight to the run's folder: MlflowClient.log_artifact asks the store for the run first, each time.
            repository = get_artifact_repository(run.artifact_uri, self.tracking_uri)
            repository.log_artifact(str(path))

    def log_dataset(self, run: RunHandle, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Records the data set by MLflow's own data-set logging."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(
            name=name,
            digest=digest,
            source_type="local",
            source=json.dumps({"task": facts.get("reference", name)}),
            profile=json.dumps(dict(facts)),
        )
        with self._answers():
            self._client.log_inputs(run.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "search")])])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


@contextlib.contextmanager
def _first_use(tracking_uri: str) -> Iterator[None]:
    """One process after the other: two that make the tables of one new SQLite file at once would break it."""
    database = sqlite_path(tracking_uri)
    if database is None:
        yield
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(database.with_name(f"{database.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"folder {database.parent} cannot be written ({error.strerror}); choose another --tracking-uri"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        new = not database.exists()
        yield
        if new and _is_local(database.parent):
            # Readers (the UI) and the writer no longer lock each other out, and a commit waits for the disk once, not
            # three times. The mode stays with the file; it needs all processes on one machine.
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
    finally:
        os.close(file)


def _is_local(folder: Path) -> bool:
    """Whether the folder is surely on a disk of this machine."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    path, found = str(folder.resolve()), ("", "")
    for _, where, kind, *_ in (line.split() for line in mounts):
        if (path + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(found[0]):
            found = (where, kind)
    return found[1] in {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "f2fs"}
