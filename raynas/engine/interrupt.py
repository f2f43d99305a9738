"""Interruptions: signals, the time limit, and what each of them asks of the session.

Ray returns from ``fit()`` in mid-step on Ctrl-C, without a word to the trials, so its handler is switched off and ours
asks the trials to checkpoint. Off the main thread (some notebooks, services) no signal handler can be set; the time
limit works there too.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from raynas.engine.session import Session


@contextmanager
def interruptible(session: Session, seconds: float | None) -> Iterator[None]:
    """While inside: the first SIGINT, SIGTERM or SIGHUP, or the end of ``seconds``, ends the session gently.

    A second signal raises KeyboardInterrupt at once.
    """
    timer = None
    if seconds is not None:
        timer = threading.Timer(seconds, lambda: session.stop("time", checkpoint=True))
        timer.daemon = True
        timer.start()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if session.stop_reason == "interrupted":
            raise KeyboardInterrupt
        session.stop("interrupted", checkpoint=True)
        print("interrupted: running trials checkpoint and end; once more to leave at once", file=sys.stderr, flush=True)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
