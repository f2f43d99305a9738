"""Which search a folder is: one that was copied is another search than the one it was copied from.

A search's experiment in MLflow has the tag ``raynas.folder``: the folder that writes it. Another folder with the same
search in its journal is a copy, if that one is still there; if it is not, the search was moved. (A folder that is
restored, or brought to another machine, is thereby the same search.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The tag of an experiment that names the folder whose tracker writes it.
FOLDER_TAG = "raynas.folder"


def is_copy(folder: Path, owner: str | None, search: Mapping[str, Any]) -> bool:
    """Whether the search's runs are another folder's.

    Args:
        owner: the experiment's ``raynas.folder``; None where an earlier release made it: the folder is then presumed to
            lie beside this one, under the name with which the search began.
        search: the journal's ``search_started``.
    """
    other = Path(owner) if owner else folder.parent / str(search["name"])
    try:
        return not other.samefile(folder) and _search_id_in(other) == search["search_id"]
    except OSError:
        return False


def id_of_copy(folder: Path, search_id: str) -> str:
    """The id that a copy has in MLflow in place of its journal's; the same as long as it is not moved."""
    return hashlib.sha256(f"{search_id} {folder.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _search_id_in(folder: Path) -> str | None:
    """The id of the search whose journal a folder holds."""
    try:
        with (folder / "journal.jsonl").open("rb") as journal:
            return str(json.loads(journal.readline())["search_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
