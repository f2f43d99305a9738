"""``raynas search``: read the flags, hand them to the search, show what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raynas.cli import complete
from raynas.cli.limits import (
    BUDGET,
    MACHINES,
    OBJECTIVE,
    RECORDS,
    STOPPING,
    Address,
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
from raynas.cli.options import amount, length_of_time, whole
from raynas.errors import SpecError


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
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The search's name and its folder's (default: made up).")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="What to be good at: a name, or path/to/file.py:name (default: digits).",
            autocompletion=complete.tasks,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Your own images: a folder CLASS/NAME.jpg, or a Parquet file (docs/data.md)."
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="STRATEGY",
            autocompletion=complete.strategies,
            help="How to search: auto, predictor, tpe, evolution, local, reinforce, random, or path/to/file.py:name "
            "(default: auto, which picks and says why).",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole("--seed", 0), metavar="N", help="Makes the search repeatable (default: drawn, kept)."
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Begin with what is known of this space: another search's name, or a Parquet file of its trials "
            "('raynas trials NAME --parquet FILE'). The best of it is trained first.",
        ),
    ] = None,
    trials: Trials = None,
    time: Time = None,
    finalists: Finalists = None,
    repeats: Repeats = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=whole("--epochs", 1),
            metavar="N",
            help="A trial's full budget (default: the task's); with --trial-time: in how many steps (default: 9).",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    trial_time: Annotated[
        float | None,
        typer.Option(
            parser=length_of_time("--trial-time"),
            metavar="DURATION",
            help="A trial's full budget as time in training instead of epochs: small and large networks get the same.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    effort: Annotated[
        str | None,
        typer.Option(
            metavar="wide|normal|deep",
            help="How --time is shared out, where neither --epochs nor --trial-time is given: more, shorter trials "
            "(wide), or fewer, longer ones (deep).",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            parser=whole("--image-size", 1),
            metavar="PIXELS",
            help="The side to which your pictures are brought (default: what --time allows, and never larger than "
            "they are; without --time at most 64).",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="asha|asha_promotion|hyperband|none",
            autocompletion=complete.schedulers,
            help="How weak trials are stopped early, if at all (default: asha); or path/to/file.py:name.",
            rich_help_panel=STOPPING,
        ),
    ] = None,
    grace_period: Annotated[
        int | None,
        typer.Option(
            parser=whole("--grace-period", 1),
            metavar="N",
            help="Epochs that every trial gets (default: by the budget).",
            rich_help_panel=STOPPING,
        ),
    ] = None,
    reduction_factor: Annotated[
        int | None,
        typer.Option(
            parser=whole("--reduction-factor", 2),
            metavar="N",
            help="One trial in N goes on past a rung (default: by the budget).",
            rich_help_panel=STOPPING,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="What trials are compared by (default: the task's).", rich_help_panel=OBJECTIVE
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="min|max",
            help="Which way that metric is good (default: as the task says; needed where it says nothing).",
            rich_help_panel=OBJECTIVE,
        ),
    ] = None,
    workers: Workers = None,
    max_concurrent: Annotated[
        int | None,
        typer.Option(
            parser=whole("--max-concurrent", 1),
            metavar="N",
            help="A further limit on trials at the same time.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    cpus_per_trial: Annotated[
        float | None,
        typer.Option(
            parser=amount("--cpus-per-trial", zero=False),
            metavar="N",
            help="CPUs, and threads, of a trial (default: 1).",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(
            parser=amount("--gpus-per-trial", zero=True),
            metavar="N",
            help="GPUs of a trial, also 0.5 (default: 1 where trials use CUDA).",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="auto|cpu|cuda|mps", help="What trials train on (default: auto).", rich_help_panel=MACHINES
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="auto|fp32|bf16",
            help="Number format of convolutions and matrix products (default: auto, the faster one by a short timing).",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    trial_timeout: Annotated[
        float | None,
        typer.Option(
            parser=length_of_time("--trial-timeout"),
            metavar="DURATION",
            help="Limit on one step (epoch) of a trial; a trial that takes longer has failed.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    address: Address = None,
    keep_best: Annotated[
        int | None,
        typer.Option(
            parser=whole("--keep-best", 0),
            metavar="N",
            help="Of how many of the best trials the weights are kept (default: 3).",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    mlflow: Mlflow = None,
    tracking_uri: StoreAddress = None,
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
    if name == "":
        raise SpecError("--name '' is empty; give a name, or leave it out for one that is made up")
    from raynas.cli.progress import watched
    from raynas.engine import api

    settings = {
        "config": config,
        "task": task,
        "data": data,
        "strategy": strategy,
        "name": name,
        "seed": seed,
        "warm_start": warm_start,
        "trials": trials,
        "seconds": time,
        "finalists": finalists,
        "repeats": repeats,
        "epochs": epochs,
        "trial_time": trial_time,
        "effort": effort,
        "image_size": image_size,
        "workers": workers,
        "max_concurrent": max_concurrent,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "device": device,
        "precision": precision,
        "trial_timeout": trial_timeout,
        "keep_best": keep_best,
        "mlflow": mlflow,
        "tracking_uri": tracking_uri,
        "scheduler": scheduler,
        "grace_period": grace_period,
        "reduction_factor": reduction_factor,
        "metric": metric,
        "mode": mode,
        "address": address,
    }
    one_of(quiet, json)
    # A task of images may be read in for the first time, and shows a bar of its own for that.
    waiting = "" if data or config or task not in (None, "digits") else "checking the space and the task"
    if dry_run:
        from raynas.cli.console import working
        from raynas.cli.documents import dumps
        from raynas.cli.documents import plan as plan_document
        from raynas.cli.plan import print_plan

        with working(waiting):
            planned = api.plan(space, **given(settings))
        print(dumps(plan_document(planned))) if json else print_plan(planned)
        return
    with watched(quiet=quiet, json=json, waiting=waiting) as progress:
        result = api.search(space, **given(settings), progress=progress)
    finish(result, json)
