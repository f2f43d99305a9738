"""Artifacts follow a home that was moved.

MLflow keeps absolute addresses of artifacts in its database. In the store of a home they lie beside the database
(``uri.artifact_folder``), so where that was moved its addresses are made to point there again. MLflow has no call for
this; the two columns are the oldest of its schema.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

_OURS = """
    SELECT experiments.experiment_id, experiments.artifact_location, tags.value
    FROM experiments JOIN experiment_tags AS tags ON tags.experiment_id = experiments.experiment_id
    WHERE tags.key = 'raynas.search_id'
"""


def bring_artifacts_along(database: Path, folder: Path) -> None:
    """Makes a database's searches keep their artifacts in ``folder``, beside it, if it was moved there.

    What is still at the old place alone stays there, and so does what is not a search of ours.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        for experiment, old, search_id in connection.execute(_OURS).fetchall():
            place = folder / search_id
            new = place.as_uri()
            if old == new or not old or not old.endswith(f"/{folder.name}/{search_id}"):
                continue
            before = Path(unquote(urlsplit(old).path))
            if before.exists() and (not place.exists() or before.samefile(place)):
                continue
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment)
            )
            connection.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
            )
