"""How far a tracker has come: ``tracker.json`` in the search's folder, replaced atomically.

It is a cache. Everything is written to MLflow so that writing it again changes nothing, and runs are found by their
tags; a lost, old or foreign position costs time, never a fact. Whoever runs a search or asks for its status reads here
what keeps it from MLflow.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from raynas.atomic_write import atomic_write
from raynas.tracking.redaction import public_uri
from raynas.tracking.uri import home_store, sqlite_path

FILE_NAME = "tracker.json"


@dataclass(frozen=True)
class Position:
    """State of a tracker on disk.

    Attributes:
        tracking_uri: the store that it is about; on disk always without a password.
        search_id: the search that it is about.
        seq: all events up to this one are in MLflow, but for what was refused; -1: none.
        time: that event's time. A power cut can take back the end of a journal, and ``seq`` then comes to be another
            event's.
        experiment_id: the search's experiment, once known.
        parent_run_id: the search's own run, once known.
        closed: everything is written but for what was refused, and no run was left as running.
        problem: why nothing is being written at the moment, one line; None while all is well.
        refused: what MLflow would not take (``trial 3``, ``spec.yaml``), and its words; tried again by ``raynas sync``.
        tracked_as: the id that the search has in MLflow where its folder is a copy of another; else empty.
        folder: the search's folder, as long as it is not copied or moved.
        own_store: the store is the one beside the search's folder: it moves with the home.
    """

    tracking_uri: str
    search_id: str = ""
    seq: int = -1
    time: float = 0.0
    experiment_id: str | None = None
    parent_run_id: str | None = None
    closed: bool = False
    problem: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    tracked_as: str = ""
    folder: str = ""
    own_store: bool = False

    def is_about(self, tracking_uri: str, own_store: bool) -> bool:
        """Whether it is about this store. A home's own store stays the same where the home is moved."""
        return (self.own_store and own_store) or public_uri(self.tracking_uri) == public_uri(tracking_uri)

    @property
    def trouble(self) -> str | None:
        """What keeps the search, or something of it, out of MLflow, one line; None where nothing does."""
        if self.problem:
            return self.problem
        if not self.refused:
            return None
        (what, words), *others = self.refused.items()
        more = f", and {len(others)} more" if others else ""
        return f"MLflow refused {what}{more} ({words})"

    def save(self, folder: Path) -> None:
        """Replaces the file; a disk that is full is not the search's trouble."""
        values = asdict(self) | {"tracking_uri": public_uri(self.tracking_uri)}
        with contextlib.suppress(OSError):
            atomic_write(folder / FILE_NAME, (json.dumps(values, indent=1) + "\n").encode())


def load_position(folder: Path) -> Position | None:
    """The saved position; None where there is none that can be read."""
    try:
        values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        known = {name: values[name] for name in Position.__dataclass_fields__ if name in values}
        position = Position(**known)
        return position if isinstance(position.seq, int) and isinstance(position.refused, dict) else None
    except (OSError, ValueError, TypeError):
        return None


def written_to(folder: Path, position: Position | None) -> str | None:
    """Where a search was written, as that is found today; None where it was not written yet.

    A home that was moved took its store along.
    """
    if position is None:
        return None
    own = home_store(folder.absolute().parent)
    database = sqlite_path(position.tracking_uri)
    left_behind = database is not None and database.name == "mlflow.db" and not database.exists()
    return own if position.own_store or left_behind else position.tracking_uri
