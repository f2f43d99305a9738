"""Reads a journal: from its beginning, or from a byte position, for a process that follows a running search.

A torn last line, which an interruption leaves, is left out. The writer cuts it off when it opens the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from raynas.errors import JournalError
from raynas.journal.events import VERSION, decode


def read(path: str | PathLike[str]) -> Iterator[dict[str, Any]]:
    """All events of a journal, in order.

    Raises:
        JournalError: there is no such file, a line before the last one is damaged or missing, or the journal was
            written by a release of RayNAS with a newer journal version.
    """
    for event, _ in _events(Path(path), 0):
        yield event


def read_from(path: str | PathLike[str], offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The events after a byte position, and the position to go on from next time.

    Args:
        path: the journal.
        offset: 0, or a position that an earlier call returned.

    Returns:
        The complete events after ``offset``, and the position behind the last of them. Only what no repair takes back
        is given out, so a position stays good as long as the machine does not lose power.

    Raises:
        JournalError: as ``read``; also if the file is shorter than ``offset`` (read again from 0).
    """
    events = []
    for event, end in _events(Path(path), offset):
        events.append(event)
        offset = end
    return events, offset


def _events(path: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    try:
        with path.open("rb") as file:
            yield from _decoded(path, file, offset)
    except OSError as error:
        raise JournalError(f"journal {path} cannot be read: {error.strerror}; check the path") from error


def _decoded(path: Path, file: BinaryIO, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    if file.seek(0, 2) < offset:
        raise JournalError(f"journal {path} ends before byte {offset}, up to where it was read; read it again from 0")
    file.seek(offset)
    start = offset
    expected = 0 if start == 0 else None
    damaged: str | None = None  # what is wrong with the previous line: forgiven if it turns out to be the last
    for count, line in enumerate(file, start=1):
        if damaged is not None:
            raise JournalError(damaged)
        if not line.endswith(b"\n"):
            return
        where = f"line {count}" if start == 0 else f"the line at byte {offset}"
        try:
            event = decode(line)
        except ValueError:
            damaged = f"journal {path}: {where} is damaged and others follow it; restore the file from a copy"
            continue
        version, number = event.get("v", VERSION), event["seq"]
        if version > VERSION:
            raise JournalError(f"journal {path}: {where} has version {version}; install a RayNAS that reads it")
        if expected is not None and number != expected:
            wrong = f"{where} is number {number} where {expected} should be"
            raise JournalError(f"journal {path}: {wrong}; restore the file from a copy")
        expected = event["seq"] + 1
        offset += len(line)
        yield event, offset
