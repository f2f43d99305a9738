"""A private Ray that starts while the driver does its own work: imports torch, makes the space and the task.

It starts in a thread that counts as one more search of this process (see cluster). The thread lives as long as Ray
does, also where another search still uses it: Linux ends what a thread has started when that thread ends. Ray's
modules are imported before, by the thread that asks: two threads that enter Ray's circular imports at different places
would see half-made modules.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raynas.engine.cluster import cpus_for, private_ray
from raynas.spec.settings import SearchSpec

#: Takes the settings, and whether trials are trainings.
Start = Callable[[SearchSpec, bool], None]


@contextmanager
def early_start() -> Iterator[Start]:
    """Yields a function that begins to start Ray for the given settings; at the end Ray is let go of.

    Nothing is started for a cluster at an address. Whoever needs Ray enters
    ``cluster``, which waits for it; if Ray cannot be started here, ``cluster`` tries it itself and says why.
    """
    left, gone, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    def start(spec: SearchSpec, training: bool) -> None:
        if spec.address is not None or threads:
            return
        from ray import tune  # noqa: F401 - see above

        begun = threading.Event()
        arguments = cpus_for(spec.workers, spec.cpus_per_trial), training, begun, left, gone
        threads.append(threading.Thread(target=_hold, args=arguments, name="raynas-ray", daemon=True))
        threads[0].start()
        begun.wait()

    try:
        yield start
    finally:
        left.set()
        if threads:
            gone.wait()


def _hold(
    cpus: int | None, training: bool, begun: threading.Event, left: threading.Event, gone: threading.Event
) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # Ray warns that it sets no signal handler in a thread
    over = None
    try:
        with private_ray(cpus, training, begun) as over:
            left.wait()
    except Exception:
        logging.getLogger("raynas").debug("Ray did not start beside the driver's own work", exc_info=True)
    finally:
        begun.set()
        gone.set()
    if over is not None:
        over.wait()
