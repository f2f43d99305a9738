"""``raynas list``, ``status`` and ``best``: readers of the journals. They never disturb a search that runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raynas.cli.options import complete
from raynas.cli.options.values import whole
from raynas.errors import UserError

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A search that 'raynas list' shows.", autocompletion=complete.searches)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md explains its keys.")]


def list_searches(json: Json = False) -> None:
    """List the searches in $RAYNAS_HOME.

    Examples:

      raynas list

      raynas list --json
    """
    from raynas import api
    from raynas.cli.render import tables
    from raynas.report import documents
    from raynas.storage.search_folder import home_folder, names

    found = []
    for name in names(home_folder()):
        try:
            found.append(api.load(name))
        except UserError as error:  # one that is damaged does not hide the others
            print(f"search {name!r} is left out: {error}", file=sys.stderr)
    found.sort(key=lambda result: (result.begun["time"], result.name))
    if json:
        print(documents.dumps([documents.status(result.report()) for result in found]))
    else:
        tables.print_list([result.report() for result in found])


def status(name: Name, json: Json = False) -> None:
    """Show how a search stands: running, interrupted or finished, its trials, the best so far.

    Examples:

      raynas status first

      raynas status first --json
    """
    from raynas import api
    from raynas.cli.render import tables
    from raynas.report import documents

    result = api.load(name)
    if json:
        print(documents.dumps(documents.status(result.report())))
    else:
        tables.print_status(result)


def best(
    name: Name,
    top: Annotated[int, typer.Option(parser=whole("--top", 1), metavar="N", help="How many architectures.")] = 5,
    json: Json = False,
) -> None:
    """Show the best architectures that a search has found, the space's default beside them.

    Examples:

      raynas best first

      raynas best first --top 1 --json
    """
    from raynas import api
    from raynas.cli.render import tables
    from raynas.report import documents

    report = api.load(name).report()
    if json:
        print(documents.dumps(documents.best(report, top)))
    else:
        tables.print_best(report, top)
