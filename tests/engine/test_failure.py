"""What a trial's error is called in the journal, and which error ends its process."""

from __future__ import annotations

import pytest
import ray.exceptions
import torch

from raynas.engine.worker.failure import breaks_the_process, failure_of
from raynas.errors import StepTimeout


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StepTimeout("a step took longer than the limit"), "timeout"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA has none"), "out_of_memory"),
        (ray.exceptions.OutOfMemoryError("a worker was killed"), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 byte"), "out_of_memory"),
        (ValueError("the rope ran out of memory foam"), "exception"),
        (type("OutOfMemoryError", (Exception,), {})("of some other kind of memory"), "exception"),
    ],
)
def test_a_failure_is_named_by_its_type(error: Exception, reason: str) -> None:
    failure = failure_of(error)
    assert (failure["reason"], failure["error"]["type"]) == (reason, type(error).__name__)


def test_a_failed_assertion_on_a_gpu_ends_the_process() -> None:
    told = torch.AcceleratorError("CUDA error")
    assert not breaks_the_process(told)
    told.error_code = 710
    assert breaks_the_process(told)
    assert breaks_the_process(RuntimeError("CUDA error: device-side assert triggered"))  # before torch 2.8
    assert not breaks_the_process(ValueError("device-side assert"))
