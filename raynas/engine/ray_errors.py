"""What Ray says of a lost worker, or of its own end, turned into our types: Ray's words are read here and nowhere else.

Ray has types for most of it. Where there are words alone, they are those of Ray 2.60, and each rule names their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ray import cloudpickle
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial

from raynas.engine.worker.process import WorkerProcess
from raynas.errors import DiskFull, InfrastructureLost, StorageError, WorkerLost, WorkerOutOfMemory, is_disk_full

#: ``ActorDiedError`` has a line ``pid: 12`` and a line ``ip: 10.0.0.1``, ``RayTaskError`` has ``(pid=12, ip=10.0.0.1``
#: (ray/exceptions.py), the memory monitor ``pid=12`` for each worker.
_PROCESS = re.compile(r"\bpid[=: ]+(?P<pid>\d+)(?:, ip=(?P<ip>[^\s,)]+))?", re.IGNORECASE)
_IP = re.compile(r"\bip[=:] ?([^\s,)]+)", re.IGNORECASE)
#: The memory monitor: "Memory on the node (IP: 10.0.0.1, ID: 4cb2…) was …" (raylet).
_NODE = re.compile(r"\bon the node \(IP: [^\s,)]+, ID: ([0-9a-f]+)\)")
#: Since Ray 2.56 the memory monitor lists all workers of the machine, and marks those that it ends: "Selected to kill:
#: (Task: job ID=…, task name=…, pid=12, …)". Before, it lists those alone.
_KILLED = re.compile(r"Selected to kill: .*?\bpid=(?P<pid>\d+)")
#: Where a worker's process ended by an exception, Ray's words end with it.
_EXCEPTION = re.compile(r"[A-Z]\w*(Error|Exception): ")


def lost_worker(error: BaseException | None) -> WorkerLost:
    """Why a worker was lost.

    Args:
        error: what Ray raised or kept; None: nothing.
    """
    if error is None:
        return WorkerLost("its worker process died")
    words, causes = str(error), list(_causes(error))
    for cause in causes:
        if isinstance(cause, StorageError) and not isinstance(cause, RayError):  # Ray's own has Ray's words, too
            return InfrastructureLost(str(cause), words)
        if isinstance(cause, OutOfMemoryError):
            return WorkerOutOfMemory(_telling_line(words), words)
    kind = InfrastructureLost if any(map(_is_of_a_node, causes)) else WorkerLost
    return kind(_telling_line(words), words)


def why_ray_ended(error: Exception) -> DiskFull | WorkerLost:
    """Why ``Tuner.fit`` raised this."""
    if any(is_disk_full(cause) or _tells_of_a_full_disk(cause) for cause in _causes(error)):
        return DiskFull("no space left on the device")
    return lost_worker(error)


def pickled_error(trial: Trial) -> BaseException | None:
    """The error by which Ray has lost a trial's worker; None where it has kept none.

    Ray leaves it in a file. (``get_pickled_error`` does not find it yet when the scheduler is told.)
    """
    try:
        with open(trial.pickled_error_file, "rb") as file:
            error: BaseException = cloudpickle.load(file)  # written by this process, an instant ago
    except (OSError, TypeError, AttributeError, EOFError):
        return None
    return error


def lost_processes(error: BaseException) -> list[WorkerProcess]:
    """The worker processes that Ray says it has lost, in its order; empty where it names none."""
    causes = list(_causes(error))
    found: dict[WorkerProcess, None] = {}
    for text in map(str, [cause for cause in causes if isinstance(cause, RayError)] or causes):
        ip, node = _first(_IP, text), _first(_NODE, text)
        for match in list(_KILLED.finditer(text)) or _PROCESS.finditer(text):
            own_ip = match.groupdict().get("ip") or ip
            found[WorkerProcess(int(match["pid"]), own_ip, node)] = None
    return list(found)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else found[1]


def full_text(error: BaseException) -> str:
    """What an error and its causes say, a line or more for each."""
    return "\n".join(map(str, _causes(error)))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on. What a worker raised is the cause of Ray's error here."""
    while error is not None:
        yield error
        remote = error.cause if isinstance(error, RayTaskError) else None
        error = remote or error.__cause__ or error.__context__


def _is_of_a_node(error: BaseException) -> bool:
    """Whether a machine was lost, and its workers with it.

    Ray's control server says so of an actor in words alone (gcs_server: "The actor died because its node has died");
    ``ActorDiedError`` keeps nothing but whether the machine was taken away (``preempted``).
    """
    if isinstance(error, RayActorError):
        return error.preempted or "its node has died" in str(error)
    return isinstance(error, NodeDiedError)


def _tells_of_a_full_disk(error: BaseException) -> bool:
    """Whether Ray's C++ part found no room: it hands on the system's words without their number.

    (``check_status`` in ray/includes raises ``OSError(message)`` or ``RaySystemError(message)``.)
    """
    has_text = isinstance(error, RayError) or (isinstance(error, OSError) and error.errno is None)
    return has_text and "no space left" in str(error).lower()


def _telling_line(words: str) -> str:
    """The line that says why a process ended: the exception at the end, or else the first one."""
    lines = words.strip().splitlines() or ["its worker process died"]
    return lines[-1] if _EXCEPTION.match(lines[-1]) else lines[0]
