"""One real step before a session's first trial: it tells in one line what would make every trial fail.

The worker that gets the session's first trial does it, before that trial: in a trial's process, with its resources,
threads, device and working folder, on parts made as a trial's are; and its report goes to the driver as a trial's does.
So it costs its step alone: a Ray task could not hand its process, torch imported, on to a trial (Ray keeps the workers
of tasks and of actors apart).
"""

from __future__ import annotations

from typing import Any

from raynas import errors
from raynas.engine.parts import Parts, require_metric
from raynas.errors import SpecError, UserError
from raynas.evaluators.evaluator import TrialContext


def check_here(parts: Parts, spec: dict[str, Any]) -> None:
    """The step in this process, for a search that is only planned, or whose driver has met an error.

    Raises:
        UserError: what would make every trial fail.
    """
    context = TrialContext(0, spec["seed"], spec["epochs"])
    measurement = parts.evaluator.check(parts.space, parts.space.default(), context)
    if measurement is not None:
        require_metric(spec, measurement.metrics)


def judge_check(spec: dict[str, Any], said: dict[str, Any]) -> UserError | None:
    """Why the search cannot go on, by what the worker reported; None where it can."""
    if "error" in said:
        kind = getattr(errors, said["error"], UserError)
        return kind(said["message"])
    try:
        require_metric(spec, said.get("measurement", {}).get("metrics", ()))
    except SpecError as error:
        return error
    return None
