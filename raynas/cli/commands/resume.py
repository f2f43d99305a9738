"""``raynas resume`` and ``stop``: go on with a search, and end one that runs elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raynas.cli.commands.read import Name
from raynas.cli.commands.session import Events, Quiet, finish, one_of
from raynas.cli.options import complete
from raynas.cli.options.settings import given, with_settings
from raynas.cli.progress.spinner import spinner_text

if TYPE_CHECKING:
    from raynas.results.result import SearchResult


@with_settings("trials", "time", "finalists", "repeats", "workers", "address", "mlflow", "tracking_uri")
def resume(
    name: Name,
    take_new_files: Annotated[
        bool,
        typer.Option(
            "--take-new-files",
            help="Take your own files as they are now, in place of the copies that the search began with, and begin "
            "anew in place of the trials that failed. Only as long as no other trial was measured.",
        ),
    ] = False,
    quiet: Quiet = False,
    json: Events = False,
    **settings: Any,
) -> None:
    """Go on with a search that was interrupted, or give a finished one more.

    Trials that were under way go on from their checkpoints, under their own numbers.

    Examples:

      raynas resume first

      raynas resume first --trials 80        (80 in all, with those already made)

      raynas resume first --time 10m         (10 minutes in all)

      raynas resume first --finalists 3      (only: train the leading three again)

      raynas resume first --take-new-files   (after all trials failed, and the task was mended)
    """
    from raynas import api
    from raynas.cli.progress.lines import describe_changes
    from raynas.cli.progress.watched import watched
    from raynas.cli.render.tables import print_status

    one_of(quiet, json)
    found = api.load(name)
    before, sessions = found.history, len(found.history.sessions)
    waiting = spinner_text("checking the space and the task, starting Ray", found.spec.task)
    with watched(before, quiet=quiet, json=json, waiting=waiting) as progress:
        result = api.resume(name, **given(settings), take_new_files=take_new_files, progress=progress)
    if len(result.history.sessions) == sessions:
        if not json:
            print_status(result)
        for line in [*describe_changes(result.changed_files), _left(result, settings["time"])]:
            print(line, file=sys.stderr if json else sys.stdout)
        if result.status == "failed":
            raise typer.Exit(1)
        return
    finish(result, json)


def _left(result: SearchResult, seconds: float | None) -> str:
    """Why nothing was done.

    Args:
        seconds: the limit on time that was asked for now.
    """
    from raynas.durations import format_duration

    if result.status == "failed" and result.history.all_failed:
        return f"its trials all failed; mend the reason, then: raynas resume {result.name} --take-new-files"
    used, limit = result.history.elapsed_seconds, seconds or result.spec.time
    if limit is not None and used >= limit:
        return (
            f"nothing is left to do: its sessions took {format_duration(used)}, and --time is the total over all of "
            f"them; give more than that"
        )
    return "nothing is left to do within these limits, which are totals over all sessions"


def stop(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A search that is running.", autocompletion=complete.searches)
    ],
) -> None:
    """Stop a search that runs elsewhere, as Ctrl-C there would: its trials checkpoint first.

    Example:

      raynas stop first
    """
    from raynas import api
    from raynas.cli.render.tables import print_status

    if api.load(name).status == "running":
        print(f"asking {name} to stop; its trials checkpoint first", flush=True)
    print_status(api.stop(name))
