"""The ids of a table's rows: computed once, on all cores, and kept in the user's cache folder.

A canonical form takes milliseconds, and a table has thousands of rows. What is kept is a cache: it is found by
everything that it depends on, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from raynas.atomic_write import atomic_write
from raynas.errors import SpaceError
from raynas.paths import user_cache
from raynas.resources import available_cpus
from raynas.simulate.processes import for_all
from raynas.space import Architecture, Space
from raynas.space.identity.canonical import VERSION

#: So many rows are computed before it is worth asking how long the rest takes.
_PROBE = 100
#: What takes less is not kept, and not worth a word.
_LONG_SECONDS = 3.0

Ids = tuple[str, str]  # of the network, of the trial


def row_ids(space: Space, architectures: Sequence[Architecture]) -> list[Ids]:
    """Network id and trial id of every row. Raises SpaceError with the number of the row that is not of the space."""
    began = time.perf_counter()
    found = [_ids(space, row, architecture) for row, architecture in enumerate(architectures[:_PROBE])]
    rest = len(architectures) - len(found)
    if rest <= 0:
        return found
    takes = (time.perf_counter() - began) / len(found) * rest / available_cpus()
    if takes < _LONG_SECONDS:
        return found + [_ids(space, row, architectures[row]) for row in range(len(found), len(architectures))]
    kept = _folder() / f"{_key(space, architectures)}.json"
    try:
        known = [(network, trial) for network, trial in json.loads(kept.read_text(encoding="utf-8"))]
        if len(known) == len(architectures) and known[: len(found)] == found:
            return known
    except (OSError, ValueError):
        pass
    logging.getLogger("raynas").warning(
        "ids of %d networks: about %.0f s, this once (kept in %s)", len(architectures), takes, kept.parent
    )
    starts = range(len(found), len(architectures), _PROBE)
    blocks = for_all(lambda start: _block(space, start, architectures), list(starts))
    found += [ids for block in blocks for ids in block]
    _keep(kept, found)
    return found


def _block(space: Space, start: int, architectures: Sequence[Architecture]) -> list[Ids]:
    end = min(start + _PROBE, len(architectures))
    return [_ids(space, row, architectures[row]) for row in range(start, end)]


def _ids(space: Space, row: int, architecture: Architecture) -> Ids:
    try:
        return space.network_id(architecture), space.trial_id(architecture)
    except SpaceError as error:
        raise SpaceError(f"row {row} of the table: {error}") from None


def _folder() -> Path:
    return user_cache() / "ids"


def _key(space: Space, architectures: Sequence[Architecture]) -> str:
    """Of the template, the version and the rule of ids, and the rows."""
    digest = hashlib.sha256(f"{space.fingerprint} {VERSION} {space.id_rule}".encode())
    for architecture in architectures:
        digest.update(json.dumps(architecture.to_json(), sort_keys=True).encode())
    return digest.hexdigest()[:32]


def _keep(path: Path, ids: list[Ids]) -> None:
    """A cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(ids).encode())
