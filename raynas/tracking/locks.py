"""Two locks of the operating system in a search's folder: is the search running, and who writes it into MLflow.

The system lets go of both when their holder dies, however that happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from raynas.errors import UserError
from raynas.locks import is_held


def search_is_running(folder: Path) -> bool:
    """Whether some process runs the search (holds ``lock``, see raynas.storage.search_folder)."""
    return is_held(folder / "lock")


@contextlib.contextmanager
def tracker_lock(folder: Path, *, take_over: bool) -> Iterator[None]:
    """Held by the one process that writes a search into MLflow.

    Args:
        take_over: ask the holder to finish, and wait for it; otherwise a holder is an error.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    try:
        file = os.open(folder / "tracker.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"folder {folder} cannot be written ({error.strerror}); MLflow's position is kept there"
        ) from None
    try:
        asked = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                host, pid = _holder(file)
                if not take_over:
                    raise UserError(
                        f"search {folder.name!r} is being written to MLflow by process {pid} on {host}; wait for it"
                    ) from None
                if not asked and host == socket.gethostname() and pid:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGTERM)
                    asked = True
                time.sleep(0.1)
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(file)


def _holder(file: int) -> tuple[str, int]:
    try:
        values = json.loads(os.pread(file, 1_000, 0))
        return str(values["host"]), int(values["pid"])
    except (ValueError, KeyError, TypeError):
        return "this machine", 0
