"""What a person reads of a search: tables and a few lines, with the next command named."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raynas.cli.progress import shown, standing
from raynas.durations import format_duration

if TYPE_CHECKING:
    from raynas.engine.plan import Plan
    from raynas.engine.result import SearchResult
    from raynas.journal import TrialRecord

#: What a session's end is called.
REASONS = {
    "trials": "all its trials are made",
    "time": "its time is used up",
    "exhausted": "every architecture of the space was tried",
    "interrupted": "interrupted",
    "disk_full": "the disk is full",
    "all_failed": "its first trials all failed",
    "error": "an error ended it",
}


def _console() -> Console:
    """Standard output; a pipe or a file gets room enough that no figure is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _line(console: Console, text: str) -> None:
    """One line as it is: a path or a command must not be wrapped or styled."""
    console.print(text, markup=False, soft_wrap=True)


def near(path: Path) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_outcome(result: SearchResult) -> None:
    """What a search found, at a session's end."""
    from raynas.cli import winner

    console = _console()
    console.print()
    _line(console, f"{result.name} is {result.status}{_why(result)}; {_counts(result)}")
    if result.message:
        _line(console, result.message)
    if result.best is not None:
        console.print()
        console.print(_best_table(result, 5))
        console.print()
        winner.print_finalists(console, result)
        _hole_by_hole(console, result, result.best)
        winner.print_recommendation(console, result)
    console.print()
    _line(console, f"results: {near(result.folder)}")
    if result.best is not None:
        for place, command in enumerate([*_take_home(result), _go_on(result)]):
            _line(console, f"{'' if place else 'next:':<9}{command}")
        if result.spec.get("mlflow"):
            _line(console, f"         raynas ui {result.name}")
    else:
        if result.reason == "time":
            _line(console, "no trial was measured in that time; here a first epoch takes longer")
        _line(console, f"next:    {_go_on(result)}")
    failed = [record.number for record in result.history.trials.values() if record.state == "failed"]
    if failed:
        _line(console, f"failed:  raynas show {result.name} {failed[0]}   (why trial {failed[0]} failed)")
    if result.tracking_message:
        _line(console, f"MLflow:  {result.tracking_message}")


def print_plan(plan: Plan) -> None:
    """What a search would do (``--dry-run``)."""
    console, spec = _console(), plan.spec
    _line(console, f"raynas search {spec['space']} would do this (nothing was written, Ray was not started)")
    for key, value in spec.items():
        if value is not None and value != {}:
            _line(console, f"  {key:<18} {value}")
    console.print()
    size = "infinitely many" if plan.size == math.inf else size_words(str(plan.size))
    _line(console, f"architectures: {size}; one of them:")
    for line in plan.sample_text.splitlines():
        _line(console, f"  {line}")
    console.print()
    step = "step" if spec["trial_time"] else "epoch"
    takes = "of training takes" if spec["trial_time"] else "takes about"
    steps = f"{plan.steps_per_trial:.1f} of {spec['epochs']} {step}s"
    takes = f"one {step} {takes} {plan.step_seconds:.2f} s here"
    _line(console, f"{takes}; a trial has about {steps} before it is stopped")
    if plan.trials is None or plan.seconds is None:
        _line(console, "there is no limit on trials or time: it would run until it is stopped")
        return
    by = {"trials": "the limit on trials", "time": "the limit on time", "size": "the size of the space"}[plan.limit]
    at_once = f"{plan.workers} trials at the same time" if plan.workers > 1 else "one trial at a time"
    again = f" and {plan.repeats} repeats of finalists" if plan.repeats else ""
    _line(
        console,
        f"with {at_once}: about {plan.trials} trials{again} in {format_duration(plan.seconds)} ({by} ends it)",
    )


