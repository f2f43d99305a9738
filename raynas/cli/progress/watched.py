"""How a search is told while it runs: by a live display, plain lines, events as JSON, or not at all."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from raynas.cli.console import on_terminal
from raynas.cli.progress.lines import EventLines, ProgressLines

if TYPE_CHECKING:
    from raynas.journal import History

#: Takes every event of a search, as it happens.
Watcher = Callable[[dict[str, Any]], None]


@contextmanager
def watched(
    history: History | None = None, *, quiet: bool = False, json: bool = False, waiting: str = ""
) -> Iterator[Watcher | None]:
    """What is to be told of a search's events, while inside.

    Args:
        history: what earlier sessions left.
        quiet: nothing.
        json: the events as lines of JSON on standard output, where nothing else is written meanwhile.
        waiting: what is done until the first event; empty where others may show how that goes.
    """
    if quiet:
        logger = logging.getLogger("raynas")
        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield None
        finally:
            logger.setLevel(before)
    elif json:
        output = sys.stdout
        with redirect_stdout(sys.stderr):
            yield EventLines(output)
    elif on_terminal(sys.stdout):
        from raynas.cli.progress.live import LiveDisplay

        with LiveDisplay(history, waiting=waiting) as display:
            yield display
    else:
        yield ProgressLines(history)
