"""What a search is made of: space, task, evaluator, searcher, stopping rule; found, made and checked.

Everything that a person can get wrong is found here, before a folder is made or Ray is started.
"""

from __future__ import annotations

import difflib
import os
import random
import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from raynas.engine.folder import SearchFolder, check_name
from raynas.engine.result import SearchResult
from raynas.engine.sources import (
    Source,
    keep_copy,
    known_source,
    make_evaluator,
    make_space,
    make_task,
    source_of,
)
from raynas.engine.spec import DEFAULT_SECONDS, DEFAULT_TRIALS, TIMED_STEPS, completed
from raynas.engine.working_folder import working_folder
from raynas.errors import SpaceError, SpecError, TaskError, UserError
from raynas.journal.finalists import DEFAULT_REPEATS
from raynas.paths import absolute, home_folder
from raynas.registry import SETTING_OF, is_file
from raynas.space import Architecture, Space
from raynas.space.shapes import time_limit
from raynas.tasks.objective import Mode, Objective, mode_of

#: So many random samples are shaped before a search starts: a space whose parts do not fit shows itself here.
_PREFLIGHT_SAMPLES = 20
#: A made-up name is so long at most, before its number.
_NAME_LENGTH = 80


@dataclass(frozen=True)
class Parts:
    """What a search is made of. ``given_evaluator`` is None where the evaluator is training on the task.

    ``store``: the address of MLflow's store, which may hold a password: it is written nowhere; None without MLflow.
    ``decisions``: what the evaluator has decided before the search began (``Evaluator.decide``); None: nothing yet.
    """

    space_source: Source
    task_source: Source
    given_evaluator: Any
    task: Any
    space: Space
    evaluator: Any
    store: str | None = field(default=None, repr=False)
    decisions: dict[str, Any] | None = None


def label(what: Any) -> str | None:
    """How the spec names what was given: its reference (files by their absolute path), or ``<the object's name>``."""
    if isinstance(what, str) and is_file(what):
        path, colon, name = what.rpartition(":")
        return f"{absolute(path)}:{name}" if colon else what
    if what is None or isinstance(what, str):
        return what
    return f"<{getattr(what, 'name', None) or getattr(what, '__name__', None) or type(what).__name__}>"


def task_arguments(spec: dict[str, Any]) -> dict[str, Any]:
    """What the task is made with."""
    return {**({"data": spec["data"]} if spec["data"] else {}), **spec["task_options"]}


def find_parts(
    space_source: Source,
    task_source: Source,
    evaluator: Any,
    arguments: dict[str, Any],
    spec: Mapping[str, Any] = MappingProxyType({}),
) -> Parts:
    """Makes the parts that the sources name (the evaluator given, or training on the task).

    Args:
        arguments: what the task is made with.
        spec: of its fields ``affordable_flops`` and ``batch_size`` count.
    """
    home_folder()  # Ray cannot be imported without one
    task = make_task(task_source, arguments, spec.get("affordable_flops"))
    space = make_space(space_source, task)
    made = make_evaluator(evaluator, task, spec.get("batch_size"))
    return Parts(space_source, task_source, evaluator, task, space, made)


def keep_sources(parts: Parts, folder: SearchFolder, *, anew: bool = False) -> Parts:
    """The parts with sources that are read from copies in the search's folder.

    Args:
        anew: copies that are there already are replaced.
    """
    space = keep_copy(parts.space_source, folder.source, anew=anew)
    task = keep_copy(parts.task_source, folder.source, [space], anew=anew)
    return replace(parts, space_source=space, task_source=task)


def resumed_source(
    group: str, reference: str, given: Any, folder: SearchFolder, beside: Iterable[Source] = ()
) -> Source:
    """The source of a begun search's space or task: what is handed in again, else its reference (a file: its copy)."""
    if given is not None:
        return source_of(group, given, beside)
    if reference.startswith("<"):
        what = SETTING_OF[group]
        raise SpecError(
            f"search {folder.name!r} was begun with the {what} object {reference}, which is not kept; "
            f"hand it in again: raynas.resume({folder.name!r}, {what}=...)"
        )
    if is_file(reference):
        return keep_copy(Source(group, reference), folder.source, beside)
    return source_of(group, reference, beside)


