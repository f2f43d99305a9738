"""One real step before a search's first trial: it tells in one line what would make every trial fail.

It runs in a worker process, with a trial's resources, threads, device and working folder, on parts made as a trial's
are, and its report is written as a trial's is. Ray keeps the process, torch imported, and gives it to the first trial:
the check costs little more than its step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from raynas import errors
from raynas.engine.cluster import Slots
from raynas.engine.memory import is_out_of_memory
from raynas.engine.parts import Parts, require_metric
from raynas.engine.watchdog import StepTimeout, Watchdog, timed_out_before
from raynas.engine.working_folder import working_in
from raynas.errors import SpecError, UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.space import Architecture

if TYPE_CHECKING:
    from raynas.engine.trainable import WorkerSetup

_POLL_SECONDS = 0.2
_CHARACTERS = 500  # of a foreign error's words


def check_here(parts: Parts, spec: dict[str, Any]) -> None:
    """The step in this process, for a search that is only planned.

    Raises:
        UserError: what would make every trial fail.
    """
    measurement = parts.evaluator.check(
        parts.space, parts.space.default(), TrialContext(0, spec["seed"], spec["epochs"])
    )
    if measurement is not None:
        require_metric(spec, measurement.metrics)


def check_on_worker(
    worker: WorkerSetup, default: Architecture, slots: Slots, spec: dict[str, Any], stopped: Callable[[], bool]
) -> None:
    """The step on a worker.

    Args:
        worker: what trials are given.
        default: the architecture to try.
        slots: what each trial gets.
        spec: the resolved settings.
        stopped: whether the search is to end; the check is then left.

    Raises:
        UserError: what would make every trial fail, in one line.
    """
    import ray
    from ray.exceptions import RayTaskError

    shutil.rmtree(worker.folder.ray, ignore_errors=True)  # the note of an earlier session's check
    step = ray.remote(
        num_cpus=slots.cpus, num_gpus=slots.gpus, max_retries=0, runtime_env={"env_vars": _environment()}
    )(_one_step)
    answer = step.remote(worker, json.dumps(default.to_json()))
    while not ray.wait([answer], timeout=_POLL_SECONDS)[0]:
        if stopped():
            ray.cancel(answer, force=True)
            return
    try:
        said = json.loads(ray.get(answer))
    except RayTaskError as error:  # it could not even be begun
        raise UserError(f"a trial cannot begin: {_line(error.cause or error)}") from error
    except Exception as error:
        if is_out_of_memory(error):  # trial 0 will say so, where it happens again; others may be smaller
            return
        raise _died(worker, error) from error
    if "error" in said:
        raise getattr(errors, said["error"], UserError)(said["message"])
    if "report" in said:
        require_metric(spec, said["report"]["measurements"][0]["metrics"])


def _environment() -> dict[str, str]:
    """What Ray Tune sets for its trials: a process started for the check can then be a trial's."""
    from ray.tune.execution.class_cache import DEFAULT_ENV_VARS, ENV_VARS_TO_PROPAGATE

    return {**DEFAULT_ENV_VARS, **{key: os.environ[key] for key in ENV_VARS_TO_PROPAGATE if key in os.environ}}


def _one_step(worker: WorkerSetup, default: str) -> str:
    """What the worker does: JSON with the ``report`` of a measurement, or with an ``error`` and its ``message``."""
    watchdog = Watchdog(worker.step_timeout)
    try:
        with working_in(worker.working_folder):
            space, evaluator = worker.make_parts()
            architecture = space.replay(Architecture.from_json(json.loads(default)))
            with watchdog.over(worker.folder.ray, what="one step of the default network"):
                measurement = evaluator.check(space, architecture, worker.context(0))
    except Exception as error:
        if is_out_of_memory(error) or is_out_of_memory(error.__cause__ or error):
            return json.dumps({})
        if isinstance(error, UserError):
            return json.dumps({"error": type(error).__name__, "message": str(error)})
        return json.dumps({"error": "UserError", "message": f"a trial cannot begin: {_line(error)}"})
    return json.dumps({} if measurement is None else {"report": {"measurements": [asdict(measurement)]}})


def _died(worker: WorkerSetup, error: Exception) -> UserError:
    """Why there is no answer: the step took too long and was killed, or its process died."""
    try:
        timed_out_before(worker.folder.ray)
    except StepTimeout as timeout:
        return SpecError(str(timeout))
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"the worker process died in one step of the default network, as it would in a trial: {words}")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_CHARACTERS]
