"""Ray: started privately for one search, or joined where a cluster runs."""

from __future__ import annotations

import math
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from raynas.engine.address import require_answer
from raynas.engine.worker import preload
from raynas.errors import ClusterError, UserError
from raynas.resources import available_cpus
from raynas.spec.settings import SearchSpec

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
    **preload.TUNE_VARIABLES,
}

_OBJECT_STORE_BYTES = 256 * 1024 * 1024


def prepare_environment(workers: int | None, address: str | None) -> None:
    """Sets Ray's switches; must come before Ray is imported for the first time."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    if workers is not None:
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers)
    chosen = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if address is None and not chosen and "ray" not in sys.modules:  # Ray reads these once, when it is imported
        # Without this Ray writes a token into the home folder, which other Rays on the machine then stumble over.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@dataclass(frozen=True)
class Slots:
    """What each trial gets, and how many run at once."""

    workers: int
    cpus: float
    gpus: float
    device: str


def require_room(address: str | None, *, cpus_per_trial: float, gpus_per_trial: float | None, device: str) -> None:
    """Finds, before Ray is started, that this machine has no room for a trial, or that no cluster answers.

    Whether a cluster at an address has room is only to be seen when it is joined.

    Raises:
        ClusterError: it has not, or none does.
        UserError: the device is not here.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return
    if address is not None:
        require_answer(address)
        return
    gpus = 0
    if gpus_per_trial or device in ("cuda", "mps"):
        import torch

        gpus = torch.cuda.device_count()
        if device == "cuda" and not gpus:
            raise UserError("--device cuda: PyTorch sees no CUDA device here; leave --device out, or give cpu")
        if device == "mps" and not torch.backends.mps.is_available():
            raise UserError("--device mps: PyTorch has no MPS here; leave --device out, or give cpu")
    if cpus_per_trial > available_cpus() or (gpus_per_trial or 0) > gpus:
        raise ClusterError(_no_room(cpus_per_trial, gpus_per_trial or 0, [{"CPU": available_cpus(), "GPU": gpus}]))


def cpus_for(workers: int | None, cpus_per_trial: float) -> int | None:
    """How many CPUs a private Ray is given for so many trials at once; None: all that there are."""
    return None if workers is None else max(1, math.ceil(workers * cpus_per_trial))


@contextmanager
def cluster(
    workers: int | None,
    address: str | None,
    *,
    max_concurrent: int | None = None,
    cpus_per_trial: float = 1,
    gpus_per_trial: float | None = None,
    device: str = "auto",
    training: bool = True,
) -> Iterator[Slots]:
    """Ray, ready; yields what there is to run trials on.

    A Ray that a person has started in this process is used and left alone. One that a search has started is ended by
    the last search that uses it.

    Args:
        workers: trials at once (default: as many as the CPUs, and the GPUs if trials use them, have room for).
        max_concurrent: a further limit on them.
        gpus_per_trial: default: 1 where trials use CUDA, else 0.
        device: ``auto`` is CUDA where the cluster has GPUs and no trial is to do without, else the CPU.
        training: whether trials are trainings: the workers of a Ray that is started here then import torch beforehand.

    Raises:
        ClusterError: no cluster answers at ``address``, or no node of it has room for a trial, or not for all workers.
    """
    prepare_environment(workers, address)
    cpus = cpus_for(workers, cpus_per_trial)
    with _ray(address, cpus, training):
        _silence()
        slots = _slots(workers, max_concurrent, cpus_per_trial, gpus_per_trial, device)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots.workers)
        yield slots


@dataclass
class _OwnRay:
    """State: how many searches use a Ray that one of them has started, and how many workers import something first."""

    preloading: int = 0
    searches: int = 0
    over: threading.Event = field(default_factory=threading.Event)  # once it has ended


_lock = threading.Lock()
_own: _OwnRay | None = None  # the one that runs in this process; None where none does, or a person has started it


@contextmanager
def _ray(address: str | None, cpus: int | None, training: bool) -> Iterator[None]:
    """Inside, Ray runs in this process, for any number of searches at the same time."""
    with _lock:
        used = _take(address, cpus, training)
    try:
        yield
    finally:
        _let_go(used)


@contextmanager
def private_ray(cpus: int | None, training: bool, begun: threading.Event) -> Iterator[threading.Event | None]:
    """Inside, Ray runs in this process; a joined Ray, or a person's, is left alone.

    Yields what is set once that Ray has ended; None for a person's.

    Args:
        training: see ``cluster``.
        begun: set as soon as all others that want a Ray wait for this one.
    """
    with _lock:
        begun.set()
        used = _take(None, cpus, training)
    try:
        yield None if used is None else used.over
    finally:
        _let_go(used)


def _take(address: str | None, cpus: int | None, training: bool) -> _OwnRay | None:
    """Starts Ray where it does not run (under the lock); None where a person has started it."""
    global _own
    import ray

    if not ray.is_initialized():
        _own = None
        preloads = _start(address, cpus, training)
        _own = _OwnRay(preloads)
        preload.take_prestarted(preloads > 0)
    if _own is not None:
        _own.searches += 1
    return _own


