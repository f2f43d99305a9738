"""The console of the commands: tables, single lines, figures as a reader wants them, and a sign of life."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.table import Table


def make_console(width: int = 160) -> Console:
    """Standard output; a pipe or a file gets that width: room enough that no figure is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)


def make_table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def say(console: Console, text: str) -> None:
    """One line as it is: a path or a command must not be wrapped or styled."""
    console.print(text, markup=False, soft_wrap=True)


def on_terminal(stream: TextIO) -> bool:
    """Whether that stream is a terminal on which lines can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown", "")


@contextmanager
def working(words: str) -> Iterator[None]:
    """While inside: a spinner with these words on a terminal's stderr. None where they are empty: others may draw."""
    if not words or not on_terminal(sys.stderr):
        yield
        return
    console = Console(stderr=True, highlight=False)
    with console.status(f"{words} …"):
        yield