def resolve(asked: dict[str, Any], parts: Parts, home: Path) -> dict[str, Any]:
    """The spec with every open field filled in."""
    spec = dict(asked)
    if hasattr(parts.task, "content") and parts.task is not parts.task_source.obj:
        # A resumed search, and its workers, are to see the same data; an object made already knows its own.
        spec["task_options"] = {**spec["task_options"], "content": parts.task.content}
    spec["metric"] = spec["metric"] or parts.evaluator.objective.metric
    spec["mode"] = spec["mode"] or _direction(parts, spec)
    if spec["trial_time"] is not None and not parts.evaluator.timed:
        raise SpecError(
            f"trial_time is a budget of time, which {type(parts.evaluator).__name__} does not know; give epochs"
        )
    if spec["batch_size"] is not None and not hasattr(parts.evaluator, "recipe"):
        raise SpecError(
            f"batch_size is a setting of training, which {type(parts.evaluator).__name__} does not know; leave it out"
        )
    if spec["precision"] != "auto" and not parts.evaluator.chooses_precision:
        raise SpecError(
            f"precision is a setting of training, and {type(parts.evaluator).__name__} decides it by itself; "
            "leave it out"
        )
    spec["epochs"] = spec["epochs"] or (TIMED_STEPS if spec["trial_time"] else parts.evaluator.default_steps)
    spec["seed"] = secrets.randbelow(2**31) if spec["seed"] is None else spec["seed"]
    if spec["trials"] is None and spec["time"] is None:
        spec["trials"], spec["time"] = DEFAULT_TRIALS, DEFAULT_SECONDS
    settle_finalists(spec)
    strategy = _kept_or_found("raynas.strategies", spec, None, "propose")
    spec["strategy_options"] = {**strategy.options(spec["trials"]), **spec["strategy_options"]}
    rule = make_rule(spec)
    if len(rule.levels) > 1 or spec["grace_period"] is not None:
        spec["grace_period"], spec["reduction_factor"] = rule.grace_period, rule.reduction_factor
    spec["name"] = check_name(spec["name"]) if spec["name"] else free_name(spec["space"], home)
    return spec


def _direction(parts: Parts, spec: dict[str, Any]) -> Mode:
    """Which way the metric is good.

    Raises:
        SpecError: nobody knows it; or no such metric is measured, which is then the likelier mistake.
    """
    try:
        return mode_of(spec["metric"], parts.evaluator.objective, parts.evaluator.directions)
    except SpecError:
        preflight(parts, spec)
        raise


def settle_finalists(spec: dict[str, Any]) -> None:
    """Fills in how often finalists are trained again.

    Raises:
        SpecError: there are repeats of nothing, or the search's last trial never comes.
    """
    finalists, repeats = spec["finalists"], spec["repeats"]
    if not finalists and repeats is not None:
        raise SpecError(f"repeats {repeats} repeats nothing; say of how many networks: --finalists 3")
    if finalists and spec["trials"] is None:
        raise SpecError(
            f"finalists {finalists} are trained after the last trial, and only the time limits this search; "
            "give --trials as well"
        )
    if finalists and repeats is None:
        spec["repeats"] = DEFAULT_REPEATS


def free_name(space: str, home: Path) -> str:
    """A name for a search of ``space`` that nothing in ``home`` has."""
    stem = space.rpartition(":")[2].strip("<>") or "search"
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()  # é is e, and an accent of its own
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:_NAME_LENGTH].rstrip("._-") or "search"
    number = 1
    while os.path.lexists(home / f"{stem}-{number}"):
        number += 1
    return f"{stem}-{number}"


def _kept_or_found(group: str, spec: dict[str, Any], folder: SearchFolder | None, needs: str) -> Any:
    """The class that a spec names; a person's own file is copied into a search's folder, and loaded from there.

    Raises:
        SpecError: it is no class with the method ``needs``.
    """
    which = SETTING_OF[group]
    reference = spec[which]
    kept = None if folder is None else folder.source
    beside = [known_source(spec[other], kept) for other in ("space", "task", "strategy") if other != which]
    if folder is None or not is_file(reference):
        found = source_of(group, reference, beside).get()
    else:
        found = keep_copy(Source(group, reference), folder.source, beside).get()
    if not isinstance(found, type) or not hasattr(found, needs):
        raise SpecError(f"{which} {reference!r} is no {which}: a class with a method {needs!r} is needed (docs/own)")
    return found


def make_searcher(
    spec: dict[str, Any],
    space: Space,
    folder: SearchFolder | None = None,
    cost: Callable[[Architecture], Mapping[str, int]] | None = None,
) -> Any:
    """The strategy, with the options resolved at the search's start.

    Args:
        spec: where it says what a trial can afford (``affordable_flops``), what is far beyond that is not proposed.
        space: the search's.
        folder: the begun search's.
        cost: what is known of an architecture before it is trained (``flops``).
    """
    strategy = _kept_or_found("raynas.strategies", spec, folder, "propose")
    try:
        searcher = strategy(
            space,
            seed=spec["seed"],
            objective=Objective(spec["metric"], spec["mode"]),
            **spec["strategy_options"],
        )
    except TypeError as error:
        raise SpecError(
            f"strategy {spec['strategy']!r} does not take these options {spec['strategy_options']}: {error}"
        ) from None
    affordable = spec.get("affordable_flops")
    if affordable is not None and cost is not None:
        from raynas.searchers.admission import Admission
        from raynas.searchers.searcher import ArchitectureSearcher

        if isinstance(searcher, ArchitectureSearcher):  # any other class with ``propose`` decides by itself
            searcher.admit_only(Admission(affordable, lambda architecture: cost(architecture).get("flops")))
    return searcher


