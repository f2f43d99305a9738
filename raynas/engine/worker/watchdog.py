"""The limit on a step's time, and on the time that building a network takes.

An evaluator that looks at its stop flag every batch is told at the next one, by an exception. One that does not, since
it hangs, is killed some time later; a note in the trial's folder tells the process that tries the trial again, which
then reports the timeout and does not try.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raynas.errors import StepTimeout

#: A step that has not looked at its stop flag for this share of its limit beyond it is taken to hang.
_PATIENCE = 0.5
_MINIMUM_PATIENCE_SECONDS = 2.0
_NOTE = "timed-out"


class Watchdog:
    """Looks at how long the step under way takes.

    Args:
        seconds: the limit (None: none).
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._begun: float | None = None
        self._what = ""

    def check(self) -> None:
        """Raises StepTimeout when what is under way has had its time."""
        if self.seconds is not None and self._begun is not None and time.monotonic() - self._begun > self.seconds:
            raise StepTimeout(self._message())

    def _message(self) -> str:
        limit = f"the limit of {self.seconds:g} s"
        return f"{self._what} took longer than {limit}; raise --trial-timeout if it should have it"

    @contextmanager
    def over(self, folder: Path, what: str = "a step") -> Iterator[None]:
        """Watches one step of the trial in ``folder``, or ``what`` comes before it."""
        if self.seconds is None:
            yield
            return
        self._begun, self._what = time.monotonic(), what
        patience = max(_MINIMUM_PATIENCE_SECONDS, _PATIENCE * self.seconds)
        killer = threading.Timer(self.seconds + patience, self._kill, (folder,))
        killer.daemon = True
        killer.start()
        try:
            yield
        finally:
            killer.cancel()
            self._begun = None

    def _kill(self, folder: Path) -> None:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _NOTE).write_text(self._message())
        os.kill(os.getpid(), signal.SIGKILL)


def timed_out_before(folder: Path) -> None:
    """Raises StepTimeout where the trial's last process was killed for hanging."""
    with suppress(FileNotFoundError):
        raise StepTimeout((folder / _NOTE).read_text())