def _let_go(used: _OwnRay | None) -> None:
    """Ends Ray with the last search that uses it."""
    global _own
    import ray

    with _lock:
        if used is not None:
            used.searches -= 1
            if used is _own and not used.searches:
                _own = None
                ray.shutdown()
                used.over.set()
                preload.take_prestarted(False)


def workers_are_quiet() -> None:
    """Waits until no Ray of this process is starting, and its workers have imported all that they were given to import.

    To be called before something is measured in this process.
    """
    with _lock:
        used = _own
    if used is not None and used.preloading:
        preload.wait_for(used.preloading)


def _slots(workers: int | None, max_concurrent: int | None, cpus: float, gpus: float | None, device: str) -> Slots:
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if device == "auto":
        there = any(node.get("GPU", 0) for node in nodes)
        device = "cuda" if gpus or (there and gpus is None) else "cpu"
    if gpus is None:
        gpus = 1.0 if device == "cuda" else 0.0
    room = sum(_fits(node, cpus, gpus) for node in nodes)
    if room == 0:
        raise ClusterError(_no_room(cpus, gpus, nodes))
    if workers is not None and workers > room:
        raise ClusterError(
            f"{workers} workers were asked for, but there is room for {room} trials of {cpus:g} CPUs and {gpus:g} GPUs "
            "at once; lower --workers"
        )
    return Slots(min(workers or room, max_concurrent or room), cpus, gpus, device)


def slots_here(spec: SearchSpec) -> Slots | None:
    """What trials will have on this machine, before Ray is started; None where Ray may see it otherwise.

    Args:
        spec: of its fields those that ``cluster`` takes.
    """
    if spec.address is not None:
        return None
    cpus, gpus, device = spec.cpus_per_trial, spec.gpus_per_trial, spec.device
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return _slots(spec.workers, spec.max_concurrent, cpus, gpus, device)
    there = 0
    if gpus != 0 and device in ("auto", "cuda"):
        import torch

        there = torch.cuda.device_count()
    if device == "auto":
        device = "cuda" if there else "cpu"
    if gpus is None:
        gpus = 1.0 if device == "cuda" else 0.0
    workers = spec.workers
    room = _fits({"CPU": available_cpus() if workers is None else workers * cpus, "GPU": there}, cpus, gpus)
    if room < 1:
        return None
    return Slots(min(workers or room, spec.max_concurrent or room, room), cpus, gpus, device)


def _no_room(cpus: float, gpus: float, nodes: list[dict[str, float]]) -> str:
    have = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    return (
        f"a trial is to have {cpus:g} CPUs and {gpus:g} GPUs, which no machine here has (there is: {have}); "
        "lower --cpus-per-trial or --gpus-per-trial"
    )


def _fits(node: dict[str, float], cpus: float, gpus: float) -> int:
    """How many trials a node has room for. A fraction of a GPU lies on one GPU: two of 0.6 need two."""
    by_cpu = math.floor(node.get("CPU", 0) / cpus + 1e-9)
    if not gpus:
        return by_cpu
    own = int(node.get("GPU", 0))
    by_gpu = own * math.floor(1 / gpus + 1e-9) if gpus < 1 else math.floor(own / gpus + 1e-9)
    return min(by_cpu, by_gpu)


def _start(address: str | None, cpus: int | None, training: bool) -> int:
    """Starts or joins Ray. Returns how many workers import beforehand what trials need: none of a joined one."""
    import ray

    if address is not None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise ClusterError(
                f"no Ray cluster answers at {address!r}: {reason}; start one with ray start --head"
            ) from None
        return 0
    cpus = cpus or available_cpus()
    with _in_groups_of_their_own():
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=_OBJECT_STORE_BYTES,
            _system_config={"preload_python_modules": preload.modules(training)},
        )
    return cpus  # so many workers Ray starts by itself


@contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Inside, Ray's processes are started each in a session of its own.

    ``timeout``, a batch system or a terminal that closes sends its signal to the whole group of the driver. Ray's own
    processes would end by it at once, and running trials could no longer checkpoint. (They end with the driver all the
    same: Linux tells them of its death; elsewhere Ray needs them in the group.) Ray 2.60 has no setting for it; where
    its starter has another name, nothing is changed.
    """
    import ray._private.services as services
    from ray._private.utils import detect_fate_sharing_support

    starter = getattr(services, "ConsolePopen", None)
    if starter is None or not detect_fate_sharing_support():
        yield
        return

    class InOwnSession(starter):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **{"start_new_session": True, **options})

    services.ConsolePopen = InOwnSession
    try:
        yield
    finally:
        services.ConsolePopen = starter


def _silence() -> None:
    """Keeps Ray from telling of dead workers on standard output, where the search speaks: the trial's end says it.

    Ray has no switch for it (``log_to_driver`` is about what workers print).
    """
    import ray._private.worker as worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *args, **kwargs: None
