"""What a trial prints, kept in a file of its own for ``raynas show``."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Beyond this a trial's output is dropped: a network that warns at every batch must not fill the disk.
_LIMIT_BYTES = 1_000_000
_DROPPED = f"\n(more than {_LIMIT_BYTES:,} bytes were printed; the rest is not kept)\n".encode()
#: How often a step's output is looked at. What comes in between is in the file for as long, and taken out then.
_LOOK_SECONDS = 0.25

_lock = threading.Lock()
_open: int | None = None  # the descriptor of the file that this process's output goes to
_looker: threading.Thread | None = None


def log_path(logs: Path, number: int) -> Path:
    """Where trial ``number``'s output lies."""
    return logs / f"{number:06d}.log"


@contextmanager
def captured(logs: Path, number: int) -> Iterator[None]:
    """Sends this process's output and errors to the trial's file, also those of native code, up to the limit."""
    global _open
    path = log_path(logs, number)
    try:
        logs.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:  # a log is not worth a trial
        yield
        return
    before = os.dup(1), os.dup(2)
    _flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    with _lock:
        _open = file
        _drop_beyond_limit()
    _look_often()
    try:
        yield
    finally:
        _flush()
        with _lock:
            _drop_beyond_limit()
            _open = None
        for descriptor, saved in zip((1, 2), before, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        os.close(file)
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def _look_often() -> None:
    """Begins the thread that holds the file to its limit while a step runs: one for the process, at its first trial."""
    global _looker

    def look() -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with _lock:
                _drop_beyond_limit()

    if _looker is None:
        _looker = threading.Thread(target=look, name="raynas-log-limit", daemon=True)
        _looker.start()


def _drop_beyond_limit() -> None:
    """Cuts a file that is too long, and sends what this process prints from now on nowhere."""
    with suppress(OSError):  # a log is not worth a trial
        if _open is None or os.fstat(_open).st_size <= _LIMIT_BYTES:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        if os.fstat(_open).st_size > _LIMIT_BYTES + len(_DROPPED):  # processes that this one has begun print on
            os.ftruncate(_open, _LIMIT_BYTES)
            os.write(_open, _DROPPED)


def append(logs: Path, number: int, text: str) -> None:
    """Adds to a trial's file what is said of it afterwards, whatever it has printed; as much as the limit, at most."""
    with suppress(OSError):  # a log is not worth a search
        logs.mkdir(parents=True, exist_ok=True)
        with log_path(logs, number).open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace")[:_LIMIT_BYTES])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def tail(logs: Path, number: int, lines: int = 20) -> list[str]:
    """The last lines of what a trial printed."""
    try:
        text = log_path(logs, number).read_bytes()[-64_000:].decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
