"""How much memory a trial may take, and the limit that makes an architecture fail alone.

Without a limit of our own a network that is too large brings in the kernel's or Ray's out-of-memory killer, which may
hit the wrong process. With it the allocation inside the trial fails, the trial is recorded as out of memory, and its
neighbours never notice.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from raynas.resources import available_bytes

#: Left for the driver, Ray's own processes and the page cache.
_SHARE_FOR_TRIALS = 0.85


def fair_share_bytes(workers: int) -> int | None:
    """What each of ``workers`` trials may take beyond what a worker process holds anyway."""
    available = available_bytes()
    return None if available is None else int(available * _SHARE_FOR_TRIALS / workers)


def limit_growth(limit_bytes: int | None) -> None:
    """Lets this process's address space grow by at most ``limit_bytes`` from now on (None: no limit).

    Beyond it an allocation fails: ``MemoryError``, or torch's "can't allocate memory". Linux only; elsewhere nothing
    happens. Not for processes that use CUDA, which reserves address space far beyond what it fills.
    """
    if limit_bytes is None:
        return
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = pages * resource.getpagesize() + limit_bytes
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out.

    Python, torch (on a GPU) and Ray have types for it. Of torch 2.13's CPU allocator, of CUDA's own calls and of MPS
    there are words alone: "DefaultCPUAllocator: can't allocate memory" (c10/core/impl/alloc_cpu.cpp), "CUDA error: out
    of memory", "MPS backend out of memory", each in a RuntimeError.
    """
    if isinstance(error, (MemoryError, *_library_types())):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def _library_types() -> list[type[BaseException]]:
    """``OutOfMemoryError`` of the libraries that this process has imported: no other can have raised theirs."""
    found = (getattr(sys.modules.get(name), "OutOfMemoryError", None) for name in ("torch", "ray.exceptions"))
    return [kind for kind in found if kind is not None]
