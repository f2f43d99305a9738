"""Paths in a settings file: they are relative to that file, so that it means the same from every folder.

Paths are: a space, task, strategy, scheduler or one of the ``costs`` that stands in a file (``path/to/file.py:name``),
``data``, a ``warm_start`` from a file, and a ``tracking_uri`` that is a folder or an SQLite file. What a task makes of
its ``task_options`` is the task's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from raynas.errors import SpecError
from raynas.registry import is_file

_CODE = ("space", "task", "strategy", "scheduler", "evaluator", "costs")
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/?][^?]*)(.*)")


def anchored(
    values: Mapping[str, Any], file: Path, lines: Mapping[str, int], replaced: Collection[str]
) -> dict[str, Any]:
    """A settings file's values with their relative paths made absolute.

    Args:
        values: the fields of the file, checked.
        file: the settings file.
        lines: the line of each field in it.
        replaced: fields for which a person gives other values.

    Raises:
        SpecError: a file of code that is named is not there.
    """
    folder, found = file.expanduser().absolute().parent, dict(values)
    for key, value in values.items():
        if key == "costs" and isinstance(value, list):
            found[key] = [_code(key, each, file, lines, replaced) if isinstance(each, str) else each for each in value]
        if not isinstance(value, str):
            continue
        if key in _CODE:
            found[key] = _code(key, value, file, lines, replaced)
        elif key == "data" or (key == "warm_start" and (value.endswith(".parquet") or "/" in value)):
            found[key] = _absolute(folder, value)
        elif key == "tracking_uri":
            found[key] = _store(folder, value)
    return found


def _code(key: str, value: str, file: Path, lines: Mapping[str, int], replaced: Collection[str]) -> str:
    """A reference with an absolute path, where it names a file. Raises SpecError where that is not there."""
    path, colon, name = value.rpartition(":")
    if not is_file(value) or not colon:
        return value  # no name: what finds it says so
    path = _absolute(file.expanduser().absolute().parent, path)
    if key not in replaced and not Path(path).is_file():
        raise SpecError(
            f"{file}, line {lines.get(key, 1)}: {key} {value!r}: there is no file {path}; "
            "paths in a settings file are relative to that file"
        )
    return f"{path}:{name}"


def _absolute(folder: Path, path: str) -> str:
    return os.path.normpath(folder / Path(path).expanduser())


def _store(folder: Path, address: str) -> str:
    if address[0] in ".~":
        return _absolute(folder, address)
    database = _SQLITE_FILE.fullmatch(address)
    return f"{database[1]}{_absolute(folder, database[2])}{database[3]}" if database else address
