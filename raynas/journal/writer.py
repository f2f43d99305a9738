"""Appends events to a journal so that what is written survives the death of the process.

There may be only one writer at a time. The search ensures that with the lock on its folder, not this file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

from raynas.errors import JournalError
from raynas.journal.events import ENVELOPE, FIELDS, VERSION, decode, encode

_BLOCK = 1 << 16  # bytes read at a time when looking for the last line


class Writer:
    """The writing end of a journal. Opening repairs a torn last line and continues the numbering.

    Args:
        path: the file; it is created if it does not exist (its folder must exist).
        fsync_seconds: how often a background thread calls ``fsync`` (0: after every line). This limits what a power cut
            can cost; a killed process loses nothing either way.

    Raises:
        JournalError: the file cannot be opened or written, or more than its last line is damaged.
    """

    def __init__(self, path: str | PathLike[str], fsync_seconds: float = 1.0) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()  # write() may be called from several threads
        self._torn = False  # part of a failed line is still in the file
        self._dirty = False
        self._fsync_error: OSError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fsync_every_line = fsync_seconds <= 0
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"journal {self.path} cannot be opened: {error.strerror}; check the folder") from error
        try:
            self._end, self._seq = self._repair()
            _fsync_folder(self.path.parent)
        except BaseException as error:
            os.close(self._fd)
            if isinstance(error, OSError):
                raise JournalError(f"journal {self.path} cannot be opened: {error.strerror}; check the disk") from error
            raise
        if not self._fsync_every_line:
            self._thread = threading.Thread(
                target=self._fsync_loop, args=(fsync_seconds,), name="raynas-journal-fsync", daemon=True
            )
            self._thread.start()

    @property
    def next_seq(self) -> int:
        """The number that the next event gets."""
        return self._seq

    def write(self, event: str, **fields: Any) -> dict[str, Any]:
        """Appends one event; when this returns, it survives the death of the process.

        Args:
            event: the event's name.
            **fields: its fields, as ``docs/journal.md`` lists them (more are allowed).

        Returns:
            The event exactly as a reader will see it (tuples have become lists), for ``History.apply``.

        Raises:
            JournalError: it could not be written (disk full); nothing of it is left in the file, and it may be tried
                again.
            ValueError, TypeError: a field is missing or not JSON (a defect of the caller).
        """
        missing = [name for name in FIELDS.get(event, ()) if name not in fields]
        if missing or not fields.keys().isdisjoint(ENVELOPE):
            raise ValueError(f"event {event!r}: fields missing: {missing}, or one of {ENVELOPE} given")
        with self._lock:
            if self._fd < 0:
                raise JournalError(f"journal {self.path} is closed")
            self._raise_if_disk_failed()
            line = encode({"v": VERSION, "seq": self._seq, "time": time.time(), "event": event, **fields})
            self._append(line)
            self._seq += 1
            self._dirty = True
            if self._fsync_every_line:
                self._fsync()
        return decode(line)

    def sync(self) -> None:
        """Returns when the disk has everything written so far."""
        with self._lock:
            if self._fd >= 0:
                self._fsync()
            self._raise_if_disk_failed()

    def close(self) -> None:
        """Syncs and closes; a second call does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            if self._fd >= 0:
                self._fsync()
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        """One write call; a line that does not fit is taken back."""
        try:
            if self._torn:
                os.ftruncate(self._fd, self._end)
                self._torn = False
            self._torn = os.write(self._fd, line) != len(line)
            if not self._torn:
                self._end += len(line)
                return
            problem = "no space left on the device"
        except OSError as error:
            problem = error.strerror or str(error)
        with contextlib.suppress(OSError):  # if even that fails, the next write or the next opening cuts it off
            os.ftruncate(self._fd, self._end)
            self._torn = False
        raise JournalError(f"journal {self.path} cannot be written: {problem}; make room and resume the search")

    def _raise_if_disk_failed(self) -> None:
        if self._fsync_error is not None:
            words = self._fsync_error.strerror
            raise JournalError(f"journal {self.path}: the disk did not keep what was written: {words}; check the disk")

    def _fsync(self) -> None:
        if self._dirty:
            self._dirty = False
            try:
                os.fsync(self._fd)
            except OSError as error:
                self._fsync_error = error

    def _fsync_loop(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            # Without the lock: fsync may take long, and must not hold up the search. close() joins this thread first.
            self._fsync()

    def _repair(self) -> tuple[int, int]:
        """Cuts off a torn last line; returns the file's length and the next number."""
        size = os.fstat(self._fd).st_size
        line, start = self._last_line(size)
        last = _number(line)
        end = size
        if last is None and size > 0:
            end = start
            line, _ = self._last_line(end)
            last = _number(line)
            if last is None and end > 0:
                raise JournalError(f"journal {self.path} is damaged before its last line; restore the file from a copy")
        if line and decode(line).get("v", VERSION) > VERSION:
            raise JournalError(f"journal {self.path} was written by a newer RayNAS; resume it with that release")
        if end < size:
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
        return end, 0 if last is None else last + 1

    def _last_line(self, end: int) -> tuple[bytes, int]:
        """The last line before byte ``end`` (with its newline, if it has one), and where it starts."""
        tail = b""
        start = end
        while start > 0:
            step = min(_BLOCK, start)
            start -= step
            tail = os.pread(self._fd, step, start) + tail
            newline = tail.rfind(b"\n", 0, len(tail) - 1)
            if newline >= 0:
                return tail[newline + 1 :], start + newline + 1
        return tail, 0


def _number(line: bytes) -> int | None:
    """The number of a complete line of a journal; None for anything else."""
    if not line.endswith(b"\n"):
        return None
    try:
        return int(decode(line)["seq"])
    except ValueError:  # complete but damaged: a power cut can do that to the last line
        return None


def _fsync_folder(folder: Path) -> None:
    """Makes the file's name itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
