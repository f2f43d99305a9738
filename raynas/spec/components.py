"""What a search is made of: space, task, evaluator, searcher, stopping rule; found, made and checked.

Everything that a person can get wrong is found here, before a folder is made or Ray is started.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from raynas.errors import EvaluatorError, SpecError, TaskError, UserError
from raynas.evaluators.evaluator import Evaluator
from raynas.journal.finalists import DEFAULT_REPEATS
from raynas.objectives.objective import Mode, mode_of
from raynas.paths import absolute, home_folder
from raynas.registry import SETTING_OF, is_file
from raynas.schedulers.rungs import StoppingRule
from raynas.searchers.admission import Admission
from raynas.searchers.proposal import Proposer
from raynas.space import Space
from raynas.space.network.shapes import time_limit
from raynas.spec.references import (
    TRAINING,
    Source,
    keep_copy,
    known_source,
    make_evaluator,
    make_space,
    make_task,
    source_of,
)
from raynas.spec.settings import DEFAULT_SECONDS, DEFAULT_TRIALS, TIMED_STEPS, ResolvedSpec, SearchSpec
from raynas.storage.search_folder import SearchFolder, check_name
from raynas.storage.working_folder import working_folder
from raynas.suggestions import did_you_mean
from raynas.tasks.task import Task

#: So many random samples are shaped before a search starts: a space whose parts do not fit shows itself here.
_PREFLIGHT_SAMPLES = 20
#: A made-up name is so long at most, before its number.
_NAME_LENGTH = 80


S = TypeVar("S", bound=SearchSpec)


@dataclass(frozen=True)
class Components:
    """What a search is made of.

    ``store``: the address of MLflow's store, which may hold a password: it is written nowhere; None without MLflow.
    ``decisions``: what the evaluator has decided before the search began (``Evaluator.decide``); None: nothing yet.
    """

    space_source: Source
    task_source: Source
    evaluator_source: Source
    task: Task
    space: Space
    evaluator: Evaluator
    store: str | None = field(default=None, repr=False)
    decisions: dict[str, Any] | None = None

    @property
    def trains(self) -> bool:
        """Whether networks are measured by RayNAS's own training, on the task."""
        return self.evaluator_source.reference == TRAINING

    @property
    def measured_task(self) -> Task:
        """The task whose data is measured on: the evaluator's, where it has one of its own."""
        return self.evaluator.task or self.task


def label(what: object) -> str | None:
    """How the spec names what was given: its reference (files by their absolute path), or ``<the object's name>``."""
    if isinstance(what, str) and is_file(what):
        path, colon, name = what.rpartition(":")
        return f"{absolute(path)}:{name}" if colon else what
    if what is None or isinstance(what, str):
        return what
    return f"<{getattr(what, 'name', None) or getattr(what, '__name__', None) or type(what).__name__}>"


def task_arguments(spec: SearchSpec) -> dict[str, Any]:
    """What the task is made with."""
    return {**({"data": spec.data} if spec.data else {}), **spec.task_options}


def find_components(
    space_source: Source,
    task_source: Source,
    evaluator_source: Source,
    spec: SearchSpec,
) -> Components:
    """Makes the components that the sources name.

    Args:
        spec: of its settings those of the task, ``affordable_flops`` and ``batch_size`` count.
    """
    home_folder()  # Ray cannot be imported without one
    task = make_task(task_source, task_arguments(spec), spec.affordable_flops)
    space = make_space(space_source, task)
    evaluator = make_evaluator(evaluator_source, task, spec.batch_size)
    return Components(space_source, task_source, evaluator_source, task, space, evaluator)


def keep_sources(components: Components, folder: SearchFolder, *, anew: bool = False) -> Components:
    """The components with sources that are read from copies in the search's folder.

    Args:
        anew: copies that are there already are replaced.
    """
    space = keep_copy(components.space_source, folder.source, anew=anew)
    task = keep_copy(components.task_source, folder.source, [space], anew=anew)
    evaluator = keep_copy(components.evaluator_source, folder.source, [space, task], anew=anew)
    return replace(components, space_source=space, task_source=task, evaluator_source=evaluator)


