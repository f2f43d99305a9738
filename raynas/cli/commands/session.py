"""What ``raynas search`` and ``resume`` have in common: options, and how a session's end becomes an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raynas.errors import SpecError
from raynas.spec.settings import RECORDS

if TYPE_CHECKING:
    from raynas.results.result import SearchResult

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing until the end.", rich_help_panel=RECORDS)]
Events = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the search's events as they happen, one JSON object a line (docs/json.md).",
        rich_help_panel=RECORDS,
    ),
]


def one_of(quiet: bool, json: bool) -> None:
    if quiet and json:
        raise SpecError("--quiet and --json contradict each other; give one of them")


def finish(result: SearchResult, json: bool) -> None:
    """Says what was found, and ends the command with the exit code that fits how the session ended."""
    from raynas.cli.render.tables import print_outcome

    if not json:
        print_outcome(result.report())
    code = {"interrupted": 130, "disk_full": 1, "all_failed": 1, "error": 1}.get(result.reason or "", 0)
    if result.reason == "time" and result.history.nothing_measured:
        code = 1
    if code:
        raise typer.Exit(code)
