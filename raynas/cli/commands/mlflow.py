"""``raynas ui`` and ``raynas sync``: a search in MLflow's UI, and bringing MLflow up to a journal by hand."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raynas.cli.commands.read import Name
from raynas.cli.options import complete
from raynas.cli.options.values import whole

#: Of what MLflow refused so much is listed.
_REFUSED_LINES = 20

TrackingUri = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="MLflow's store or server (default: where the search was written, else $MLFLOW_TRACKING_URI, "
        "else $RAYNAS_HOME/mlflow.db).",
    ),
]


def ui(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The search whose trials to open (default: all searches).",
            autocompletion=complete.searches,
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(parser=whole("--port", 1), metavar="N", help="On 127.0.0.1 (default: a free one).")
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Look at searches in MLflow's UI: prints the address, and opens it where there is a desktop. Ctrl-C ends it.

    Examples:

      raynas ui first
    """
    from raynas.storage.search_folder import SearchFolder, home_folder
    from raynas.tracking.ui import open_ui

    home = home_folder()
    if name is not None:
        SearchFolder(home, name).require()
    open_ui(home, name, port=port, tracking_uri=tracking_uri, say=lambda line: print(line, flush=True))


def sync(name: Name, tracking_uri: TrackingUri = None) -> None:
    """Write to MLflow what it lacks of a search: after its server was away, or for a search made with --no-mlflow.

    Examples:

      raynas sync first

      raynas sync first --tracking-uri http://server:5000
    """
    from raynas.storage.search_folder import SearchFolder, home_folder
    from raynas.tracking import sync as write
    from raynas.tracking.position import load_position, written_to

    folder = SearchFolder(home_folder(), name)
    folder.require()
    there = written_to(folder.path, load_position(folder.path))
    report = write(folder.path, tracking_uri or there, _progress if sys.stderr.isatty() else None)
    for line in report.refused[:_REFUSED_LINES]:
        print(f"refused: {line}", file=sys.stderr)
    print(report)
    if report.refused:
        print(f"next: mend that, then: raynas sync {name}")
        raise typer.Exit(1)
    print(f"next: raynas ui {name}")


def _progress(written: int, known: int) -> None:
    print(f"\r{written} of {known} events", end="\n" if written == known else "", file=sys.stderr, flush=True)
