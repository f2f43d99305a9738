"""What a trial prints, kept in a file of its own for ``raynas show``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Beyond this a trial's output is dropped: a network that warns at every batch must not fill the disk.
_LIMIT_BYTES = 1_000_000


def log_path(logs: Path, number: int) -> Path:
    """Where trial ``number``'s output lies."""
    return logs / f"{number:06d}.log"


@contextmanager
def captured(logs: Path, number: int) -> Iterator[None]:
    """Sends this process's output and errors to the trial's file, also those of native code."""
    path = log_path(logs, number)
    try:
        logs.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError:  # a log is not worth a trial
        yield
        return
    if os.fstat(file).st_size > _LIMIT_BYTES:
        os.close(file)
        file = os.open(os.devnull, os.O_WRONLY)
    before = os.dup(1), os.dup(2)
    _flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    try:
        yield
    finally:
        _flush()
        for descriptor, saved in zip((1, 2), before, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


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
