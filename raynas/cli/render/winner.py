"""Which network a search recommends, and why: below the table of the best observed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from raynas.cli.console import make_table, say
from raynas.report.wording import shown

if TYPE_CHECKING:
    from raynas.report.search_report import SearchReport, TrialReport

#: Repeats that saw a smaller share of the images than this are no fair comparison.
_FAIR_SHARE = 0.85


def print_finalists(console: Console, report: SearchReport) -> None:
    """What the finalists are worth by their repeats; nothing where there are none."""
    found, metric = report.finalists, report.objective.metric
    if not found:
        return
    say(console, "trained again with other seeds (mean of the repeats alone):")
    columns = ("finalist", f"mean {metric}", "95 % interval", "repeats", "first")
    table = make_table("", *columns, "architecture", numbers=columns)
    for place, one in enumerate(found, start=1):
        interval = "–" if one.interval is None else " to ".join(map(shown, one.interval))
        first = shown(one.trial.value)
        number, repeats = f"trial {one.trial.number}", str(len(one.repeats))
        repeats += f" ({one.failed} failed)" if one.failed else ""
        name = escape(one.trial.title)
        table.add_row(str(place), number, shown(one.mean), interval, repeats, first, name)
    console.print(table)
    for line in _reservations(report):
        say(console, line)
    console.print()


def _reservations(report: SearchReport) -> list[str]:
    """What speaks against taking the finalists' figures as they are."""
    said = []
    seen = _share_seen(report)
    if seen is not None and seen < _FAIR_SHARE:
        said.append(
            f"in the same time the repeats saw about {seen:.0%} of the images that the first runs saw: the machine was "
            "busier, and their figures are lower for it"
        )
    best, default = report.finalists[0], report.default
    value = None if default is None or default.step != best.trial.step else default.value
    if value is not None and report.objective.better(value, best.mean):
        said.append(f"no finalist's mean is better than the default's value, {shown(value)} (measured once)")
    return said


def _share_seen(report: SearchReport) -> float | None:
    """How many images the repeats saw, as a share of what their first runs did; None where that is not known.

    A step of a search with a budget of time has as many batches as the machine makes of it.
    """
    if report.spec.trial_time is None:
        return None
    by_number = {trial.number: trial for trial in report.trials}
    pairs = [(one.trial, by_number[number]) for one in report.finalists for number in one.repeats]
    shares = [
        _images(again) / _images(first) for first, again in pairs if _images(first) and first.steps == again.steps
    ]
    return sum(shares) / len(shares) if shares else None


def _images(trial: TrialReport) -> float:
    return sum(one.metrics.get("images_per_second", 0.0) for one in trial.curve)  # all steps have the same time


def print_recommendation(console: Console, report: SearchReport) -> None:
    """What to take where that is not the best observed trial, and why; nothing where it is, for all that is known."""
    found, best, metric = report.recommended, report.best, report.objective.metric
    if found is None or best is None or (found.trial is best and found.finalist is None):
        return
    console.print()
    number = found.trial.number
    if found.finalist is None:
        value = shown(found.trial.value)
        say(
            console,
            f"recommended: trial {number} ({metric} {value}). Measurements scatter, and the best of many is a lucky "
            "one; by what similar networks did, this one is the better choice.",
        )
    else:
        one = found.finalist
        interval = "" if one.interval is None else f", 95 % interval {' to '.join(map(shown, one.interval))}"
        again = f", which is trial {one.trial.number} trained again"
        again += "" if len(one.repeats) == 1 else f" (the best of its {len(one.repeats)} repeats)"
        again = ", the best observed" if found.trial is best else again
        say(console, f"recommended: trial {number}{again}; mean {metric} {shown(one.mean)}{interval}")
    say(console, f"             raynas export {report.name} --trial {number} --output {report.name}-model/")
