"""The clock of the limit on time, and the limit itself: what is a pause does not count."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from raynas.engine import interrupt
from raynas.engine.interrupt import interruptible
from raynas.running_clock import RunningClock

PATIENCE = 300.0


def test_a_gap_counts_a_little_and_a_step_back_nothing() -> None:
    times = iter([10.0, 11.0, 13.5, 3_613.5, 3_614.0, 1_000.0, 1_002.0])
    clock = RunningClock(lambda: next(times), longest_gap=5.0)
    assert [clock.seconds() for _ in range(6)] == [1.0, 3.5, 8.5, 9.0, 9.0, 11.0]


def test_a_process_that_is_stopped_does_not_use_up_its_time() -> None:
    """As Ctrl-Z does. Whatever the machine's load is, the second in which it stood still is not counted."""
    code = (
        "import time, sys; from raynas.running_clock import RunningClock\n"
        "clock, begun = RunningClock(longest_gap=0.2), time.monotonic()\n"
        "print('runs', flush=True)\n"
        "import threading; threading.Thread(target=sys.stdin.read, daemon=True).start()\n"
        "while threading.active_count() > 1: time.sleep(0.02); clock.seconds()\n"
        "print(time.monotonic() - begun, clock.seconds())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        passed, counted = map(float, process.stdout.readline().split())
    assert counted <= passed - 1.0 + 0.2 + 1e-3


def test_the_limit_on_time_goes_by_that_clock(tmp_path: Path, monkeypatch: Any) -> None:
    """The clock of the test goes on by a second at each reading, and once by a day."""
    readings = 0

    def read() -> float:
        nonlocal readings
        readings += 1
        return readings + (86_400.0 if readings > 3 else 0.0)

    stopped, ended_at = threading.Event(), []

    def stop(reason: str, *, checkpoint: bool) -> None:
        ended_at.append((reason, readings, checkpoint))
        stopped.set()

    monkeypatch.setattr(interrupt, "RunningClock", lambda: RunningClock(read))
    monkeypatch.setattr(interrupt, "_WATCH_SECONDS", 0.001)
    session: Any = SimpleNamespace(
        clock=RunningClock(), stop=stop, stop_reason=None, folder=SimpleNamespace(stop=tmp_path / "stop")
    )
    with interruptible(session, 20.0) as on_ready:
        on_ready(counts=False)
        on_ready()
        assert stopped.wait(PATIENCE)
    # From reading 1 on: seconds 1, 2, then the day (5), then one a reading: 20 at the 16th.
    assert ended_at == [("time", 17, True)]
