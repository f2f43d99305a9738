"""A private Ray that starts while the driver does its own work: imports torch, makes the space and the task.

It starts in a thread that counts as one more search of this process (see cluster), and lives as long as Ray does: Linux
ends the processes that a thread has started when that thread ends. Ray's modules are imported before, by the thread
that asks: two threads that enter Ray's circular imports at different places would see half-made modules.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from raynas.engine.cluster import private_ray

Start = Callable[[Mapping[str, Any]], None]


@contextmanager
def early_start() -> Iterator[Start]:
    """Yields a function that begins to start Ray for the given settings; at the end Ray is let go of.

    The settings are those of a spec. Nothing is started for a cluster at an address. Whoever needs Ray enters
    ``cluster``, which waits for it; if Ray cannot be started here, ``cluster`` tries it itself and says why.
    """
    left, threads = threading.Event(), list[threading.Thread]()

    def start(spec: Mapping[str, Any]) -> None:
        if spec["address"] is not None or threads:
            return
        from ray import tune  # noqa: F401 - see above

        workers, cpus = spec["workers"], spec["cpus_per_trial"]
        begun = threading.Event()
        arguments = None if workers is None else max(1, math.ceil(workers * cpus)), begun, left
        threads.append(threading.Thread(target=_hold, args=arguments, name="raynas-ray", daemon=True))
        threads[0].start()
        begun.wait()

    try:
        yield start
    finally:
        left.set()
        for thread in threads:
            thread.join()


def _hold(cpus: int | None, begun: threading.Event, left: threading.Event) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # Ray warns that it sets no signal handler in a thread
    try:
        with private_ray(cpus, begun):
            left.wait()
    except Exception:
        logging.getLogger("raynas").debug("Ray did not start beside the driver's own work", exc_info=True)
    finally:
        begun.set()
