"""What a person reads of a search: tables and a few lines, with the next command named."""

from __future__ import annotations

import time
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
from raynas.journal.finalists import next_repeat
from raynas.report.wording import big, brief, counted, format_flops, format_size, near, shown

if TYPE_CHECKING:
    from raynas.journal import TrialRecord
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


def print_outcome(result: SearchResult) -> None:
    """What a search found, at a session's end."""
    from raynas.cli.render import winner

    console = make_console()
    console.print()
    say(console, f"{result.name} is {result.status}{_why(result)}; {_counts(result)}")
    if result.message:
        say(console, result.message)
    if refused := _refused(result):
        say(console, refused)
    if result.best is not None:
        console.print()
        say(console, f"the best by {result.objective}:")
        console.print(_best_table(result, 5))
        console.print()
        winner.print_finalists(console, result)
        _hole_by_hole(console, result, result.best)
        winner.print_recommendation(console, result)
    console.print()
    if outlook := outlook_text(result.history):
        say(console, outlook)
    say(console, f"results: {near(result.folder)}")
    if result.best is not None:
        for place, command in enumerate([*_take_home(result), _go_on(result)]):
            say(console, f"{'' if place else 'next:':<9}{command}")
        if result.spec.mlflow:
            say(console, f"         raynas ui {result.name}")
    else:
        if result.reason == "time" and result.history.nothing_measured:
            say(console, "no trial was measured in that time; here a first epoch takes longer")
        elif result.reason == "time":
            say(console, "no trial reached a rung or its end in that time; resumed, they go on from there")
        say(console, f"next:    {_go_on(result)}")
    failed = [record.number for record in result.history.trials.values() if record.state == "failed"]
    if failed:
        say(console, f"failed:  raynas show {result.name} {failed[0]}   (why trial {failed[0]} failed)")
    if result.tracking_message:
        say(console, f"MLflow:  {result.tracking_message}")
    if (training := finalist_training(result)) is not None:
        say(console, f"to be sure of the winner, {training.words}:")
        say(console, f"         {training.command}")


def print_status(result: SearchResult) -> None:
    """How a search stands."""
    console, history, spec = make_console(), result.history, result.spec
    say(console, f"{result.name} is {result.status}{_why(result)}")
    if result.message:
        say(console, result.message)
    limit = f" of {format_duration(spec.time)}" if spec.time else ""
    left = "" if result.status in ("finished", "failed") else _left(result)
    outlook = outlook_text(history)
    for key, value in {
        "space": f"{spec.space}, task {spec.task}",
        "strategy": f"{spec.strategy}, scheduler {spec.scheduler}, seed {spec.seed}",
        "trials": _counts(result),
        **({"refused": refused} if (refused := _refused(result)) else {}),
        "time": f"{format_duration(history.elapsed_seconds)}{limit}, in {counted(len(history.sessions), 'session')}",
        **({"left": left} if left else {}),
        result.objective.metric: f"{standing(history)} ({result.objective.words})",
        **({"more time": outlook} if outlook else {}),
        "folder": near(result.folder),
        **({"MLflow": trouble} if (trouble := result.tracking_problem) else {}),
        "next": _go_on(result),
    }.items():
        say(console, f"  {key:<{max(9, len(result.objective.metric))}} {value}")


def _left(result: SearchResult) -> str:
    """What is left of the limits; of a search that runs as of now."""
    last = result.history.sessions[-1].last_event_at if result.history.sessions else 0.0
    return Pace.of(result.history).time_left_text(time.time() if result.status == "running" else last)


def print_list(found: list[SearchResult]) -> None:
    """All searches, one a row."""
    from raynas.results.search_view import planned_trials

    console = make_console()
    if not found:
        say(console, "no searches here yet; start one: raynas search resnet")
        return
    columns = ("name", "status", "space", "strategy", "ended", "best", "default", "time", "started")
    table = make_table(*columns, numbers=("ended",))
    for result in found:
        history, best, default = result.history, result.best, result.default
        assert history.search is not None
        spec = result.spec
        planned = planned_trials(spec.trials, spec.finalists, spec.repeats)
        table.add_row(
            result.name,
            result.status,
            escape(near(Path(spec.space))),
            spec.strategy,
            f"{len(history.ended)}/{planned or len(history.trials)}",
            "–" if best is None else f"{shown(history.value(best))} {result.objective.metric}",
            "–" if default is None else shown(history.value(default)),
            format_duration(history.elapsed_seconds),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(history.search["time"])),
        )
    console.print(table)


