"""``raynas resume`` and ``stop``: go on with a search, and end one that runs elsewhere."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from raynas.cli import complete
from raynas.cli.limits import (
    Address,
    Events,
    Finalists,
    Mlflow,
    Quiet,
    Repeats,
    StoreAddress,
    Time,
    Trials,
    Workers,
    finish,
    given,
    one_of,
)
from raynas.cli.read import Name


def resume(
    name: Name,
    trials: Trials = None,
    time: Time = None,
    finalists: Finalists = None,
    repeats: Repeats = None,
    workers: Workers = None,
    address: Address = None,
    mlflow: Mlflow = None,
    tracking_uri: StoreAddress = None,
    quiet: Quiet = False,
    json: Events = False,
) -> None:
    """Go on with a search that was interrupted, or give a finished one more.

    Trials that were under way go on from their checkpoints, under their own numbers.

    Examples:

      raynas resume first

      raynas resume first --trials 80        (80 in all, with those already made)

      raynas resume first --time 10m         (10 minutes in all)

      raynas resume first --finalists 3      (only: train the leading three again)
    """
    from raynas.cli.progress import watched
    from raynas.cli.tables import print_status
    from raynas.engine import api

    one_of(quiet, json)
    settings: dict[str, Any] = {"trials": trials, "seconds": time, "finalists": finalists, "repeats": repeats}
    settings |= {"workers": workers, "address": address, "mlflow": mlflow, "tracking_uri": tracking_uri}
    found = api.load(name)
    before, sessions = found.history, len(found.history.sessions)
    waiting = "" if found.spec["task"] != "digits" else "checking the space and the task, starting Ray"
    with watched(before, quiet=quiet, json=json, waiting=waiting) as progress:
        result = api.resume(name, **given(settings), progress=progress)
    if len(result.history.sessions) == sessions:
        if not json:
            print_status(result)
        print("nothing is left to do within these limits", file=sys.stderr if json else sys.stdout)
        return
    finish(result, json)


def stop(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A search that is running.", autocompletion=complete.searches)
    ],
) -> None:
    """Stop a search that runs elsewhere, as Ctrl-C there would: its trials checkpoint first.

    Example:

      raynas stop first
    """
    from raynas.cli.tables import print_status
    from raynas.engine import api

    if api.load(name).status == "running":
        print(f"asking {name} to stop; its trials checkpoint first", flush=True)
    print_status(api.stop(name))
