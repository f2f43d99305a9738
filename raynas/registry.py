"""Finds spaces, tasks, strategies and schedulers by name: a Python entry point, or ``path/to/file.py:name``.

RayNAS's own are found in the same way as a third party's: they are entry points of its own distribution.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from raynas.errors import UserError

#: What a person calls each group of entry points, and the command that lists it.
GROUPS = {
    "raynas.spaces": ("search space", "raynas spaces lists them"),
    "raynas.tasks": ("task", "give a name or path/to/file.py:name"),
    "raynas.strategies": ("strategy", "give a name or path/to/file.py:name"),
    "raynas.schedulers": ("scheduler", "give a name or path/to/file.py:name"),
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
    path = Path(path_text).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"{what} {reference!r}: there is no file {path}; check the path")
    return path, name


def load_file(path: Path, *, search_path: Path | None = None) -> ModuleType:
    """Imports a Python file as the module ``raynas_file_<stem>`` (so that class names stay equal between machines).

    Args:
        path: the file.
        search_path: a folder whose modules the file may import (default: the file's own).

    Raises:
        UserError: the file cannot be imported; the message holds Python's own words.
    """
    folder = str(search_path or path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    name = f"raynas_file_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file; give path/to/file.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        words = error.msg if isinstance(error, SyntaxError) else error  # str() of a syntax error has a place of its own
        raise UserError(f"{path} cannot be imported{line_of(error, path)}: {type(error).__name__}: {words}") from error
    return module


def line_of(error: BaseException, path: Path | str) -> str:
    """`` (line 12)``: the innermost line of that file in an error's traceback; "" where it has none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f" (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""


def find(group: str, reference: str) -> Any:
    """The object that a reference names.

    Args:
        group: one of ``GROUPS``.
        reference: an entry point's name, or ``path/to/file.py:name``.

    Raises:
        UserError: nothing has that name; the message holds the nearest one.
    """
    what, way_out = GROUPS[group]
    if is_file(reference):
        path, name = split_file(reference, group)
        module = load_file(path)
        if not hasattr(module, name):
            near = difflib.get_close_matches(name, vars(module), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{what} {name!r} not found in {path}{hint}")
        return getattr(module, name)
    entry = _entry_points(group).get(reference)
    if entry is None:
        near = difflib.get_close_matches(reference, names(group), n=1)
        hint = f"did you mean {near[0]!r}? " if near else f"there are: {', '.join(names(group))} "
        raise UserError(f"{what} {reference!r} not found; {hint}({way_out})")
    try:
        return entry.load()
    except Exception as error:
        raise UserError(f"{what} {reference!r} ({entry.value}) cannot be imported: {error}") from error
