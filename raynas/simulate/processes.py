"""One function for many inputs, on all cores; the answers come in order, and do not depend on how many there are."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from raynas.resources import available_cpus

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_work: Callable[[Any], Any] | None = None  # what forked processes do; set for the time of one call


def for_all(work: Callable[[_In], _Out], inputs: Sequence[_In], processes: int | None = None) -> list[_Out]:
    """``work`` of every input, in order.

    Processes are forked, so ``work`` may be any function, and what this process knows is not sent. Where a system
    cannot fork (Windows), and for one process, all is done here.

    Args:
        processes: how many (default: all cores).
    """
    global _work
    count = min(processes or available_cpus(), len(inputs))
    _work = work
    gc.freeze()  # a table is a million small objects: the collector need not look at them again and again
    try:
        if count <= 1 or "fork" not in multiprocessing.get_all_start_methods():
            return [work(item) for item in inputs]
        with multiprocessing.get_context("fork").Pool(count, initializer=_one_thread) as pool:
            return pool.map(_do, inputs, chunksize=max(1, min(8, len(inputs) // (4 * count))))
    finally:
        gc.unfreeze()
        _work = None


def _do(item: Any) -> Any:
    assert _work is not None
    return _work(item)


def _one_thread() -> None:
    """Numerical libraries take one thread a process: there are as many processes as cores."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
