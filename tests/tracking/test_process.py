"""The tracker's process beside a search: it follows, ends by itself, says what is missing, and is never waited for."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tracking_support import JournalMaker, all_runs, compare, search_lock, server_that_answers, trial_runs

from raynas.engine.tracking_process import tracked
from raynas.errors import UserError
from raynas.storage.search_folder import SearchFolder
from raynas.tracking import start, sync
from raynas.tracking.position import load_position
from raynas.tracking.ui import find_experiment

PATIENCE_SECONDS = 120.0


def until(true, what: str) -> None:
    """Waits for it; the limit is for hangs alone."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.1)


def closed(folder: Path) -> bool:
    position = load_position(folder)
    return position is not None and position.closed


def gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def dead_address(user: str) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://{user}127.0.0.1:{probe.getsockname()[1]}"


def children_with(argument: str) -> list[int]:
    """The processes with this argument that were started here; none of their arguments is a password."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if argument in arguments:
                assert not [each for each in arguments if "s3cret" in each]
                found.append(int(pid))
    return found


def test_it_follows_a_search_and_finishes_with_it(home: Path, uri: str):
    maker = JournalMaker(home / "live")
    with search_lock(maker.folder):
        tracker = start(maker.folder)
        maker.begin()
        trial = maker.propose()
        maker.start(trial)
        maker.measure(trial, 1)
        until(lambda: trial in trial_runs(uri, "live"), "the run of a trial under way")
        assert trial_runs(uri, "live")[trial].info.status == "RUNNING"
        maker.run(trial, first_step=2)
        maker.end()
        assert tracker.finish(PATIENCE_SECONDS) == ""
    compare(uri, maker.folder)


def test_the_search_is_killed_and_resumed(home: Path, uri: str):
    maker = JournalMaker(home / "dies", seed=4)
    with search_lock(maker.folder):
        first = start(maker.folder)
        maker.begin()
        trial = maker.propose()
        maker.start(trial)
        maker.measure(trial, 1)
        until(lambda: trial in trial_runs(uri, "dies"), "the run of a trial under way")
        assert {run.info.status for run in all_runs(uri, "dies")} == {"RUNNING"}
    # The lock is gone, the pipe is not: as after a death that left a child of the search behind.
    until(lambda: gone(first.pid), "the end of a tracker whose search is dead")
    assert {run.info.status for run in all_runs(uri, "dies")} == {"KILLED"}
    with search_lock(maker.folder):
        second = start(maker.folder)
        maker.begin()
        maker.start(trial, attempt=1)
        maker.run(trial, first_step=2)
        maker.end()
        assert second.finish(PATIENCE_SECONDS) == ""
    compare(uri, maker.folder)


def test_a_second_tracker_takes_over(home: Path, uri: str):
    maker = JournalMaker(home / "two")
    with search_lock(maker.folder):
        maker.begin()
        first = start(maker.folder)
        until(lambda: load_position(maker.folder) is not None, "a first position")
        with pytest.raises(UserError, match="is being written to MLflow by process"):
            sync(maker.folder)
        second = start(maker.folder)
        until(lambda: gone(first.pid), "the end of the first tracker")
        maker.run(maker.propose())
        maker.end()
        assert second.finish(PATIENCE_SECONDS) == ""
    compare(uri, maker.folder)


def test_a_dead_server_is_not_waited_for_and_its_password_is_not_told(
    home: Path, uri: str, caplog: pytest.LogCaptureFixture
):
    """The search says what is the matter while it runs, and again at its end."""
    maker = JournalMaker(home / "dead")
    address = dead_address("ann:s3cret@")
    shown = address.replace("ann:s3cret", "***")
    session: Any = SimpleNamespace(stop_reason="interrupted", tracking_message="", facts=0, refused=False)
    folder = SearchFolder(home, "dead")
    with search_lock(maker.folder):
        with tracked(folder, session, address):
            session.when_checked()
            maker.begin()
            maker.run(maker.propose())
            (tracker,) = children_with(str(maker.folder))
            until(lambda: caplog.messages, "word of the trouble")
            maker.end()
        os.kill(tracker, signal.SIGKILL)
        until(lambda: gone(tracker), "the end of the tracker")
    (said,) = caplog.messages
    assert said.startswith(f"MLflow: {shown} does not answer: ")
    assert said.endswith("; the search goes on, and raynas sync writes what is missing")
    position = load_position(maker.folder)
    assert position is not None
    assert str(position.trouble).startswith(f"{shown} does not answer: ")
    line = session.tracking_message
    assert "are not in MLflow yet" in line
    assert f"{shown} does not answer" in line
    assert "raynas sync dead" in line
    told = [line, said, *(path.read_text() for path in maker.folder.iterdir())]
    assert not [text for text in told if "s3cret" in text]
    sync(maker.folder, uri)  # into the home's own store instead
    compare(uri, maker.folder)


@pytest.mark.parametrize(
    ("status", "body"), [(401, b"You are not authenticated."), (403, b'{"message": "a gateway\'s own JSON"}')]
)
def test_a_server_that_wants_another_password_is_not_called_dead(
    home: Path, uri: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
):
    """It is given up at once when the search is over; nobody asks a company's proxy for a server of this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "" if "no" in name.lower() else "http://127.0.0.1:9")
    maker = JournalMaker(home / "denied").whole(1)
    with server_that_answers(status, body) as address:
        with pytest.raises(UserError, match=rf"events are not in MLflow: {address} refused \({status}\): "):
            sync(maker.folder, address)
        if status == 401:
            line = start(maker.folder, tracking_uri=address).finish(PATIENCE_SECONDS)
            assert f"({address} refused (401): " in line
            assert line.endswith("when that is mended: raynas sync denied")


def test_ctrl_c_in_the_terminal_does_not_reach_it(home: Path, uri: str):
    maker = JournalMaker(home / "group")
    with search_lock(maker.folder):
        tracker = start(maker.folder)
        assert os.getpgid(tracker.pid) != os.getpgid(0)
        maker.begin()
        maker.end("interrupted")
        assert tracker.finish(PATIENCE_SECONDS) == ""
    assert [run.info.status for run in all_runs(uri, "group")] == ["KILLED"]


def test_kill_and_go_on(home: Path, uri: str):
    maker = JournalMaker(home / "killed", seed=8)
    with search_lock(maker.folder):
        tracker = start(maker.folder)
        maker.begin()
        maker.run(maker.propose())
        tracker.kill()
        maker.run(maker.propose())
        maker.end()
    sync(maker.folder)
    compare(uri, maker.folder)


def test_where_a_search_can_be_seen(home: Path, uri: str):
    maker = JournalMaker(home / "seen").whole(1)
    with pytest.raises(UserError, match="not in MLflow yet; write it there: raynas sync seen"):
        find_experiment(home, "seen")
    report = sync(maker.folder)
    assert find_experiment(home, "seen") == (uri, report.experiment_id)
    assert find_experiment(home, None) == (uri, None)


def test_finishing_at_once_writes_what_is_there(home: Path, uri: str):
    maker = JournalMaker(home / "told")
    maker.begin()
    with search_lock(maker.folder):
        for _ in range(5):
            maker.run(maker.propose())
        maker.end()
        assert start(maker.folder).finish(PATIENCE_SECONDS) == ""
    assert closed(maker.folder)
    compare(uri, maker.folder)
