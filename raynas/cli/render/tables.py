"""What a person reads of a search: tables and a few lines, with the next command named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raynas.cli.console import make_console, make_table, say
from raynas.cli.progress.lines import standing
from raynas.cli.progress.pace import Pace
from raynas.cli.progress.recent_gain import outlook_text
from raynas.cli.render.finalist_training import finalist_training
from raynas.durations import brief_duration, format_duration, typed_duration
from raynas.journal.events import SessionEnd
from raynas.report.wording import big, brief, counted, format_flops, format_size, near, shown, steps_text

if TYPE_CHECKING:
    from raynas.report.search_report import SearchReport, TrialReport
    from raynas.results.result import SearchResult

#: What a session's end is called.
REASONS: dict[SessionEnd, str] = {
    "trials": "all its trials are made",
    "time": "its time is used up",
    "exhausted": "every architecture of the space was tried",
    "interrupted": "interrupted",
    "disk_full": "the disk is full",
    "all_failed": "its first trials all failed",
    "error": "an error ended it",
}


def print_outcome(report: SearchReport) -> None:
    """What a search found, at a session's end."""
    console = make_console()
    console.print()
    say(console, f"{report.name} is {report.status}{_why(report)}; {_counts(report)}")
    if report.message:
        say(console, report.message)
    if refused := _refused(report):
        say(console, refused)
    if report.best is not None:
        console.print()
        _print_found(console, report, 5)
    console.print()
    if outlook := _outlook(report):
        say(console, outlook)
    say(console, f"results: {near(report.folder)}")
    _print_next(console, report)
    failed = [trial.number for trial in report.trials if trial.state == "failed"]
    if failed:
        say(console, f"failed:  raynas show {report.name} {failed[0]}   (why trial {failed[0]} failed)")
    if report.tracking_message:
        say(console, f"MLflow:  {report.tracking_message}")
    if (training := finalist_training(report)) is not None:
        say(console, f"to be sure of the winner, {training.words}:")
        say(console, f"         {training.command}")


def _print_next(console: Console, report: SearchReport) -> None:
    """The commands that are next."""
    if report.best is not None:
        for place, command in enumerate([*_take_home(report), _go_on(report)]):
            say(console, f"{'' if place else 'next:':<9}{command}")
        if report.spec.mlflow:
            say(console, f"         raynas ui {report.name}")
        return
    if report.reason == "time" and report.nothing_measured:
        say(console, "no trial was measured in that time; here a first epoch takes longer")
    elif report.reason == "time":
        say(console, "no trial reached a rung or its end in that time; resumed, they go on from there")
    say(console, f"next:    {_go_on(report)}")


def print_status(result: SearchResult) -> None:
    """How a search stands."""
    console, report = make_console(), result.report()
    spec, objective = report.spec, report.objective
    say(console, f"{report.name} is {report.status}{_why(report)}")
    if report.message:
        say(console, report.message)
    limit = f" of {format_duration(spec.time)}" if spec.time else ""
    left = "" if report.status in ("finished", "failed") else _left(result)
    outlook = _outlook(report)
    for key, value in {
        "space": f"{spec.space}, task {spec.task}",
        "strategy": f"{spec.strategy}, scheduler {spec.scheduler}, seed {spec.seed}",
        **({"limits": ", ".join(spec.constraints)} if spec.constraints else {}),
        **({"default": f"left out: {report.left_out}"} if report.left_out else {}),
        **({"stages": stages} if (stages := _stages(report)) else {}),
        "trials": _counts(report),
        **({"refused": refused} if (refused := _refused(report)) else {}),
        "time": f"{format_duration(report.elapsed_seconds)}{limit}, in {counted(report.sessions, 'session')}",
        **({"left": left} if left else {}),
        objective.metric: f"{standing(result.history)} ({objective.words})",
        **({"more time": outlook} if outlook else {}),
        "folder": near(report.folder),
        **({"MLflow": trouble} if (trouble := report.tracking_problem) else {}),
        "next": _go_on(report),
    }.items():
        say(console, f"  {key:<{max(9, len(objective.metric))}} {value}")


def _outlook(report: SearchReport) -> str:
    """What the latest trials have gained, and what more would."""
    return outlook_text(report.gain, None if report.best is None else report.best.value, report.objective)


def _left(result: SearchResult) -> str:
    """What is left of the limits; of a search that runs as of now."""
    last = result.history.sessions[-1].last_event_at if result.history.sessions else 0.0
    return Pace.of(result.history).time_left_text(time.time() if result.status == "running" else last)


