"""The file that asks a search's workers to stop, looked up a few times a second."""

from __future__ import annotations

import time
from pathlib import Path

#: The file may lie on a network; asking more often than this gains nothing.
_POLL_SECONDS = 0.1


class StopFlag:
    """State: whether the file was there when it was last looked up.

    Args:
        path: the file (``SearchFolder.stop``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked, self._there = 0.0, False

    def __call__(self) -> bool:
        """Whether it is there."""
        now = time.monotonic()
        if now - self._looked >= _POLL_SECONDS:
            self._looked, self._there = now, self._path.exists()
        return self._there
