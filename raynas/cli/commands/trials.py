"""``raynas trials`` and ``delete``, and ``describe NAME --trial N``: all trials, one trial's network, none any more."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options.values import whole
from raynas.cli.progress.spinner import spinner_text
from raynas.errors import JournalError, SpecError
from raynas.report.wording import counted, shown

if TYPE_CHECKING:
    from raynas.report.search_report import SearchReport, TrialReport


def trials(
    name: Name,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write them all as CSV ('-': to standard output).")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write them all as a Parquet file.")
    ] = None,
    last: Annotated[
        int | None, typer.Option(parser=whole("--last", 1), metavar="N", help="Show the last N trials only.")
    ] = None,
    json: Json = False,
) -> None:
    """Show all trials of a search, in the order in which they were proposed.

    Files get a column for every metric (at the highest rung that a trial reached) and every hole.

    Examples:

      raynas trials first

      raynas trials first --csv trials.csv

      raynas trials first --parquet trials.parquet
    """
    from raynas import api
    from raynas.report import documents, tables

    report = api.load(name).report()
    if csv is not None:
        text = tables.write_csv(report, None if str(csv) == "-" else csv)
        print(text, end="") if str(csv) == "-" else print(_written(report, csv))
    if parquet is not None:
        tables.write_parquet(report, parquet)
        print(_written(report, parquet))
    if csv is not None or parquet is not None:
        return
    shown_trials = report.trials[-(last or 0) :]
    if json:
        print(documents.dumps([documents.trial(trial) for trial in shown_trials]))
    else:
        _print_trials(report, shown_trials)


def _print_trials(report: SearchReport, trials: Sequence[TrialReport]) -> None:
    from rich.markup import escape

    from raynas.cli.console import make_console, make_table, say
    from raynas.durations import brief_duration
    from raynas.report.wording import state_text, steps_text

    console, metric = make_console(), report.objective.metric
    if not trials:
        say(console, f"{report.name} has no trials yet (raynas status {report.name})")
        return
    steps = f"{report.step_name}s"
    columns = ("trial", "state", metric, steps, "time", "architecture")
    table = make_table(*columns, numbers=("trial", metric, steps, "time"))
    for trial in trials:
        state = state_text(trial.state, report.status)
        state = f"{state}: {trial.reason}".replace("_", " ") if state == "failed" else state
        took = brief_duration(trial.seconds)
        table.add_row(str(trial.number), state, shown(trial.value), steps_text(trial), took, escape(trial.name))
    console.print(table)
    console.print()
    say(console, f"a trial: raynas show {report.name} {trials[-1].number}; a file: --csv FILE or --parquet FILE")


def _written(report: SearchReport, path: Path) -> str:
    return f"{counted(report.counts.total, 'trial')} of {report.name} written to {path}"


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a search: its journal, its weights, all that RayNAS wrote into its folder. It asks first.

    Files of your own in that folder stay, and so does what a symbolic link leads to. Runs that were logged to MLflow
    stay there.

    Examples:

      raynas delete first

      raynas delete first --yes
    """
    from raynas import api
    from raynas.storage.search_folder import FolderLock, SearchFolder, home_folder

    folder = SearchFolder(home_folder(), name)
    if folder.never_began():  # a deletion that was cut off, or a search killed at its very start
        with FolderLock(folder):
            folder.remove()
        print(f"deleted what was left of {name}")
        return
    try:
        trials = counted(len(api.load(name).history.trials), "trial")
    except JournalError:  # whoever cannot read a search may still be rid of it
        trials = "a journal that cannot be read"
    with FolderLock(folder):
        size = sum(path.lstat().st_size for path in folder.path.rglob("*") if path.is_file())
        words = f"{name}: {trials}, {size / 2**20:.1f} MiB in {folder.path}"
        if not yes:
            if not sys.stdin.isatty():
                raise SpecError(f"deleting {name!r} wants a yes, and there is nobody to ask here; give --yes")
            if not typer.confirm(f"delete {words}?"):
                print("nothing was deleted")
                return
        left = folder.remove()
    print(f"deleted {words}")
    if left:
        first = ", ".join(str(path.relative_to(folder.path)) for path in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        print(f"left in {folder.path}, since RayNAS did not make it: {first}{more}")


def describe_trial(name: str, trial: int, json: bool) -> None:
    """``raynas describe NAME --trial N``: the network of a trial, block by block."""
    from raynas import api
    from raynas.cli.console import working
    from raynas.report import diagram, documents
    from raynas.results.components import resumed_components
    from raynas.results.saved_weights import begun_dtype, chosen_trial
    from raynas.results.working_folder import working_as_begun
    from raynas.spec.components import input_shape
    from raynas.spec.references import TRAINING

    result = api.load(name)
    record = chosen_trial(result, trial)
    with working(spinner_text("building the network", result.spec.task)), working_as_begun(result):
        components = resumed_components(result, evaluator=TRAINING)
        shape = input_shape(components)
        if shape is None:
            raise SpecError(f"search {name!r} has no task that says what shape an input has")
        tree = diagram.tree(components.space.network(record.architecture), shape, begun_dtype(result))
    if json:
        print(documents.dumps(_document(record, tree, shape)))
        return
    print(f"trial {record.number} of {name}: {record.name}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in diagram.lines(tree, shape, width):
        print(line)


def _document(record: Any, tree: Any, shape: Any) -> dict[str, Any]:
    from raynas.tasks.data import each

    return {
        "trial": record.number,
        "name": record.name,
        "trial_id": record.trial_id,
        "network_id": record.network_id,
        "input_shape": each(list, shape),
        "output_shape": list(tree.shape),
        "parameters": tree.params,
        "flops": tree.flops,
        "blocks": [
            {
                "path": block.path,
                "kind": block.kind,
                "arguments": block.arguments,
                "output_shape": list(block.shape),
                "parameters": block.params,
                "flops": block.flops,
                "sources": list(block.sources),
            }
            for block in tree.walk()
            if block.path
        ],
    }
