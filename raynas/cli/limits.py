"""What ``raynas search`` and ``resume`` have in common: options, and how a session's end becomes an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from raynas.cli.options import length_of_time, whole
from raynas.errors import SpecError

if TYPE_CHECKING:
    from raynas.engine.result import SearchResult

BUDGET, STOPPING, OBJECTIVE, MACHINES, RECORDS = "Budget", "Early stopping", "Objective", "Machines", "Records"

Trials = Annotated[
    int | None,
    typer.Option(
        parser=whole("--trials", 1),
        metavar="N",
        help="Trials in all, over every session; failed ones and trial 0 (the space's default) count. (Default, where "
        "there is no --time either: 40 trials or 5 minutes, whichever ends first.)",
        rich_help_panel=BUDGET,
    ),
]
Time = Annotated[
    float | None,
    typer.Option(
        parser=length_of_time("--time"),
        metavar="DURATION",
        help="Time in all, over every session: 90 (seconds), 90s, 5m, 2h, 1h30m. Trials under way then are saved.",
        rich_help_panel=BUDGET,
    ),
]
Finalists = Annotated[
    int | None,
    typer.Option(
        parser=whole("--finalists", 0),
        metavar="K",
        help="After the last trial, train the K leading networks again with other seeds, and recommend by the mean. "
        "They come on top of --trials; --time limits them, too, but not where a resume gives them to a search that has "
        "used up its time. (0: none.)",
        rich_help_panel=BUDGET,
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        parser=whole("--repeats", 1),
        metavar="R",
        help="How often each finalist is trained again (default: 3).",
        rich_help_panel=BUDGET,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=whole("--workers", 1),
        metavar="N",
        help="Trials at the same time (default: one a core).",
        rich_help_panel=MACHINES,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="A running Ray cluster to join, or 'auto'; its nodes must share $RAYNAS_HOME "
        "(default: a private Ray on this machine).",
        rich_help_panel=MACHINES,
    ),
]
Mlflow = Annotated[
    bool | None,
    typer.Option(
        "--mlflow/--no-mlflow",
        help="Write the search to MLflow as it goes.",
        show_default="--mlflow",
        rich_help_panel=RECORDS,
    ),
]
StoreAddress = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow's store (default: $MLFLOW_TRACKING_URI, else $RAYNAS_HOME/mlflow.db). A password in it is not "
        "kept, and better given by the variable.",
        rich_help_panel=RECORDS,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing until the end.", rich_help_panel=RECORDS)]
Events = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the search's events as they happen, one JSON object a line (docs/json.md).",
        rich_help_panel=RECORDS,
    ),
]


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a person gave; what was not said is the file's, or the default."""
    return {key: value for key, value in settings.items() if value is not None}


def one_of(quiet: bool, json: bool) -> None:
    if quiet and json:
        raise SpecError("--quiet and --json contradict each other; give one of them")


def finish(result: SearchResult, json: bool) -> None:
    """Says what was found, and ends the command with the exit code that fits how the session ended."""
    from raynas.cli.tables import print_outcome

    if not json:
        print_outcome(result)
    code = {"interrupted": 130, "disk_full": 1, "all_failed": 1, "error": 1}.get(result.reason or "", 0)
    if result.reason == "time" and result.history.nothing_measured:
        code = 1
    if code:
        raise typer.Exit(code)
