"""Which process has a trial in hand: a note in the trial's folder, written by the worker and read by the driver.

Ray tells of a lost process by its id and its machine. Two machines of a cluster may have processes of one id, so a note
has both.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorkerProcess:
    """A process on a machine.

    Attributes:
        pid: its id on that machine.
        ip: the machine's address, as Ray knows it; None: not known.
        node: Ray's id of the machine, hexadecimal; None: not known.
    """

    pid: int
    ip: str | None = None
    node: str | None = None

    def matches(self, other: WorkerProcess) -> bool:
        """Whether both are the same process, as far as is known: one id, on one machine."""
        if self.pid != other.pid:
            return False
        if self.node is not None and other.node is not None:
            return self.node == other.node
        return self.ip is None or other.ip is None or self.ip == other.ip


@dataclass(frozen=True)
class Note:
    """What a trial's note says: the process, and when it was written (nanoseconds, by the clock of the file system)."""

    process: WorkerProcess
    written: int


def this_process() -> WorkerProcess:
    """The process that asks; without its machine where it is none of Ray's."""
    import ray

    if not ray.is_initialized():
        return WorkerProcess(os.getpid())
    return WorkerProcess(os.getpid(), ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id())


def write_note(path: Path, process: WorkerProcess) -> None:
    """Says that the process has the trial in hand; ``host`` is for people.

    Raises:
        OSError: it cannot be written.
    """
    values = {"pid": process.pid, "host": os.uname().nodename, "ip": process.ip, "node": process.node}
    path.write_text(json.dumps(values))


def read_note(path: Path) -> Note | None:
    """The note; None where there is none. One of an earlier release has no ``ip`` and no ``node``."""
    try:
        values = json.loads(path.read_text())
        process = WorkerProcess(int(values["pid"]), values.get("ip"), values.get("node"))
        return Note(process, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError):
        return None
