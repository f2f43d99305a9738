"""Searches as processes of their own, watched by their journals: shared by the tests that interrupt and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
