"""``raynas search``: read the flags, hand them to the search, show what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from raynas.cli.commands.session import Quiet, finish, one_of
from raynas.cli.options import complete
from raynas.cli.options.settings import given, with_settings
from raynas.cli.progress.spinner import spinner_text
from raynas.errors import SpecError
from raynas.spec.settings import RECORDS


@with_settings()
def search(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE",
            help="A name that 'raynas spaces' lists, or path/to/file.py:name.",
            autocompletion=complete.spaces,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The same settings as a YAML file (its paths are relative to it); flags override it."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, measure one epoch, say what would be done; do nothing.")
    ] = False,
    quiet: Quiet = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the search's events as they happen, one JSON object a line; with --dry-run: the plan "
            "(docs/json.md).",
            rich_help_panel=RECORDS,
        ),
    ] = False,
    **settings: Any,
) -> None:
    """Search a space for the architecture that does best.

    Ctrl-C ends it with everything kept; 'raynas resume NAME' goes on.

    Examples:

      raynas search resnet

      raynas search resnet --strategy random --trials 40 --time 5m

      raynas search --config search.yaml --name first --seed 1

      raynas search my_space.py:cells --epochs 5

      raynas search resnet --time 1h --dry-run

      raynas search resnet --trials 40 --finalists 3 --repeats 3

      raynas search resnet --trials 40 --warm-start first
    """
    if space is None and config is None:
        raise SpecError("say what to search: raynas search SPACE (raynas spaces lists them), or --config FILE")
    if settings["name"] == "":
        raise SpecError("--name '' is empty; give a name, or leave it out for one that is made up")
    from raynas import api
    from raynas.cli.progress.watched import watched

    one_of(quiet, json)
    own = bool(settings["data"] or config)
    waiting = spinner_text("checking the space and the task", settings["task"], may_change=own)
    if dry_run:
        from raynas.cli.console import working
        from raynas.cli.render.dry_run import print_plan
        from raynas.report.documents import dumps

        with working(waiting):
            planned = api.plan(space, config=config, **given(settings))
        print(dumps(planned.to_json())) if json else print_plan(planned)
        return
    with watched(quiet=quiet, json=json, waiting=waiting) as progress:
        result = api.search(space, config=config, **given(settings), progress=progress)
    finish(result, json)