def resolve(asked: SearchSpec, components: Components, home: Path) -> ResolvedSpec:
    """The spec with every open field filled in."""
    evaluator, task_options = components.evaluator, asked.task_options
    if hasattr(components.task, "content") and components.task is not components.task_source.obj:
        # A resumed search, and its workers, are to see the same data; an object made already knows its own.
        task_options = {**task_options, "content": components.task.content}
    metric = asked.metric or evaluator.objective.metric
    mode = asked.mode or _direction(components, metric, asked)
    if asked.trial_time is not None and not evaluator.timed:
        raise SpecError(f"trial_time is a budget of time, which {evaluator.title} does not know; give epochs")
    if asked.batch_size is not None and not hasattr(evaluator, "recipe"):
        raise SpecError(f"batch_size is a setting of training, which {evaluator.title} does not know; leave it out")
    if asked.precision != "auto" and not evaluator.chooses_precision:
        raise SpecError(f"precision is a setting of training, and {evaluator.title} decides it by itself; leave it out")
    asked = settled_finalists(
        replace(
            with_limits(asked),
            task_options=task_options,
            metric=metric,
            mode=mode,
            epochs=asked.epochs or (TIMED_STEPS if asked.trial_time else evaluator.default_steps),
            seed=secrets.randbelow(2**31) if asked.seed is None else asked.seed,
        )
    )
    strategy = _class_named("raynas.strategies", asked, None, "propose")
    options = {**strategy.options(asked.trials), **asked.strategy_options}
    rule = make_rule(asked)
    if len(rule.levels) > 1 or asked.grace_period is not None:
        asked = replace(asked, grace_period=rule.grace_period, reduction_factor=rule.reduction_factor)
    name = check_name(asked.name) if asked.name else free_name(asked.space, home)
    return ResolvedSpec(**{**asked.to_json(), "strategy_options": options, "name": name})


def _direction(components: Components, metric: str, spec: SearchSpec) -> Mode:
    """Which way the metric is good.

    Raises:
        SpecError: nobody knows it; or no such metric is measured, which is then the likelier mistake.
    """
    try:
        return mode_of(metric, components.evaluator.objective, components.evaluator.directions)
    except SpecError:
        preflight(components, replace(spec, metric=metric))
        raise


def with_limits(spec: S) -> S:
    """The spec with the usual limits on trials and time, where it has neither."""
    if spec.trials is not None or spec.time is not None:
        return spec
    return replace(spec, trials=DEFAULT_TRIALS, time=DEFAULT_SECONDS)


def settled_finalists(spec: S) -> S:
    """The spec with how often finalists are trained again.

    Raises:
        SpecError: there are repeats of nothing, or the search's last trial never comes.
    """
    finalists, repeats = spec.finalists, spec.repeats
    if not finalists and repeats is not None:
        raise SpecError(f"repeats {repeats} repeats nothing; say of how many networks: --finalists 3")
    if finalists and spec.trials is None:
        raise SpecError(
            f"finalists {finalists} are trained after the last trial, and only the time limits this search; "
            "give --trials as well"
        )
    return replace(spec, repeats=DEFAULT_REPEATS) if finalists and repeats is None else spec


def free_name(space: str, home: Path) -> str:
    """A name for a search of ``space`` that nothing in ``home`` has."""
    stem = space.rpartition(":")[2].strip("<>") or "search"
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()  # é is e, and an accent of its own
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:_NAME_LENGTH].rstrip("._-") or "search"
    number = 1
    while os.path.lexists(home / f"{stem}-{number}"):
        number += 1
    return f"{stem}-{number}"


def object_named(group: str, reference: str, spec: SearchSpec, folder: SearchFolder | None) -> Any:
    """What a reference of a spec names; a person's own file is copied into a search's folder, and loaded from there.

    Raises:
        UserError: nothing has that name.
    """
    kept = None if folder is None else folder.source
    others = [spec[other] for other in ("space", "task", "evaluator", "strategy")]
    beside = [known_source(other, kept) for other in others if other != reference]
    if folder is None or not is_file(reference):
        return source_of(group, reference, beside).get()
    return keep_copy(Source(group, reference), folder.source, beside).get()


def _class_named(group: str, spec: SearchSpec, folder: SearchFolder | None, needs: str) -> Any:
    """The class that a spec names as one of its components.

    Raises:
        SpecError: it is no class with the method ``needs``.
    """
    which = SETTING_OF[group]
    reference = spec[which]
    found = object_named(group, reference, spec, folder)
    if not isinstance(found, type) or not hasattr(found, needs):
        raise SpecError(f"{which} {reference!r} is no {which}: a class with a method {needs!r} is needed (docs/own)")
    return found


