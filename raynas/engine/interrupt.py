"""Interruptions: signals, the time limit, and what each of them asks of the session.

Ray returns from ``fit()`` in mid-step on Ctrl-C, without a word to the trials, so its handler is switched off and ours
asks the trials to checkpoint. Off the main thread (some notebooks, services) no signal handler can be set; the time
limit works there too.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from raynas.engine.session import Session
from raynas.journal.events import SessionEnd
from raynas.running_clock import RunningClock

_WATCH_SECONDS = 0.25
#: Reasons for which the stop flag is there already.
_CHECKPOINTING: tuple[SessionEnd, ...] = ("interrupted", "time")

#: What Python has for a signal: a function, or one of its constants; None: what was not set by Python.
_Handler = Callable[[int, FrameType | None], object] | int | None


class OnReady(Protocol):
    """To be called once Ray is there; ``counts``: the limit on time counts from now on."""

    def __call__(self, *, counts: bool = True) -> None: ...


@contextmanager
def interruptible(session: Session, seconds: float | None) -> Iterator[OnReady]:
    """While inside: the first SIGINT, SIGTERM or SIGHUP, ``raynas stop``, or the end of ``seconds``, ends the session.

    A second signal raises KeyboardInterrupt at once. Yields a function to call once Ray is there: the signals are taken
    again, since Ray's start puts a handler of its own in the place of SIGTERM's, and the seconds count from then (from
    the next call, with ``counts=False``).
    """
    ready, left = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(session, seconds, ready, left), name="raynas-watcher", daemon=True)
    watcher.start()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if session.stop_reason == "interrupted":
            print("leaving at once: what has no checkpoint is trained again on resume", file=sys.stderr, flush=True)
            raise KeyboardInterrupt
        session.stop("interrupted", checkpoint=True)
        print("interrupted: running trials checkpoint and end; once more to leave at once", file=sys.stderr, flush=True)

    before: dict[signal.Signals, _Handler] = {}

    def take_signals() -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if which != signal.SIGHUP or signal.getsignal(which) != signal.SIG_IGN:  # ignored: nohup
                before.setdefault(which, signal.getsignal(which))
                signal.signal(which, on_signal)

    def on_ready(*, counts: bool = True) -> None:
        take_signals()
        if counts:
            session.clock = RunningClock()
            ready.set()

    take_signals()
    try:
        yield on_ready
    finally:
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(session: Session, seconds: float | None, ready: threading.Event, left: threading.Event) -> None:
    """Ends the session when its time is up, or when another process has put the stop flag there.

    It is also who reads the session's clock often.
    """
    while not left.wait(_WATCH_SECONDS):
        used = session.clock.seconds()
        if seconds is not None and ready.is_set() and used >= seconds:
            session.stop("time", checkpoint=True)
            seconds = None
        elif session.stop_reason not in _CHECKPOINTING and session.folder.stop.exists():
            session.stop("interrupted", checkpoint=True)
