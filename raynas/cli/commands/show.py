"""``raynas show NAME TRIAL``: one trial, with all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options.values import whole
from raynas.report.wording import big, brief, shown

if TYPE_CHECKING:
    from raynas.journal import TrialRecord
    from raynas.results.result import SearchResult


def show(
    name: Name,
    trial: Annotated[int, typer.Argument(parser=whole("TRIAL", 0), metavar="TRIAL", help="A trial's number.")],
    log: Annotated[
        int, typer.Option(parser=whole("--log", 0), metavar="N", help="Lines of the trial's own output.")
    ] = 20,
    json: Json = False,
) -> None:
    """Show one trial: its architecture, its curve, why it ended, its error, its output.

    Examples:

      raynas show first 7

      raynas show first 7 --log 200
    """
    from raynas import api
    from raynas.report import documents
    from raynas.results.saved_weights import chosen_trial

    result = api.load(name)
    record = chosen_trial(result, trial)
    if json:
        print(documents.dumps(documents.trial(result, record, log)))
    else:
        _print(result, record, log)


def _print(result: SearchResult, record: TrialRecord, log: int) -> None:
    from raynas.durations import format_duration

    print(f"trial {record.number} of {result.name}: {record.name}")
    print(f"  state      {record.state}" + (f", {record.reason}" if record.reason else ""))
    print(f"  proposed   by {record.strategy}{_origin(record)}")
    print(f"  ids        trial {record.trial_id}, network {record.network_id}")
    if record.costs:
        print(f"  costs      {', '.join(f'{name} {big(value)}' for name, value in record.costs.items())}")
    print(f"  training   {record.steps} of {result.max_steps} steps in {format_duration(record.seconds)}", end="")
    print(f", {record.attempts} attempts" if record.attempts > 1 else "")
    print("  architecture")
    width = max(map(len, record.values), default=0)
    for path, value in record.values.items():
        print(f"    {path:<{width}}  {brief(value)}")
    if record.measurements:
        metrics = sorted(record.measurements[-1].metrics)
        print("  curve")
        print("    " + "".join(f"{head:>{max(12, len(head) + 2)}}" for head in ("step", *metrics, "decision")))
        for measured in record.measurements:
            cells = [str(measured.step), *(shown(measured.metrics.get(metric)) for metric in metrics)]
            heads = ("step", *metrics)
            row = "".join(f"{cell:>{max(12, len(head) + 2)}}" for cell, head in zip(cells, heads, strict=True))
            print(f"    {row}{measured.decision:>12}" + (f" ({measured.stop_reason})" if measured.stop_reason else ""))
    if record.error:
        print(f"  error      {record.error.get('type')}: {record.error.get('message')}")
        for line in str(record.error.get("traceback") or "").splitlines():
            print(f"    {line}")
    printed = result.log_tail(record.number, log)
    if printed:
        print(f"  output, its last {len(printed)} lines ({result.log_file(record.number)})")
        for line in printed:
            print(f"    {line}")


def _origin(record: TrialRecord) -> str:
    kind, parents = record.origin.get("kind"), record.origin.get("parents")
    if record.repeat_of is not None:
        return f" (repeat {record.repeat} of trial {record.repeat_of})"
    words = f" ({kind}" if kind and kind != record.strategy else ""
    if parents:
        named = [str(number) if number >= 0 else f"{number} (warm start)" for number in parents]
        words += f"{' ' if words else ' ('}of trial{'s' if len(parents) > 1 else ''} {', '.join(named)}"
    return f"{words})" if words else ""