def make_searcher(
    spec: ResolvedSpec,
    space: Space,
    folder: SearchFolder | None = None,
    admission: Admission | None = None,
) -> Proposer:
    """The strategy, with the options resolved at the search's start.

    Args:
        spec: the search's settings.
        space: the search's.
        folder: the begun search's.
        admission: what it refuses is not proposed (None: nothing is refused).
    """
    strategy = _class_named("raynas.strategies", spec, folder, "propose")
    try:
        searcher: Proposer = strategy(
            space,
            seed=spec.seed,
            objective=spec.objectives.first,
            **spec.strategy_options,
        )
    except TypeError as error:
        raise SpecError(
            f"strategy {spec.strategy!r} does not take these options {spec.strategy_options}: {error}"
        ) from None
    if admission is not None:
        from raynas.searchers.searcher import ArchitectureSearcher

        if isinstance(searcher, ArchitectureSearcher):  # any other class with ``propose`` decides by itself
            searcher.admit_only(admission)
    return searcher


def step_seconds(spec: ResolvedSpec) -> float | None:
    """Seconds of training in a step, where trials have a budget of time; None where a step is an epoch."""
    return None if spec.trial_time is None else spec.trial_time / spec.epochs


def make_rule(spec: SearchSpec, folder: SearchFolder | None = None) -> StoppingRule:
    """The scheduler's stopping rule (``folder``: the begun search's)."""
    scheduler = _class_named("raynas.schedulers", spec, folder, "record")
    several: Mapping[str, Any] = {}
    if getattr(scheduler, "several", False) and isinstance(spec, ResolvedSpec):
        several = {"modes": spec.objectives.modes}
    rule: StoppingRule = scheduler(
        spec.epochs,
        mode=spec.mode,
        grace_period=spec.grace_period,
        reduction_factor=spec.reduction_factor,
        **several,
    )
    return rule


def input_shape(components: Components) -> Any:
    """The shape of one sample (of several inputs: by their names), where the evaluator trains on a task."""
    return getattr(getattr(components.evaluator, "task", None), "input_shape", None)


def input_dtype(components: Components) -> Any:
    """The dtype of one sample as torch names it (of several inputs: by their names), where the evaluator trains on a
    task; None: the usual float32.

    Raises:
        TaskError: the task's data is needed for it, and cannot be loaded.
    """
    task = getattr(components.evaluator, "task", None)
    try:
        return getattr(task, "input_dtype", None)
    except UserError:
        raise
    except Exception as error:
        raise TaskError(
            f"the data of task {getattr(task, 'name', '?')!r} cannot be loaded or prepared: "
            f"{type(error).__name__}: {error} (the working folder is {working_folder()})"
        ) from error


def check_shapes(space: Space, input_shape: Any, dtype: Any = None) -> None:
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


def preflight(components: Components, spec: SearchSpec) -> None:
    """Finds what would make trials fail: shapes of a few samples, the metric's name where that is known beforehand.

    The rest is found by one real step on a worker (``raynas.engine.start_check``).

    Raises:
        UserError: that.
    """
    shape = input_shape(components)
    with time_limit(spec.trial_timeout):
        if shape is not None:
            check_shapes(components.space, shape, input_dtype(components))
        require_metric(spec, components.evaluator.preflight(components.space, components.space.default()))
    require_stage_names([stage.name for stage in components.evaluator.stages(components.space)])


def require_stage_names(names: Sequence[str]) -> None:
    """Raises EvaluatorError where a stage has no name for a folder, or two have the same."""
    for name in names:
        if not re.fullmatch(r"[\w-]+", name, re.ASCII) or names.count(name) > 1:
            raise EvaluatorError(
                f"stage {name!r} needs a name of its own, of letters, digits, '-' and '_'; the evaluator's stages are "
                f"{', '.join(map(repr, names))}"
            )


def require_metric(spec: SearchSpec, metrics: Collection[str]) -> None:
    """Raises SpecError where the search's metric is not among those that are measured (none: they are not known)."""
    if metrics and spec.metric not in metrics:
        hint = did_you_mean(spec.metric or "", metrics)
        known = f"there are: {', '.join(sorted(metrics))}"
        raise SpecError(f"metric {spec.metric!r} is not measured; {' '.join(filter(None, [hint, known]))}")
