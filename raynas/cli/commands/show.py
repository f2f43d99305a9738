"""``raynas show NAME TRIAL``: one trial, with all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options.values import whole
from raynas.report.wording import big, brief, shown, state_text

if TYPE_CHECKING:
    from raynas.report.search_report import TrialReport
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
    from raynas.report.search_report import TrialReport
    from raynas.results.saved_weights import chosen_trial

    result = api.load(name)
    report = TrialReport.of(chosen_trial(result, trial), result.history)
    printed = result.log_tail(report.number, log)
    if json:
        print(documents.dumps(documents.whole_trial(report, printed)))
    else:
        _print(result, report, printed)


def _print(result: SearchResult, trial: TrialReport, printed: list[str]) -> None:
    from raynas.durations import format_duration

    print(f"trial {trial.number} of {result.name}: {trial.name}")
    print(f"  state      {state_text(trial.state, result.status)}" + (f", {trial.reason}" if trial.reason else ""))
    print(f"  proposed   by {trial.strategy}{_origin(trial)}")
    print(f"  ids        trial {trial.trial_id}, network {trial.network_id}")
    if trial.costs:
        print(f"  costs      {', '.join(f'{name} {big(value)}' for name, value in trial.costs.items())}")
    print(f"  training   {trial.steps} of {result.max_steps} steps in {format_duration(trial.seconds)}", end="")
    print(f", {trial.attempts} attempts" if trial.attempts > 1 else "")
    print("  architecture")
    width = max(map(len, trial.architecture), default=0)
    for path, value in trial.architecture.items():
        print(f"    {path:<{width}}  {brief(value)}")
    if trial.curve:
        metrics = sorted(trial.curve[-1].metrics)
        print("  curve")
        print("    " + "".join(f"{head:>{max(12, len(head) + 2)}}" for head in ("step", *metrics, "decision")))
        for measured in trial.curve:
            cells = [str(measured.step), *(shown(measured.metrics.get(metric)) for metric in metrics)]
            heads = ("step", *metrics)
            row = "".join(f"{cell:>{max(12, len(head) + 2)}}" for cell, head in zip(cells, heads, strict=True))
            print(f"    {row}{measured.decision:>12}" + (f" ({measured.stop_reason})" if measured.stop_reason else ""))
    if trial.error:
        print(f"  error      {trial.error.get('type')}: {trial.error.get('message')}")
        for line in str(trial.error.get("traceback") or "").splitlines():
            print(f"    {line}")
    if printed:
        print(f"  output, its last {len(printed)} lines ({result.log_file(trial.number)})")
        for line in printed:
            print(f"    {line}")


def _origin(trial: TrialReport) -> str:
    kind, parents = trial.origin.get("kind"), trial.origin.get("parents")
    if trial.repeat_of is not None:
        return f" (repeat {trial.repeat} of trial {trial.repeat_of})"
    words = f" ({kind}" if kind and kind != trial.strategy else ""
    if parents:
        named = [str(number) if number >= 0 else f"{number} (warm start)" for number in parents]
        words += f"{' ' if words else ' ('}of trial{'s' if len(parents) > 1 else ''} {', '.join(named)}"
    return f"{words})" if words else ""