def print_status(result: SearchResult) -> None:
    """How a search stands."""
    console, history, spec = _console(), result.history, result.spec
    _line(console, f"{result.name} is {result.status}{_why(result)}")
    if result.message:
        _line(console, result.message)
    limit = f" of {format_duration(spec['time'])}" if spec.get("time") else ""
    for key, value in {
        "space": f"{spec['space']}, task {spec['task']}",
        "strategy": f"{spec['strategy']}, scheduler {spec['scheduler']}, seed {spec['seed']}",
        "trials": _counts(result),
        "time": f"{format_duration(history.elapsed_seconds)}{limit}, in {len(history.sessions)} session(s)",
        result.objective.metric: standing(history),
        "folder": near(result.folder),
        "next": _go_on(result),
    }.items():
        _line(console, f"  {key:<{max(9, len(result.objective.metric))}} {value}")


def print_list(found: list[SearchResult]) -> None:
    """All searches, one a row."""
    from raynas.engine.result import planned_trials

    console = _console()
    if not found:
        _line(console, "no searches here yet; start one: raynas search resnet")
        return
    columns = ("name", "status", "space", "strategy", "ended", "best", "default", "time", "started")
    table = _table(*columns, numbers=("ended",))
    for result in found:
        history, best, default = result.history, result.best, result.default
        assert history.search is not None
        table.add_row(
            result.name,
            result.status,
            escape(near(Path(result.spec["space"]))),
            result.spec["strategy"],
            f"{len(history.ended)}/{planned_trials(result.spec) or len(history.trials)}",
            "–" if best is None else f"{shown(history.value(best))} {result.objective.metric}",
            "–" if default is None else shown(history.value(default)),
            format_duration(history.elapsed_seconds),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(history.search["time"])),
        )
    console.print(table)


def print_best(result: SearchResult, count: int) -> None:
    """The best architectures, and the first of them hole by hole."""
    from raynas.cli import winner

    console = _console()
    if result.best is None:
        _line(console, f"no trial of {result.name} has been measured yet; next: raynas status {result.name}")
        return
    console.print(_best_table(result, count))
    console.print()
    winner.print_finalists(console, result)
    _hole_by_hole(console, result, result.best)
    winner.print_recommendation(console, result)


def print_spaces(entries: list[dict[str, Any]]) -> None:
    """The installed spaces."""
    console = _console()
    table = _table("name", "holes", "size", "description", numbers=("holes",))
    for entry in entries:
        table.add_row(entry["name"], str(entry["holes"]), _size(entry), escape(entry["description"]))
    console.print(table)
    console.print()
    _line(console, "next: raynas describe NAME; raynas search NAME (your own: path/to/file.py:name)")


def print_description(document: dict[str, Any]) -> None:
    """A space: holes, size, default and sample."""
    console = _console()
    shape = "x".join(str(length) for length in document["input_shape"])
    _line(console, f"{document['space']} for task {document['task']} (inputs {shape})")
    _line(console, f"{_size(document)}, {len(document['holes'])} holes")
    console.print()
    table = _table("hole", "kind", "values", "default", "sample")
    for hole in document["holes"]:
        fillings = [document[name]["architecture"].get(hole["path"], "–") for name in ("default", "sample")]
        table.add_row(escape(hole["path"]), hole["kind"], escape(_domain(hole)), *(escape(brief(v)) for v in fillings))
    console.print(table)
    console.print()
    for name in ("default", "sample"):
        entry = document[name]
        _line(console, f"{name + ':':<9}{entry['parameters']:,} parameters, {big(entry['flops'])} FLOPs")
    console.print()
    _line(console, "FLOPs are 2 x multiply-adds for one input; a dash is a hole that is not active.")


def big(number: int) -> str:
    """A count for a reader: ``999``, ``12.3k``, ``4.56M``."""
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def brief(value: Any) -> str:
    """A hole's value for a table: floats in four digits."""
    text = str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > 8 else text


def size_words(size: str) -> str:
    """A space's size for a reader: ``15,625``, ``about 3.1e15``, ``infinitely many``."""
    if size == "inf":
        return "infinitely many"
    return f"{int(size):,}" if len(size) <= 9 else f"about {size[0]}.{size[1]}e{len(size) - 1}"


def _size(entry: dict[str, Any]) -> str:
    """How large a space is; where only the recipe makes it infinite, its networks are what one wants to know."""
    size, bare = entry["size"], entry["size_without_recipe"]
    if size == "inf" and bare != "inf":
        return f"{size_words(bare)} networks, recipes without end"
    return f"{size_words(size)} architectures"


