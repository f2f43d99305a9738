"""An empty SQLite store to start from: making MLflow's tables takes seconds, copying them does not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from raynas.tracking import resolve_tracking_uri


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from raynas.tracking.store import open_store

    folder = tmp_path_factory.mktemp("store")
    open_store(f"sqlite:///{folder / 'mlflow.db'}")
    # Copied by SQLite itself: part of it may still lie in the file's write-ahead log.
    with closing(sqlite3.connect(folder / "mlflow.db")) as made, closing(sqlite3.connect(folder / "empty.db")) as empty:
        made.backup(empty)
    return folder / "empty.db"


@pytest.fixture
def home(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of searches with an empty store, in a folder whose name has to be quoted in every address."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "my runs #1 50%41? é'"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    return home


@pytest.fixture
def uri(home: Path) -> str:
    return resolve_tracking_uri(home)
