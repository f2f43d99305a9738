"""Real searches of ``resnet`` on digits, interrupted in every way there is, and resumed: every trial is there once."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raynas.journal import History, read
from raynas.registry import find
from raynas.storage.search_folder import SearchFolder, is_locked
from raynas.tasks.digits import Digits
from tests.engine.journals import check_journal
from tests.engine.processes import PATIENCE, command, wait_for_more, written

pytestmark = pytest.mark.slow


def interrupt(how: str, process: subprocess.Popen[str], home: Path) -> str:
    if how == "stop":
        asked = command(home, "stop", "s")
        said, _ = asked.communicate(timeout=PATIENCE)
        assert asked.returncode == 0, said
    elif how == "twice":
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
    elif how == "SIGTERM":  # as a batch system and ``timeout`` send it: to the whole group
        os.killpg(process.pid, signal.SIGTERM)
    else:
        os.kill(process.pid, getattr(signal, how))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    return output


def test_each_way_of_interrupting_loses_nothing(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "s")
    begin = ("search", "resnet", "--strategy", "tpe", "--trials", "10", "--name", "s", "--seed", "5", "--no-mlflow")
    process = command(tmp_path, *begin, "--epochs", "3")
    for how in ("SIGINT", "SIGTERM", "SIGHUP", "stop", "twice"):
        if not wait_for_more(process, folder, 2):
            break
        output = interrupt(how, process, tmp_path)
        assert "Traceback" not in output
        assert not is_locked(folder)
        history = History.from_events(read(folder.journal))
        assert history.sessions[-1].reason == "interrupted"
        if how != "twice":
            assert "raynas resume s" in output
            checkpoints = [path.parent.name for path in folder.checkpoints.glob("*/step-*.safetensors")]
            assert {f"{number:06d}" for number in history.running} <= set(checkpoints)
        process = command(tmp_path, "resume", "s")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    space = find("raynas.spaces", "resnet")(Digits())
    check_journal(folder.journal, space, trials=10)


def test_after_ctrl_c_in_a_terminal_running_trials_checkpoint(tmp_path: Path) -> None:
    """The terminal sends the signal to every process of the group."""
    folder = SearchFolder(tmp_path, "s")
    words = ("search", "resnet", "--trials", "4", "--epochs", "30", "--scheduler", "none", "--name", "s", "--no-mlflow")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["RAYNAS_HOME"] = str(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "raynas", *words])
    printed, typed, until = b"", False, time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < until, printed.decode()
        try:
            printed += os.read(terminal, 4_096) if select.select([terminal], [], [], 0.1)[0] else b""
        except OSError:  # the other side was closed: the search has ended
            break
        if not typed and written(folder) >= 2:
            os.write(terminal, b"\x03")
            typed = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130, printed.decode()
    assert b"raynas resume s" in printed
    assert b"Traceback" not in printed
    history = History.from_events(read(folder.journal))
    assert history.sessions[-1].reason == "interrupted"
    assert history.counts["failed"] == 0
    for number in history.running:
        assert list(folder.trial_folder(number).glob("step-*.safetensors"))


def test_at_the_time_limit_running_trials_checkpoint_and_stay_unfinished(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "s")
    words = ("search", "resnet", "--trials", "4", "--time", "24h", "--epochs", "60", "--scheduler", "none")
    process = command(tmp_path, *words, "--name", "s", "--workers", "1", "--no-mlflow")
    assert wait_for_more(process, folder, 2)
    interrupt("SIGINT", process, tmp_path)
    used = History.from_events(read(folder.journal)).elapsed_seconds
    process = command(tmp_path, "resume", "s", "--time", f"{used + 1:.1f}s")  # too little for what is left anywhere
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "resumed, they go on from there" in output
    history = History.from_events(read(folder.journal))
    assert history.sessions[-1].reason == "time"
    assert list(history.running) == [0]
    assert list(folder.trial_folder(0).glob("step-*.safetensors"))
    again = command(tmp_path, "resume", "s")
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert "nothing is left to do" in output
    more = command(tmp_path, "resume", "s", "--time", "20m", "--trials", "2")
    output, _ = more.communicate(timeout=PATIENCE)
    assert more.returncode == 0, output
    history = History.from_events(read(folder.journal))
    assert [trial.state for trial in history.trials.values()] == ["completed"] * 2
    assert [m.step for m in history.trials[0].measurements] == list(range(1, 61))


def test_a_time_in_which_nothing_was_measured_is_no_success(tmp_path: Path) -> None:
    process = command(tmp_path, "search", "resnet", "--time", "0.1s", "--epochs", "9", "--name", "s", "--no-mlflow")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    assert "no trial was measured in that time" in output
    assert "next:    raynas resume s --time 2m" in output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(ballast: Path) -> None:
    """Takes all the room there is."""
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, b"x" * 1_000)
    except OSError:
        os.close(file)


def test_a_full_disk_stops_the_search_and_nothing_is_torn(small_disk: Path) -> None:
    folder = SearchFolder(small_disk, "s")
    ballast = small_disk / "ballast"
    words = ("search", "resnet", "--trials", "6", "--epochs", "3", "--name", "s", "--seed", "3", "--no-mlflow")
    process = command(small_disk, *words)
    assert wait_for_more(process, folder, 2)
    fill(ballast)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0, output
    assert "No space left" in output or "no space left" in output
    assert "resume" in output
    assert "Traceback" not in output
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    resumed = command(small_disk, "resume", "s")
    output, _ = resumed.communicate(timeout=PATIENCE)
    assert resumed.returncode == 0, output
    check_journal(folder.journal, find("raynas.spaces", "resnet")(Digits()), trials=6)


def test_a_second_process_on_the_same_search_is_refused(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "s")
    process = command(tmp_path, "search", "mlp", "--trials", "100000", "--name", "s", "--no-mlflow")
    assert wait_for_more(process, folder, 1)
    for words in (("resume", "s"), ("search", "mlp", "--name", "s")):
        second = command(tmp_path, *words)
        output, _ = second.communicate(timeout=PATIENCE)
        assert second.returncode == 2, output
        assert output.count("\n") == 1, output
        assert ("is being run by process" in output) or ("exists" in output)
    interrupt("SIGINT", process, tmp_path)
