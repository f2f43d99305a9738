"""The folder that relative paths in a person's task are read from: on workers, and when a search is taken up again.

A task such as ``np.load("data/train.npz")`` works where the person began the search. So that folder is kept in the
journal, and everything that makes the task again does so from there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.registry import is_file

if TYPE_CHECKING:
    from raynas.engine.result import SearchResult


def working_folder() -> str | None:
    """The process's working folder; None where it was removed."""
    with contextlib.suppress(FileNotFoundError):
        return os.getcwd()
    return None


def enter(folder: str | None) -> None:
    """Makes ``folder`` this process's working folder, where it is there (on a cluster's machine it may not be)."""
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


@contextmanager
def working_in(folder: str | None) -> Iterator[None]:
    """While inside, relative paths are read from ``folder``, where it is there."""
    before = working_folder()
    enter(folder)
    try:
        yield
    finally:
        enter(before)


@contextmanager
def working_as_begun(result: SearchResult) -> Iterator[None]:
    """While inside, relative paths are read from where the search was begun.

    Where that folder is gone they are read from here; standard error says so where the task or the space is a person's
    own. A search of an earlier release did not keep its folder: it works from here, as it did.
    """
    folder = result.begun.get("working_folder")
    references = (result.spec.get("task") or "", result.spec.get("space") or "")
    own = any(is_file(reference) or reference.startswith("<") for reference in references)
    if folder is not None and not Path(folder).is_dir() and own:
        print(
            f"search {result.name!r} was begun in {folder}, which is not there; relative paths in its task are read "
            f"from {working_folder() or 'nowhere'}",
            file=sys.stderr,
        )
    with working_in(folder):
        yield
