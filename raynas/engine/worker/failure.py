"""Why a trial has failed: from the type of an error to what the journal calls it (docs/journal.md)."""

from __future__ import annotations

import traceback

from raynas.engine.worker.memory import is_out_of_memory
from raynas.engine.worker.messages import FailureFields
from raynas.errors import InfrastructureLost, StepTimeout, WorkerLost, WorkerOutOfMemory
from raynas.journal.events import FailureReason

#: cudaErrorAssert of CUDA's runtime (driver_types.h); HIP's hipErrorAssert has the same number.
_DEVICE_ASSERT = 710


def reason_of(error: BaseException) -> FailureReason:
    """The journal's word for what befell a trial."""
    if isinstance(error, StepTimeout):
        return "timeout"
    if isinstance(error, InfrastructureLost):
        return "infrastructure"
    if isinstance(error, WorkerOutOfMemory) or is_out_of_memory(error):
        return "out_of_memory"
    return "worker_died" if isinstance(error, WorkerLost) else "exception"


def failure_of(error: BaseException) -> FailureFields:
    """An exception in a trial as the journal keeps it."""
    text = "".join(traceback.format_exception(error))
    return {
        "reason": reason_of(error),
        "error": {"type": type(error).__name__, "message": str(error), "traceback": text},
    }


def breaks_the_process(error: BaseException) -> bool:
    """Whether the process can compute no more: an assertion failed on its GPU, so every later call to CUDA fails too.

    From 2.8 on torch raises ``AcceleratorError``, a RuntimeError with the runtime's ``error_code``. Before, and where a
    library on top of torch raises it again, there are CUDA's words alone: "CUDA error: device-side assert triggered".
    """
    if not isinstance(error, RuntimeError):
        return False
    return getattr(error, "error_code", None) == _DEVICE_ASSERT or "device-side assert" in str(error)