def print_list(found: Sequence[SearchReport]) -> None:
    """All searches, one a row."""
    console = make_console()
    if not found:
        say(console, "no searches here yet; start one: raynas search resnet")
        return
    columns = ("name", "status", "space", "strategy", "ended", "best", "default", "time", "started")
    table = make_table(*columns, numbers=("ended",))
    for report in found:
        best, default = report.best, report.default
        table.add_row(
            report.name,
            report.status,
            escape(near(Path(report.spec.space))),
            report.spec.strategy,
            f"{len(report.ended)}/{report.planned or report.counts.total}",
            "–" if best is None else f"{shown(best.value)} {report.objective.metric}",
            "–" if default is None else shown(default.value),
            format_duration(report.elapsed_seconds),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(report.started_at)),
        )
    console.print(table)


def print_best(report: SearchReport, count: int) -> None:
    """The best architectures, and the first of them hole by hole."""
    console = make_console()
    if report.best is None:
        say(console, f"no trial of {report.name} has been measured yet; next: raynas status {report.name}")
        return
    _print_found(console, report, count)


def _print_found(console: Console, report: SearchReport, count: int) -> None:
    """The best trials, the finalists, the best one hole by hole, and what is recommended."""
    from raynas.cli.render import winner

    assert report.best is not None
    say(console, f"the best by {report.objective}:")
    console.print(_best_table(report, count))
    console.print()
    winner.print_finalists(console, report)
    _hole_by_hole(console, report, report.best)
    winner.print_recommendation(console, report)


def print_spaces(entries: list[dict[str, Any]]) -> None:
    """The installed spaces."""
    console = make_console()
    table = make_table("name", "holes", "size", "description", numbers=("holes",))
    for entry in entries:
        table.add_row(entry["name"], str(entry["holes"]), _size(entry), escape(entry["description"]))
    console.print(table)
    console.print()
    say(console, "next: raynas describe NAME; raynas search NAME (your own: path/to/file.py:name)")


def print_description(document: dict[str, Any]) -> None:
    """A space: holes, size, default and sample."""
    console = make_console()
    shapes = document["input_shape"]
    named = shapes.items() if isinstance(shapes, dict) else [("", shapes)]
    words = ", ".join(f"{name} {'x'.join(map(str, shape))}".lstrip() for name, shape in named)
    say(console, f"{document['space']} for task {document['task']} (inputs {words})")
    say(console, f"{_size(document)}, {counted(len(document['holes']), 'hole')}")
    console.print()
    table = make_table("hole", "kind", "values", "default", "sample")
    for hole in document["holes"]:
        fillings = [document[name]["architecture"].get(hole["path"], "–") for name in ("default", "sample")]
        table.add_row(escape(hole["path"]), hole["kind"], escape(_domain(hole)), *(escape(brief(v)) for v in fillings))
    console.print(table)
    console.print()
    for name in ("default", "sample"):
        entry = document[name]
        say(console, f"{name + ':':<9}{entry['parameters']:,} parameters, {big(entry['flops'])} FLOPs")
    console.print()
    say(console, "FLOPs are 2 x multiply-adds for one input; a dash is a hole that is not active.")


def _size(entry: dict[str, Any]) -> str:
    """How large a space is; where only the recipe makes it infinite, its networks are what one wants to know."""
    size, bare = entry["size"], entry["size_without_recipe"]
    if size == "inf" and bare != "inf":
        return f"{format_size(bare, entry['size_exact'])} networks, recipes without end"
    return f"{format_size(size, entry['size_exact'])} architectures"


def _domain(hole: dict[str, Any]) -> str:
    if hole["options"] is not None:
        return ", ".join(str(option) for option in hole["options"])
    return f"{hole['low']} … {hole['high']}" + (" (log)" if hole["log"] else "")


def _best_table(report: SearchReport, count: int) -> Table:
    metric, steps = report.objective.metric, f"{report.step_name}s"
    table = make_table("", "trial", metric, steps, "time", "architecture", numbers=("trial", metric, steps, "time"))
    best, default = report.best_and_default(count)
    for place, trial in enumerate(best, start=1):
        table.add_row(str(place), *_cells(trial))
    if default is not None:
        table.add_row("", *_cells(default))
    return table


def _cells(trial: TrialReport) -> list[str]:
    took = brief_duration(trial.seconds)
    return [str(trial.number), shown(trial.value), steps_text(trial), took, escape(trial.title)]