def _domain(hole: dict[str, Any]) -> str:
    if hole["options"] is not None:
        return ", ".join(str(option) for option in hole["options"])
    return f"{hole['low']} … {hole['high']}" + (" (log)" if hole["log"] else "")


def _best_table(result: SearchResult, count: int) -> Table:
    metric = result.objective.metric
    steps = f"{result.history.step_name}s"
    table = _table("", "trial", metric, steps, "time", "architecture", numbers=("trial", metric, steps, "time"))
    rows = result.best_trials(count)
    for place, record in enumerate(rows, start=1):
        table.add_row(str(place), *_cells(result, record))
    if result.default is not None and result.default not in rows:
        table.add_row("", *_cells(result, result.default))
    return table


def _cells(result: SearchResult, record: TrialRecord) -> list[str]:
    value = shown(result.history.value(record))
    seconds = f"{record.seconds:.1f}s" if record.seconds < 10 else format_duration(record.seconds)
    return [str(record.number), value, steps_of(record), seconds, escape(record.title)]


def steps_of(record: TrialRecord) -> str:
    """The steps at which a trial's value was measured and, where it was trained on since, how many it had."""
    at = record.score[0] if record.score else record.steps
    return str(at) if at == record.steps else f"{at} (of {record.steps})"


def _hole_by_hole(console: Console, result: SearchResult, best: TrialRecord) -> None:
    """The best architecture hole by hole, with the default's value where it differs."""
    values = best.values
    beside = result.default.values if result.default is not None else {}
    _line(console, f"trial {best.number} (network {best.network_id}):")
    width = max(len(path) for path in values)
    for path, value in values.items():
        was = f"   (default: {brief(beside[path])})" if path in beside and beside[path] != value else ""
        _line(console, f"  {path:<{width}}  {brief(value)}{was}")
    gone = [path for path in beside if path not in values]
    if gone:
        _line(console, f"  of the default's holes these are not there: {', '.join(gone)}")


def _why(result: SearchResult) -> str:
    if result.status == "running" or result.reason in (None, "interrupted"):
        return ""
    return f": {REASONS.get(result.reason, result.reason)}"


def _counts(result: SearchResult) -> str:
    """How many trials ended in which way, and what early stopping saved."""
    trials = result.summary()["trials"]
    words = {"completed": "completed", "stopped": "stopped early", "failed": "failed", "running": "running"}
    words |= {"paused": "paused at a rung", "unfinished": "to go on with"}
    counts = ", ".join(f"{trials[key]} {word}" for key, word in words.items() if trials[key])
    searched = trials["total"] - trials["repeats"]
    total = f"{searched} of {trials['limit']} trials" if trials["limit"] else f"{searched} trials"
    total += f" and {trials['repeats']} repeats of finalists" if trials["repeats"] else ""
    saved = result.saved_share
    share = f"; early stopping saved {saved:.0%} of the training" if saved > 0 else ""
    return f"{total} ({counts}){share}" if counts else total


def _take_home(result: SearchResult) -> list[str]:
    """The commands for a network whose weights were kept."""
    return [f"raynas export {result.name} --output {result.name}-model/"] if result.spec.get("keep_best") else []


def _go_on(result: SearchResult) -> str:
    """The command that goes on from here."""
    if result.status == "running":
        return f"raynas status {result.name}"
    if result.reason == "exhausted":
        return "a larger space: there is nothing left to try in this one"
    history, spec = result.history, result.spec
    trials, seconds = spec.get("trials"), spec.get("time")
    more = ""
    if trials and history.searched >= trials and not history.running:
        more = f" --trials {2 * trials}"
    if seconds and (result.reason == "time" or history.elapsed_seconds * (2 if more else 1) >= seconds):
        more += f" --time {_typed(2 * seconds if result.best is not None else max(120, 4 * seconds))}"
    return f"raynas resume {result.name}{more}"


def _typed(seconds: float) -> str:
    """Seconds as one types them: ``10m``, ``90s``."""
    whole = round(seconds)
    if whole % 3_600 == 0:
        return f"{whole // 3_600}h"
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"
