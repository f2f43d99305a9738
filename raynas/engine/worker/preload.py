"""What the workers of a private Ray import before they have anything to do, while the driver is still busy.

Nothing of it may touch a device: which GPUs a worker may use is decided when it gets a trial.
"""

from __future__ import annotations

import contextlib
import os
import time

#: What Tune gives each of its workers.
TUNE_VARIABLES = {"PL_DISABLE_FORK": "1"}

_NOTE = "raynas-preloaded-"
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.02


def modules(training: bool) -> list[str]:
    """Imported by each worker process, in this order; the last one says that all is there.

    Args:
        training: whether trials are trainings, which need torch.
    """
    return [
        "raynas.engine.worker.trainable",
        *(["raynas.evaluators.training"] if training else []),
        "raynas.engine.worker.preloaded",
    ]


def take_prestarted(wanted: bool) -> None:
    """Whether Tune's trials run in the workers that Ray has started beforehand.

    Tune asks for workers with environment variables of its own, and Ray starts new processes for those. The workers of
    a private Ray have inherited them from this process, so Tune need not ask.
    """
    from ray.tune.execution import class_cache

    asked = getattr(class_cache, "DEFAULT_ENV_VARS", None)
    if isinstance(asked, dict):
        asked.clear()
        asked.update({} if wanted else TUNE_VARIABLES)


def say_done() -> None:
    """Says, in a worker, that all is imported."""
    from ray.experimental import internal_kv

    with contextlib.suppress(Exception):  # whoever waits for it does not wait for ever
        internal_kv._internal_kv_put(f"{_NOTE}{os.getpid()}", b"1")


def wait_for(workers: int) -> None:
    """Waits until so many workers have imported all: they would disturb what is measured in the driver."""
    from ray.experimental import internal_kv

    until = time.monotonic() + _PATIENCE_SECONDS
    while len(internal_kv._internal_kv_list(_NOTE)) < workers and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
