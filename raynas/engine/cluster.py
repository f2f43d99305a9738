"""Ray: started privately for one search, or joined where a cluster runs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from raynas.errors import UserError

#: For this process and all that it starts, unless the person has set them. Each is explained where it is needed:
#: no loggers and snapshots (the journal is the record), no handler of Ray's for Ctrl-C, no warnings for a person.
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_THRESHOLD_S": "30",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

_OBJECT_STORE_BYTES = 256 * 1024 * 1024


def prepare_environment(workers: int | None, address: str | None) -> None:
    """Sets Ray's switches; must come before Ray is imported for the first time."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    if workers is not None:
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers)
    if address is None and not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        # Without this Ray writes a token into the home folder, which other Rays on the machine then stumble over.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextmanager
def cluster(workers: int | None, address: str | None) -> Iterator[int]:
    """Ray, ready; yields the number of workers (default: all CPUs). A Ray that is running already is used and left alone.

    Raises:
        UserError: no cluster answers at ``address``, or it has fewer CPUs than workers.
    """
    prepare_environment(workers, address)
    import ray

    ours = not ray.is_initialized()
    if ours:
        _start(workers, address)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if workers is not None and workers > cpus:
            raise UserError(f"{workers} workers were asked for, but this Ray cluster has {cpus} CPUs; lower --workers")
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers or cpus)
        yield workers or max(1, cpus)
    finally:
        if ours:
            ray.shutdown()


def _start(workers: int | None, address: str | None) -> None:
    import ray

    if address is not None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"no Ray cluster answers at {address!r}: {reason}; start one with ray start --head") from None
        return
    ray.init(
        address="local",
        num_cpus=workers or available_cpus(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=_OBJECT_STORE_BYTES,
    )


def available_cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