def _hole_by_hole(console: Console, report: SearchReport, best: TrialReport) -> None:
    """The best architecture hole by hole, with the default's value where it differs."""
    values = best.architecture
    beside = report.default.architecture if report.default is not None else {}
    say(console, f"trial {best.number} (network {best.network_id}):")
    width = max(len(path) for path in values)
    for path, value in values.items():
        was = f"   (default: {brief(beside[path])})" if path in beside and beside[path] != value else ""
        say(console, f"  {path:<{width}}  {brief(value)}{was}")
    gone = [path for path in beside if path not in values]
    if gone:
        say(console, f"  of the default's holes these are not there: {', '.join(gone)}")


def _why(report: SearchReport) -> str:
    if report.status == "running" or report.reason in (None, "interrupted"):
        return ""
    if report.all_failed:
        return ": its trials all failed"
    if report.reason == "exhausted" and report.spec.constraints:
        return ": nothing else was found that keeps its constraints"
    return f": {REASONS.get(report.reason, report.reason)}"


def _stages(report: SearchReport) -> str:
    """How far the work before the trials is; empty where there is none."""
    return ", ".join(f"{stage.name} {stage.state} ({stage.steps_done} of {stage.steps})" for stage in report.stages)


def _counts(report: SearchReport) -> str:
    """How many trials ended in which way, and what early stopping saved."""
    trials, limit = report.counts, report.spec.trials
    words = {"completed": trials.completed, "stopped early": trials.stopped, "failed": trials.failed}
    words |= {"running": trials.running, "paused at a rung": trials.paused, "to go on with": trials.unfinished}
    counts = ", ".join(f"{number} {word}" for word, number in words.items() if number)
    searched = trials.total - trials.repeats
    total = f"{searched} of {counted(limit, 'trial')}" if limit else counted(searched, "trial")
    total += f" and {counted(trials.repeats, 'repeat')} of finalists" if trials.repeats else ""
    saved = report.training_saved
    share = f"; early stopping saved {saved:.0%} of the training" if saved > 0 else ""
    return f"{total} ({counts}){share}" if counts else total


def _refused(report: SearchReport) -> str:
    """How much of what was drawn was not proposed, and why; empty where nothing was refused."""
    return "; ".join(filter(None, (_infeasible(report), _unaffordable(report))))


def _infeasible(report: SearchReport) -> str:
    count = report.counts.infeasible
    limits = " and ".join(report.spec.constraints) or "a constraint"
    return f"{counted(count, 'drawn architecture')} broke {limits}, and cost no trial" if count else ""


def _unaffordable(report: SearchReport) -> str:
    from raynas.searchers.admission import FAR_BEYOND

    refused, beyond = report.counts.refused, report.counts.beyond
    if not refused and not beyond:
        return ""
    affordable = report.spec.affordable_flops
    limit = f" (more than {FAR_BEYOND:g} x {format_flops(affordable)})" if affordable is not None else ""
    verb = "was" if refused == 1 else "were"
    line = f"{counted(refused, 'drawn architecture')} {verb} far beyond what a trial can afford{limit}"
    line += f", and {verb} not proposed"
    return f"{line}; {counted(beyond, 'trial')} had to be as far beyond: nothing drawn fitted" if beyond else line


def _take_home(report: SearchReport) -> list[str]:
    """The command for the network to take, where its weights were kept."""
    if not report.spec.keep_best:
        return []
    found = report.recommended
    other = "" if found is None or found.trial is report.best else f" --trial {found.trial.number}"
    return [f"raynas export {report.name}{other} --output {report.name}-model/"]


def _go_on(report: SearchReport) -> str:
    """The command that goes on from here."""
    if report.status == "running":
        return f"raynas status {report.name}"
    if report.reason == "exhausted":
        or_looser = ", or looser constraints" if report.spec.constraints else ""
        return f"a larger space{or_looser}: there is nothing left to try in this one"
    if report.all_failed:
        return f"raynas show {report.name} {report.ended[0]}; once mended: raynas resume {report.name} --take-new-files"
    trials, seconds, counts = report.spec.trials, report.spec.time, report.counts
    more = ""
    if trials and counts.searched >= trials and not counts.open and not report.repeats_left:
        more = f" --trials {2 * trials}"
    if seconds and (report.reason == "time" or report.elapsed_seconds * (2 if more else 1) >= seconds):
        more += f" --time {typed_duration(2 * seconds if report.best is not None else max(120, 4 * seconds))}"
    return f"raynas resume {report.name}{more}"
