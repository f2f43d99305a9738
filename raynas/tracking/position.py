"""How far a tracker has come: ``tracker.json`` in the search's folder, replaced atomically.

It is a cache. Everything is written to MLflow so that writing it again changes nothing, and runs are found by their
tags; a lost, old or foreign position costs time, never a fact.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "tracker.json"


@dataclass(frozen=True)
class Position:
    """State of a tracker on disk.

    Attributes:
        tracking_uri: the store that it is about.
        search_id: the search that it is about.
        seq: all events up to this one are in MLflow; -1: none.
        time: that event's time. A power cut can take back the end of a journal, and ``seq`` then comes to be another
            event's.
        experiment_id: the search's experiment, once known.
        parent_run_id: the search's own run, once known.
        closed: everything is written, and no run was left as running.
        problem: why nothing is being written at the moment, one line; None while all is well.
    """

    tracking_uri: str
    search_id: str = ""
    seq: int = -1
    time: float = 0.0
    experiment_id: str | None = None
    parent_run_id: str | None = None
    closed: bool = False
    problem: str | None = None

    def save(self, folder: Path) -> None:
        """Replaces the file; a disk that is full is not the search's trouble."""
        new = folder / f"{FILE_NAME}.new"
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
            os.replace(new, folder / FILE_NAME)


def load_position(folder: Path) -> Position | None:
    """The saved position; None where there is none that can be read."""
    try:
        values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        known = {name: values[name] for name in Position.__dataclass_fields__ if name in values}
        position = Position(**known)
        return position if isinstance(position.seq, int) else None
    except (OSError, ValueError, TypeError):
        return None
