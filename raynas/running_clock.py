"""How long a search has run, for its limit on time: what neither a pause nor a clock that somebody sets can change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: The clock is read four times a second while a search runs. A longer time than this between two readings is a pause.
LONGEST_GAP_SECONDS = 5.0


class RunningClock:
    """Seconds that this process has run since the clock was made. It must be read often.

    A process that is stopped (Ctrl-Z) and a machine that sleeps do not read the clock, so a gap between two readings is
    a pause: of it ``longest_gap`` seconds are counted. It is wide enough for a machine that is busy.

    Args:
        read: a clock that does not go backwards, in seconds.
        longest_gap: what a gap counts at most.
    """

    def __init__(self, read: Callable[[], float] = time.monotonic, longest_gap: float = LONGEST_GAP_SECONDS) -> None:
        self._read, self._longest_gap = read, longest_gap
        self._lock = threading.Lock()
        self._last, self._seconds = read(), 0.0

    def seconds(self) -> float:
        """Reads the clock."""
        with self._lock:
            now = self._read()
            self._seconds += min(max(0.0, now - self._last), self._longest_gap)
            self._last = now
            return self._seconds
