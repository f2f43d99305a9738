"""Searches as processes of their own, watched by their journals: shared by the tests that interrupt and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from raynas.storage.search_folder import SearchFolder

PATIENCE = 300.0
MEASURED, LINE = b'"event":"measured"', b"\n"


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "raynas", *words],
        env={**os.environ, "RAYNAS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def written(folder: SearchFolder, what: bytes = MEASURED) -> int:
    """How often that stands in the journal."""
    try:
        return folder.journal.read_bytes().count(what)
    except FileNotFoundError:
        return 0


def wait_for_more(
    process: subprocess.Popen[str], folder: SearchFolder, more: int, what: bytes = MEASURED, patience: float = PATIENCE
) -> bool:
    """Whether so many were added to the journal before the search ended by itself."""
    wanted, until = written(folder, what) + more, time.monotonic() + patience
    while written(folder, what) < wanted:
        if process.poll() is not None:
            return False
        assert time.monotonic() < until, "the search does not go on"
        time.sleep(0.002)
    return True


def kill_everything(process: subprocess.Popen[str]) -> None:
    """The driver and all that it started, Ray's own processes among them, at one go."""
    family = [process.pid]
    for pid in family:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                family += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_twice(home: Path, words: Sequence[str], folder: SearchFolder, more: Callable[[], int]) -> None:
    """Begins a search, kills it twice with all that it started, and resumes it each time, the last time to its end.

    Args:
        words: of the command that begins it.
        more: gives how many measurements there are to be before the next kill.
    """
    process, kills = command(home, *words), 0
    while kills < 2 and wait_for_more(process, folder, more()):
        kill_everything(process)
        process.communicate(timeout=PATIENCE)
        kills += 1
        process = command(home, "resume", folder.name)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert kills == 2, "the search was over before it was killed"
