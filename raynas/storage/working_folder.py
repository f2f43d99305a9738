"""The folder that relative paths in a person's task are read from: on workers, and when a search is taken up again.

A task such as ``np.load("data/train.npz")`` works where the person began the search. So that folder is kept in the
journal, and everything that makes the task again does so from there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager


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
