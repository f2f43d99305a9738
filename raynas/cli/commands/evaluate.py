"""``raynas evaluate``: the best networks on data that the search never saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options.values import whole
from raynas.progress_bar import bar
from raynas.report.wording import counted, shown

if TYPE_CHECKING:
    from raynas.evaluators.evaluate import Evaluated
    from raynas.journal import TrialRecord
    from raynas.report.search_report import TrialReport


def evaluate(
    name: Name,
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="Other images: a folder CLASS/NAME.jpg, or a Parquet file.")
    ],
    trial: Annotated[
        int | None,
        typer.Option(parser=whole("--trial", 0), metavar="N", help="Only that trial's network (default: all kept)."),
    ] = None,
    json: Json = False,
) -> None:
    """Try the networks that a search kept on images that it never saw.

    A search's own figures flatter the winner, which was picked by them. These do not, as long as the images are new:
    those that the search has seen, byte for byte, are counted. Intervals are 95 % (Wilson's).

    Examples:

      raynas evaluate first --data test.parquet

      raynas evaluate first --data test/ --trial 7 --json
    """
    from raynas import api
    from raynas.report import documents
    from raynas.report.search_report import TrialReport
    from raynas.results.held_out import evaluate as tried

    result = api.load(name)
    with bar("reading the images") as advance:

        def progress(record: TrialRecord, total: int, images: int) -> None:
            advance(images, words=f"trial {record.number}", total=total)

        found = tried(result, data, trial=trial, progress=progress)
    reports = [(TrialReport.of(record, result.history), there) for record, there in found]
    if json:
        print(documents.dumps(documents.evaluated(name, str(data.absolute()), reports)))
    else:
        _print(result.objective.metric, data, reports)


def _print(metric: str, data: Path, found: list[tuple[TrialReport, Evaluated]]) -> None:
    from rich.markup import escape

    from raynas.cli.console import make_console, make_table, say

    console = make_console()
    heads = ("trial", metric, "accuracy", "95 % interval", "loss", "architecture")
    table = make_table(*heads, numbers=heads[:-1])
    for trial, there in found:
        interval = f"{there.low:.4f} to {there.high:.4f}"
        value, accuracy = shown(trial.value), shown(there.accuracy)
        table.add_row(str(trial.number), value, accuracy, interval, shown(there.loss), escape(trial.title))
    first = found[0][1]
    say(console, f"{counted(first.images, 'image')} of {data}; {metric} is what the search saw")
    console.print(table)
    if len(first.per_class) <= 20:
        say(console, f"trial {found[0][0].number} by class: {_by_class(first)}")
    if first.seen:
        say(console, f"{first.seen:,} of these images are among those of the search: the figures flatter")


def _by_class(there: Evaluated) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in there.per_class.items())