def print_best(result: SearchResult, count: int) -> None:
    """The best architectures, and the first of them hole by hole."""
    from raynas.cli.render import winner

    console = make_console()
    if result.best is None:
        say(console, f"no trial of {result.name} has been measured yet; next: raynas status {result.name}")
        return
    say(console, f"the best by {result.objective}:")
    console.print(_best_table(result, count))
    console.print()
    winner.print_finalists(console, result)
    _hole_by_hole(console, result, result.best)
    winner.print_recommendation(console, result)


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


def _best_table(result: SearchResult, count: int) -> Table:
    metric = result.objective.metric
    steps = f"{result.history.step_name}s"
    table = make_table("", "trial", metric, steps, "time", "architecture", numbers=("trial", metric, steps, "time"))
    rows = result.best_trials(count)
    for place, record in enumerate(rows, start=1):
        table.add_row(str(place), *_cells(result, record))
    if result.default is not None and result.default not in rows:
        table.add_row("", *_cells(result, result.default))
    return table


def _cells(result: SearchResult, record: TrialRecord) -> list[str]:
    from raynas.results.tables import steps_of

    value, took = shown(result.history.value(record)), brief_duration(record.seconds)
    return [str(record.number), value, steps_of(record), took, escape(record.title)]


def _hole_by_hole(console: Console, result: SearchResult, best: TrialRecord) -> None:
    """The best architecture hole by hole, with the default's value where it differs."""
    values = best.values
    beside = result.default.values if result.default is not None else {}
    say(console, f"trial {best.number} (network {best.network_id}):")
    width = max(len(path) for path in values)
    for path, value in values.items():
        was = f"   (default: {brief(beside[path])})" if path in beside and beside[path] != value else ""
        say(console, f"  {path:<{width}}  {brief(value)}{was}")
    gone = [path for path in beside if path not in values]
    if gone:
        say(console, f"  of the default's holes these are not there: {', '.join(gone)}")


def _why(result: SearchResult) -> str:
    if result.status == "running" or result.reason in (None, "interrupted"):
        return ""
    if result.history.all_failed:
        return ": its trials all failed"
    return f": {REASONS.get(result.reason, result.reason)}"


def _counts(result: SearchResult) -> str:
    """How many trials ended in which way, and what early stopping saved."""
    trials = result.summary()["trials"]
    words = {"completed": "completed", "stopped": "stopped early", "failed": "failed", "running": "running"}
    words |= {"paused": "paused at a rung", "unfinished": "to go on with"}
    counts = ", ".join(f"{trials[key]} {word}" for key, word in words.items() if trials[key])
    searched = trials["total"] - trials["repeats"]
    total = f"{searched} of {counted(trials['limit'], 'trial')}" if trials["limit"] else counted(searched, "trial")
    total += f" and {counted(trials['repeats'], 'repeat')} of finalists" if trials["repeats"] else ""
    saved = result.saved_share
    share = f"; early stopping saved {saved:.0%} of the training" if saved > 0 else ""
    return f"{total} ({counts}){share}" if counts else total


def _refused(result: SearchResult) -> str:
    """How much of what was drawn is far beyond what a trial can afford; empty where nothing was."""
    from raynas.searchers.admission import FAR_BEYOND

    refused, beyond = result.history.refused, result.history.beyond
    if not refused and not beyond:
        return ""
    affordable = result.spec.affordable_flops
    limit = f" (more than {FAR_BEYOND:g} x {format_flops(affordable)})" if affordable is not None else ""
    verb = "was" if refused == 1 else "were"
    line = f"{counted(refused, 'drawn architecture')} {verb} far beyond what a trial can afford{limit}"
    line += f", and {verb} not proposed"
    return f"{line}; {counted(beyond, 'trial')} had to be as far beyond: nothing drawn fitted" if beyond else line


def _take_home(result: SearchResult) -> list[str]:
    """The commands for a network whose weights were kept."""
    return [f"raynas export {result.name} --output {result.name}-model/"] if result.spec.keep_best else []


def _go_on(result: SearchResult) -> str:
    """The command that goes on from here."""
    if result.status == "running":
        return f"raynas status {result.name}"
    if result.reason == "exhausted":
        return "a larger space: there is nothing left to try in this one"
    history, spec = result.history, result.spec
    if history.all_failed:
        first = next(iter(history.ended))
        return f"raynas show {result.name} {first}; once mended: raynas resume {result.name} --take-new-files"
    trials, seconds = spec.trials, spec.time
    more = ""
    repeats_left = next_repeat(history, spec.finalists or 0, spec.repeats or 0) is not None
    if trials and history.searched >= trials and not history.running and not repeats_left:
        more = f" --trials {2 * trials}"
    if seconds and (result.reason == "time" or history.elapsed_seconds * (2 if more else 1) >= seconds):
        more += f" --time {typed_duration(2 * seconds if result.best is not None else max(120, 4 * seconds))}"
    return f"raynas resume {result.name}{more}"
