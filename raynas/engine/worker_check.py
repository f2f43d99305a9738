"""One real step before a session's first trial, as the worker of that trial does it: see start_check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raynas.engine.memory import is_out_of_memory
from raynas.engine.watchdog import StepTimeout, Watchdog, timed_out_before
from raynas.engine.working_folder import working_folder
from raynas.errors import SpecError, UserError
from raynas.evaluators.evaluator import Evaluator, TrialContext
from raynas.space import Space

_CHARACTERS = 500  # of a foreign error's words


def check_in_worker(
    make_parts: Callable[[], tuple[Space, Evaluator]], context: TrialContext, watchdog: Watchdog, folder: Path
) -> dict[str, Any]:
    """Makes the space and the evaluator, and does one short step.

    Args:
        make_parts: as for a trial.
        context: as a trial has it.
        watchdog: the limit on a step's time.
        folder: where the watchdog leaves its note when the step hangs: Ray then starts another worker.

    Returns:
        What the worker reports, in plain JSON: ``measurement``, or ``error`` (a type of ``raynas.errors``) and its
        ``message``, or nothing where it cannot be told.
    """
    try:
        timed_out_before(folder)
        space, evaluator = make_parts()
        with watchdog.over(folder, what="one step of the default network"):
            measurement = evaluator.check(space, space.default(), context)
    except Exception as error:
        if is_out_of_memory(error) or is_out_of_memory(error.__cause__ or error):
            return {}  # the trial will say so; others may be smaller
        if isinstance(error, StepTimeout):
            return {"error": SpecError.__name__, "message": str(error)}
        if isinstance(error, UserError):
            return {"error": type(error).__name__, "message": str(error)}
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_CHARACTERS]
        if isinstance(error, OSError):
            words += f" (the worker's folder is {working_folder()})"
        return {"error": UserError.__name__, "message": f"a trial cannot begin: {words}"}
    return {} if measurement is None else {"measurement": asdict(measurement)}
