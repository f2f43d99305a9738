"""A progress bar on a terminal's stderr, and nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tells a bar that so many more are done and, where that has changed, what is being done and how many there are."""

    def __call__(self, more: int, *, words: str | None = None, total: int | None = None) -> None: ...


@contextmanager
def bar(words: str, total: int | None = None) -> Iterator[Advance]:
    """Shows how far along one is.

    Args:
        words: what is being done.
        total: how many there are; None while that is not known.
    """
    if not sys.stderr.isatty():
        yield lambda more, *, words=None, total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(words, total=total)

        def advance(more: int, *, words: str | None = None, total: int | None = None) -> None:
            shown.update(task, advance=more, description=words, total=total)

        yield advance