def step_seconds(spec: dict[str, Any]) -> float | None:
    """Seconds of training in a step, where trials have a budget of time; None where a step is an epoch."""
    return None if spec["trial_time"] is None else float(spec["trial_time"] / spec["epochs"])


def make_rule(spec: dict[str, Any], folder: SearchFolder | None = None) -> Any:
    """The scheduler's stopping rule (``folder``: the begun search's)."""
    scheduler = _kept_or_found("raynas.schedulers", spec, folder, "record")
    return scheduler(
        spec["epochs"],
        mode=spec["mode"],
        grace_period=spec["grace_period"],
        reduction_factor=spec["reduction_factor"],
    )


def input_shape(parts: Parts) -> tuple[int, ...] | None:
    """The shape of one sample, where the evaluator trains on a task."""
    return getattr(getattr(parts.evaluator, "task", None), "input_shape", None)


def input_dtype(parts: Parts) -> str | None:
    """The dtype of one sample as torch names it, where the evaluator trains on a task; None: the usual float32.

    Raises:
        TaskError: the task's data is needed for it, and cannot be loaded.
    """
    task = getattr(parts.evaluator, "task", None)
    try:
        return getattr(task, "input_dtype", None)
    except UserError:
        raise
    except Exception as error:
        raise TaskError(
            f"the data of task {getattr(task, 'name', '?')!r} cannot be loaded or prepared: "
            f"{type(error).__name__}: {error} (the working folder is {working_folder()})"
        ) from error


def cost_of(parts: Parts, seconds: float | None) -> Callable[[Architecture], dict[str, int]]:
    """Parameters and FLOPs of a proposal; nothing where the evaluator's task does not say what goes in.

    Args:
        seconds: the limit on building one operation (None: none).
    """
    shape = input_shape(parts)
    dtype = input_dtype(parts)

    def cost(architecture: Architecture) -> dict[str, int]:
        if shape is None:
            return {}
        from raynas import costs

        try:
            with time_limit(seconds):  # a constructor that hangs is the trial's trouble, not the driver's
                total = costs.cost(parts.space.network(architecture), shape, dtype)
        except SpaceError:  # cannot be built: the trial will fail with the reason
            return {}
        return {"params": total.params, "flops": total.flops}

    return cost


def check_shapes(space: Space, input_shape: tuple[int, ...], dtype: str | None = None) -> None:
    """Finds parts of a space that do not fit together, by its default and a few samples; nothing is built.

    Args:
        space: the space.
        input_shape: of one sample, without the batch.
        dtype: of the sample, as torch names it (None: float32).

    Raises:
        SpaceError: that.
    """
    rng = random.Random(0)
    space.check(space.default(), input_shape, dtype)
    for _ in range(_PREFLIGHT_SAMPLES):
        space.check(space.sample(rng), input_shape, dtype)


def preflight(parts: Parts, spec: dict[str, Any]) -> None:
    """Finds what would make trials fail: shapes of a few samples, the metric's name where that is known beforehand.

    The rest is found by one real step on a worker (``raynas.engine.start_check``).

    Raises:
        UserError: that.
    """
    shape = input_shape(parts)
    with time_limit(spec["trial_timeout"]):
        if shape is not None:
            check_shapes(parts.space, shape, input_dtype(parts))
        require_metric(spec, parts.evaluator.preflight(parts.space, parts.space.default()))


def require_metric(spec: dict[str, Any], metrics: Collection[str]) -> None:
    """Raises SpecError where the search's metric is not among those that are measured (none: they are not known)."""
    if metrics and spec["metric"] not in metrics:
        near = difflib.get_close_matches(spec["metric"], metrics, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpecError(f"metric {spec['metric']!r} is not measured; {hint}there are: {', '.join(sorted(metrics))}")


def resumed_parts(result: SearchResult, *, space: Any = None, task: Any = None, evaluator: Any = None) -> Parts:
    """The parts of a begun search, made again from its references; objects have to be handed in again.

    Raises:
        UserError: they cannot be had, or the space is no longer the one that the search was begun with.
    """
    spec, folder = completed(result.spec), SearchFolder(result.folder.parent, result.name)
    space_source = resumed_source("raynas.spaces", spec["space"], space, folder)
    task_source = resumed_source("raynas.tasks", spec["task"], task, folder, [space_source])
    parts = find_parts(space_source, task_source, evaluator, task_arguments(spec), spec)
    require_same_space(result, parts.space)
    return replace(parts, space=parts.space.with_id_rule(result.begun["space"].get("id_rule", 1)))


def require_same_space(result: SearchResult, space: Space) -> None:
    """Raises SpaceError, which shows what changed, where a search was begun with another template."""
    begun_with = result.begun["space"]
    if begun_with["fingerprint"] == space.fingerprint:
        return
    changes = "; ".join(space.differences(begun_with["description"])[:5]) or "its template differs"
    raise SpaceError(
        f"the search space of {result.name!r} has changed since it was begun ({changes}); "
        "restore it, or start a new search with another name"
    )
