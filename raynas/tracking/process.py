"""The tracker as a process of its own: started beside a search, asked to finish, one at a time for each search.

It is a process and not a thread, since a thread would fight the driver for the interpreter; in a session of its own,
so that Ctrl-C in the search's terminal does not cut it off. The search's process holds the writing end of its standard
input: when that is closed, by ``finish`` or by a death, the tracker writes what is left and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from raynas.tracking.position import load_position

_LOG = "tracker.log"
_TAIL_BYTES = 1 << 20


class TrackerProcess:
    """A running tracker, seen from the search's process. Nothing here waits, but for ``finish``."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._process = process

    @property
    def pid(self) -> int:
        """The tracker's process id."""
        return self._process.pid

    def finish(self, timeout_seconds: float) -> str:
        """Asks the tracker to write what is left and end, and waits for it, at most so long.

        A tracker that needs longer goes on by itself; one whose store does not answer gives up after a minute.

        Returns:
            One line that says what is not in MLflow, and what to do; "" if all is.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()  # a signal could come before the new process is ready for it
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_seconds)
        name, position = self.folder.name, load_position(self.folder)
        total = _last_seq(self.folder / "journal.jsonl") + 1
        missing = total - (0 if position is None else position.seq + 1)
        ended = self._process.poll() is not None
        if missing <= 0 and ended and position is not None and position.closed:
            refused = position.trouble
            return "" if refused is None else f"{refused}; try again: raynas sync {name}"
        what = f"the last {missing} of {total} events are" if missing > 0 else "the search's end is"
        if position is not None and position.problem:
            return f"{what} not in MLflow yet ({position.problem}); when that is mended: raynas sync {name}"
        if not ended:
            return f"{what} still being written in the background; if that is cut off: raynas sync {name}"
        return f"{what} not in MLflow yet; write them: raynas sync {name} (why: {self.folder / _LOG})"

    def trouble(self) -> str | None:
        """What keeps the search out of MLflow at the moment, one line; None where nothing is known to."""
        position = load_position(self.folder)
        if position is not None and position.trouble:
            return position.trouble
        code = self._process.poll()
        return None if not code else f"the process that writes to it has ended (why: {self.folder / _LOG})"

    def kill(self) -> None:
        """Ends the tracker at once; the next one goes on where it was."""
        self._process.kill()
        self._process.wait()


def start(folder: Path, *, tracking_uri: str | None = None) -> TrackerProcess:
    """Starts a tracker for the search in ``folder``, whose lock the caller holds; returns at once.

    Args:
        tracking_uri: the MLflow store; default ``$MLFLOW_TRACKING_URI``, else the SQLite file in the searches' home.
            It goes by the environment, where other users of the machine do not see its password.
    """
    folder = folder.absolute()
    position = load_position(folder)
    if position is not None and position.problem:  # of another time: whether it is still there is to be seen
        replace(position, problem=None).save(folder)
    command = [sys.executable, "-m", "raynas.tracking", str(folder), "--until-end-of-input"]
    environment = dict(os.environ)
    if tracking_uri is not None:
        environment["MLFLOW_TRACKING_URI"] = tracking_uri
    with (folder / _LOG).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
    return TrackerProcess(folder, process)


def _last_seq(journal: Path) -> int:
    """The number of the journal's last whole line; -1 where there is none."""
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return -1
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)["seq"])
    return -1
