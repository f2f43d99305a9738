"""One real step before a session's first trial: it tells in one line what would make every trial fail.

The worker that gets the session's first trial does it, before that trial: in a trial's process, with its resources,
threads, device and working folder, on components made as a trial's are; and its report goes to the driver as a trial's
does. So it costs its step alone: a Ray task could not hand its process, torch imported, on to a trial (Ray keeps the
workers of tasks and of actors apart).
"""

from __future__ import annotations

from raynas.engine.worker.messages import CheckFields, mistake
from raynas.errors import SpecError, UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.spec.components import Components, require_metric
from raynas.spec.settings import ResolvedSpec


def check_here(components: Components, spec: ResolvedSpec) -> None:
    """The step in this process, for a search that is only planned, or whose driver has met an error.

    Raises:
        UserError: what would make every trial fail.
    """
    context = TrialContext(0, spec.seed, spec.epochs)
    measurement = components.evaluator.check(components.space, components.space.default(), context)
    if measurement is not None:
        require_metric(spec, measurement.metrics)


def judge_check(spec: ResolvedSpec, said: CheckFields) -> UserError | None:
    """Why the search cannot go on, by what the worker reported; None where it can."""
    if "error" in said:
        return mistake(said)
    try:
        require_metric(spec, said["measurement"]["metrics"] if "measurement" in said else ())
    except SpecError as error:
        return error
    return None
