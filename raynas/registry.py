"""Finds the parts of a search by name: a Python entry point, or ``path/to/file.py:name``.

RayNAS's own are found in the same way as a third party's: they are entry points of its own distribution.
"""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from raynas.errors import UserError
from raynas.modules import load, place_of
from raynas.paths import absolute
from raynas.suggestions import did_you_mean

#: What a person calls each group of entry points, and the command that lists it.
GROUPS = {
    "raynas.spaces": ("search space", "raynas spaces lists them"),
    "raynas.tasks": ("task", "give a name or path/to/file.py:name"),
    "raynas.strategies": ("strategy", "give a name or path/to/file.py:name"),
    "raynas.schedulers": ("scheduler", "give a name or path/to/file.py:name"),
    "raynas.evaluators": ("evaluator", "give a name or path/to/file.py:name"),
    "raynas.costs": ("cost model", "give a name or path/to/file.py:name"),
    "raynas.exporters": ("export format", "give a name or path/to/file.py:name"),
}

#: The setting of a search that names one object of a group. (Its ``costs`` name several.)
SETTING_OF = {
    "raynas.spaces": "space",
    "raynas.tasks": "task",
    "raynas.strategies": "strategy",
    "raynas.schedulers": "scheduler",
    "raynas.evaluators": "evaluator",
}


@lru_cache
def _entry_points(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=group)}


def names(group: str) -> list[str]:
    """The registered names of a group, sorted."""
    return sorted(_entry_points(group))


def is_file(reference: str) -> bool:
    """Whether a reference is ``path/to/file.py:name`` (or a path without a name)."""
    return ".py" in reference or "/" in reference


def split_file(reference: str, group: str) -> tuple[Path, str]:
    """``path/to/file.py:name`` as an absolute path and a name.

    Raises:
        UserError: there is no name, or no such file.
    """
    what, _ = GROUPS[group]
    path_text, colon, name = reference.rpartition(":")
    if not colon or not name:
        raise UserError(f"{what} {reference!r} names a file only; say which object in it: {reference}:NAME")
    path = absolute(path_text)
    if not path.is_file():
        raise UserError(f"{what} {reference!r}: there is no file {path}; check the path")
    return path, name


def find(group: str, reference: str) -> Any:
    """The object that a reference names.

    Args:
        group: one of ``GROUPS``.
        reference: an entry point's name, or ``path/to/file.py:name``.

    Raises:
        UserError: nothing has that name; the message holds the nearest one.
    """
    if is_file(reference):
        path, name = split_file(reference, group)
        return attribute(group, load(place_of(path)), name)
    entry = _entry(group, reference)
    try:
        return entry.load()
    except Exception as error:
        raise UserError(f"{GROUPS[group][0]} {reference!r} ({entry.value}) cannot be imported: {error}") from error


def require_known(group: str, reference: str) -> None:
    """Raises UserError where a reference names nothing, as far as that shows without importing anything."""
    if is_file(reference):
        split_file(reference, group)
    else:
        _entry(group, reference)


def _entry(group: str, reference: str) -> importlib.metadata.EntryPoint:
    what, way_out = GROUPS[group]
    entry = _entry_points(group).get(reference)
    if entry is None:
        hint = did_you_mean(reference, names(group), f"there are: {', '.join(names(group))}")
        raise UserError(f"{what} {reference!r} not found; {hint} ({way_out})")
    return entry


def attribute(group: str, module: ModuleType, name: str) -> Any:
    """The object of that name in a person's file.

    Raises:
        UserError: there is none; the message holds the nearest one.
    """
    if not hasattr(module, name):
        hint = did_you_mean(name, vars(module))
        where = f"{module.__file__}; {hint}" if hint else module.__file__
        raise UserError(f"{GROUPS[group][0]} {name!r} not found in {where}")
    return getattr(module, name)
