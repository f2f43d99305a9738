"""One real step before a session's first trial, as the worker of that trial does it: see start_check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raynas.engine.worker.memory import is_out_of_memory
from raynas.engine.worker.messages import CheckFields, measurement_fields, mistake_fields
from raynas.engine.worker.watchdog import Watchdog, timed_out_before
from raynas.errors import SpecError, StepTimeout, UserError
from raynas.evaluators.evaluator import Evaluator, TrialContext
from raynas.space import Space
from raynas.storage.working_folder import working_folder

_CHARACTERS = 500  # of a foreign error's words


def check_in_worker(
    make_components: Callable[[], tuple[Space, Evaluator]], context: TrialContext, watchdog: Watchdog, folder: Path
) -> CheckFields:
    """Makes the space and the evaluator, and does one short step.

    Args:
        make_components: as for a trial.
        context: as a trial has it.
        watchdog: the limit on a step's time.
        folder: where the watchdog leaves its note when the step hangs: Ray then starts another worker.

    Returns:
        What the worker reports.
    """
    try:
        timed_out_before(folder)
        space, evaluator = make_components()
        with watchdog.over(folder, what="one step of the default network"):
            measurement = evaluator.check(space, space.default(), context)
    except Exception as error:
        if is_out_of_memory(error) or is_out_of_memory(error.__cause__ or error):
            return {}  # the trial will say so; others may be smaller
        if isinstance(error, StepTimeout):
            return mistake_fields(SpecError(str(error)))
        if isinstance(error, UserError):
            return mistake_fields(error)
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_CHARACTERS]
        if isinstance(error, OSError):
            words += f" (the worker's folder is {working_folder()})"
        return mistake_fields(UserError(f"a trial cannot begin: {words}"))
    return {} if measurement is None else {"measurement": measurement_fields(measurement)}
