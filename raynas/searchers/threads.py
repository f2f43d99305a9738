"""One BLAS thread while a strategy computes.

A proposal factors matrices of a few hundred rows, one after another. Several threads make this slower: they wait for
each other more than they compute, and they take the cores from the trials. numpy and scipy each have a pool of threads,
so both are limited, and both are reset when the proposal is made.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

#: The number of threads belongs to the whole process: of two proposals at a time, the second would restore the limit.
_LOCK = threading.RLock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits every BLAS of this process to one thread; as a decorator, too. Others that ask meanwhile wait."""
    with _LOCK, _pools("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=2)
def _pools(scipy: bool) -> Any:
    """The libraries that are loaded, looked for once (milliseconds), and again when scipy has brought its own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
