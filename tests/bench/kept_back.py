"""Searches on images of which some are kept back, and how two networks compare on those.

The images kept back pick nothing in a search, so what a network does on them does not flatter. What was done stays in
a folder: a benchmark that was interrupted goes on, and what is done is not done again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

import raynas
from raynas.atomic_write import atomic_write
from raynas.evaluators.evaluate import wilson
from raynas.journal import TrialRecord
from raynas.storage.search_folder import SearchFolder


def split(data: Path, kept_back: int, folder: Path, images: int | None = None) -> tuple[Path, Path]:
    """The data set without its last images, and those.

    Args:
        data: a Parquet file. Where a ``test.parquet`` lies beside it, that is kept back and the file stays whole.
        kept_back: how many of the last images are kept back.
        folder: where the two files are made, unless they are there.
        images: take so many images at most into each of the two.
    """
    paths = folder / "train.parquet", folder / "test.parquet"
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        table = parquet.read_table(data)
        own_test = data.with_name("test.parquet")
        if own_test.exists():
            parts = [table, parquet.read_table(own_test)]
        else:
            count = len(table) - kept_back
            parts = [table.slice(0, count), table.slice(count)]
        for path, part in zip(paths, parts, strict=True):
            _write(part.slice(0, images), path)
    return paths


def _write(table: pyarrow.Table, path: Path) -> None:
    """Writes a Parquet file; it is not there until it is whole."""
    temporary = path.with_suffix(".tmp")
    parquet.write_table(table, temporary)
    os.replace(temporary, path)


def searched(home: Path, name: str, space: str, settings: dict[str, Any]) -> raynas.SearchResult:
    """The search of that name, brought to its end.

    Raises:
        SystemExit: it was interrupted, or has failed.
    """
    if SearchFolder(home, name).has_begun():
        found = raynas.resume(name, home=home)
    else:
        found = raynas.search(space, name=name, home=home, **settings)
    if found.status != "finished":
        raise SystemExit(f"search {name} is {found.status} ({found.reason}) {found.message}; the same command goes on")
    return found


def taken(found: raynas.SearchResult) -> TrialRecord:
    """The trial that a search recommends, else the best one observed.

    Raises:
        SystemExit: it has measured nothing.
    """
    trial = found.recommended.trial if found.recommended is not None else found.best
    if trial is None:
        raise SystemExit(f"search {found.name} has measured nothing in its time; give it more")
    return trial


def once(path: Path, make: Callable[[], Any]) -> Any:
    """The JSON in a file; where there is none, what ``make`` gives, which is then kept there."""
    if not path.exists():
        value = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(value, indent=1).encode())
    return json.loads(path.read_text())


def difference(share: float, other: float, of: int) -> tuple[float, float, float]:
    """The difference of two shares and its 95 % interval (Newcombe 1998, Statistics in Medicine 17:873, method 10).

    The method is for independent samples. Two networks that are tried on the same images agree on most of them, so the
    interval is rather too wide.

    Args:
        share: of ``of`` images.
        other: of as many.
        of: how many images there are.
    """
    (low, high), (other_low, other_high) = (wilson(round(each * of), of) for each in (share, other))
    below, above = math.hypot(share - low, other_high - other), math.hypot(high - share, other - other_low)
    return share - other, share - other - below, share - other + above
