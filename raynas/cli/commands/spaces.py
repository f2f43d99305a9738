"""``raynas spaces`` and ``describe``: what can be searched, and what is in it, before anything trains."""

from __future__ import annotations

import random
from typing import Annotated, Any

import typer

from raynas.cli.commands.read import Json
from raynas.cli.options import complete
from raynas.cli.options.values import whole


def spaces(json: Json = False) -> None:
    """List the search spaces that are installed.

    A space of your own needs no installation: raynas search path/to/file.py:name

    Examples:

      raynas spaces

      raynas spaces --json
    """
    from raynas import registry
    from raynas.cli.console import working
    from raynas.cli.render import tables
    from raynas.report import documents

    with working("making the spaces"):
        entries = [_entry(name) for name in registry.names("raynas.spaces")]
    if json:
        print(documents.dumps(entries))
    else:
        tables.print_spaces(entries)


def describe(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="A name that 'raynas spaces' lists, or path/to/file.py:name; with --trial: a search.",
            autocompletion=complete.searches_and_spaces,
        ),
    ],
    task: Annotated[
        str, typer.Option(metavar="TASK", help="The task that it is made for: a name, or path/to/file.py:name.")
    ] = "digits",
    seed: Annotated[int, typer.Option(parser=whole("--seed", 0), metavar="N", help="Which sample is shown.")] = 0,
    trial: Annotated[
        int | None,
        typer.Option(
            parser=whole("--trial", 0), metavar="N", help="Show the network of that trial of a search, block by block."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show a search space: its holes with their choices, its size, its default and a sample with their costs.

    Examples:

      raynas describe resnet

      raynas describe my_space.py:cells --json

      raynas describe first --trial 7        (the network of a search's trial)
    """
    if trial is not None:
        from raynas.cli.commands.trials import describe_trial

        describe_trial(space, trial, json)
        return
    from raynas.cli.console import working
    from raynas.cli.render import tables
    from raynas.report import documents

    with working("making the space"):
        document = _describe(space, task, seed)
    if json:
        print(documents.dumps(document))
    else:
        tables.print_description(document)


def _make(reference: str, task_reference: str) -> tuple[Any, Any]:
    """The space and the task that two references name."""
    from raynas.spec import references as sources

    task = sources.make_task(sources.source_of("raynas.tasks", task_reference))
    return sources.make_space(sources.source_of("raynas.spaces", reference), task), task


def _entry(name: str) -> dict[str, Any]:
    import inspect

    from raynas import registry
    from raynas.report import documents

    space, _ = _make(name, "digits")
    made = registry.find("raynas.spaces", name)
    words = inspect.getdoc(made) if inspect.isfunction(made) else None
    return {
        "name": name,
        "description": (words or "").split("\n\n")[0].replace("\n", " ").replace("``", ""),
        "holes": len(space.holes()),
        **documents.sizes(space),
    }


def _dtype(task: Any) -> str | None:
    """The dtype of a task's inputs; None (float32) where its data is needed for that and is not there."""
    try:
        return getattr(task, "input_dtype", None)
    except Exception:  # a space can be described before its data is there
        return None


def _describe(reference: str, task_reference: str, seed: int) -> dict[str, Any]:
    from raynas.report import documents
    from raynas.spec.components import check_shapes
    from raynas.tasks.data import each

    space, task = _make(reference, task_reference)
    shape = task.input_shape
    dtype = _dtype(task)
    check_shapes(space, shape, dtype)
    default, sample = space.default(), space.sample(random.Random(seed))
    return {
        "space": reference,
        "task": task_reference,
        "input_shape": each(list, shape),
        "fingerprint": space.fingerprint,
        **documents.sizes(space),
        "holes": [documents.hole(path, hole) for path, hole in space.holes()],
        "default": documents.architecture(space, default, shape, dtype),
        "sample": documents.architecture(space, sample, shape, dtype),
    }
