"""Real processes, really killed: no finished trial is lost or repeated, and the search goes on as if nothing was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raynas.journal import History, read
from raynas.journal.finalists import finalists, leaders
from raynas.registry import find
from raynas.space import Space
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.digits import Digits
from tests.engine.journals import check_journal, outcome
from tests.engine.processes import LINE, kill_everything, wait_for_more

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 240.0


@pytest.fixture(scope="module")
def space() -> Space:
    return find("raynas.spaces", "resnet")(Digits())


@contextmanager
def victim(home: Path, name: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.victim", str(home), name, *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def finish(home: Path, name: str, *options: str) -> None:
    with victim(home, name, *options) as process:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        assert output.split()[-1] == "trials", output


def kill_a_worker(folder: SearchFolder, rng: random.Random) -> bool:
    """Whether a process that had a trial in hand was killed."""
    running = list(History.from_events(read(folder.journal)).running)
    rng.shuffle(running)
    for number in running:
        try:
            note = json.loads(folder.worker_note(number).read_text())
            os.kill(int(note["pid"]), signal.SIGKILL)
        except (OSError, ValueError):
            continue
        return True
    return False


def all_unharmed(folder: SearchFolder) -> bool:
    """Whether no trial under way has lost a worker before: at the third time it has failed, as it should."""
    events = list(read(folder.journal))
    starts = Counter(event["trial"] for event in events if event["event"] == "trial_started")
    starts.subtract(Counter(event["trial"] for event in events if event["event"] == "trial_promoted"))
    return all(starts[number] < 2 for number in History.from_events(events).under_way)


def finished(folder: SearchFolder) -> dict[int, tuple[str, int]]:
    history = History.from_events(read(folder.journal))
    return {number: (history.trials[number].state, history.trials[number].steps) for number in history.ended}


@pytest.mark.parametrize(
    ("strategy", "workers", "scheduler"),
    [
        ("evolution", 1, "asha"),
        ("random", 2, "asha"),
        ("evolution", 1, "asha_promotion"),
        ("evolution", 2, "asha_promotion"),
    ],
)
def test_a_driver_killed_at_random_moments(
    tmp_path: Path, space: Space, strategy: str, workers: int, scheduler: str
) -> None:
    rng = random.Random(f"{strategy}{workers}")
    options = ("--strategy", strategy, "--workers", str(workers), "--trials", "40", "--scheduler", scheduler)
    folder = SearchFolder(tmp_path, "s")
    for kill in range(5):
        with victim(tmp_path, "s", *options) as process:
            if not wait_for_more(process, folder, rng.randint(3, 30), LINE, PATIENCE):
                break
            if kill % 2:
                kill_everything(process)
            else:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        before = finished(folder)
        if kill % 3 == 1:  # what a write that was cut off leaves behind
            with folder.journal.open("ab") as file:
                file.write(b'{"v":1,"seq":')
        elif kill % 3 == 2:
            os.truncate(folder.journal, folder.journal.stat().st_size - 3)
            before = finished(folder)
        with victim(tmp_path, "s", *options) as process:
            wait_for_more(process, folder, 2, LINE, PATIENCE)
            kill_everything(process)
            process.wait()
        after = finished(folder)
        assert {number: after[number] for number in before} == before
    finish(tmp_path, "s", *options)
    events = check_journal(folder.journal, space, trials=40)
    if workers == 1:
        finish(tmp_path, "twin", *options)
        assert outcome(events) == outcome(list(read(SearchFolder(tmp_path, "twin").journal)))
    best = {f"{trial.number:06d}" for trial in History.from_events(events).best(3)}
    assert {path.name for path in folder.checkpoints.iterdir()} == best


@pytest.mark.parametrize("workers", [1, 2])
def test_a_driver_killed_while_finalists_are_trained_again(tmp_path: Path, space: Space, workers: int) -> None:
    rng = random.Random(f"finalists{workers}")
    options = ("--workers", str(workers), "--trials", "6", "--finalists", "3", "--noise", "0.05")
    folder = SearchFolder(tmp_path, "s")
    with victim(tmp_path, "s", *options) as process:
        assert wait_for_more(process, folder, 1, b'"repeat_of"', PATIENCE)
        kill_everything(process)
        process.wait()
    for _ in range(3):
        before = finished(folder)
        with victim(tmp_path, "s", *options) as process:
            wait_for_more(process, folder, rng.randint(3, 25), LINE, PATIENCE)
            kill_everything(process)
            process.wait()
        after = finished(folder)
        assert {number: after[number] for number in before} == before
    finish(tmp_path, "s", *options)
    history = History.from_events(read(folder.journal))
    events = check_journal(folder.journal, space, trials=len(history.trials))
    chosen = leaders(history, 3)
    assert history.searched == 6
    assert {one.original.number for one in finalists(history)} == {record.number for record in chosen}
    assert [len(one.repeats) for one in finalists(history)] == [3] * len(chosen)
    if workers == 1:
        finish(tmp_path, "twin", *options)
        assert outcome(events) == outcome(list(read(SearchFolder(tmp_path, "twin").journal)))


@pytest.mark.parametrize(("workers", "scheduler"), [(1, "asha"), (2, "asha"), (2, "asha_promotion")])
def test_workers_killed_at_random_moments_and_between_checkpoint_and_report(
    tmp_path: Path, space: Space, workers: int, scheduler: str
) -> None:
    rng = random.Random(workers)
    options = ("--workers", str(workers), "--trials", "60", "--scheduler", scheduler)
    folder = SearchFolder(tmp_path, "s")
    kills = 0
    with victim(tmp_path, "s", *options) as process:
        while kills < 5 and wait_for_more(process, folder, rng.randint(5, 25), LINE, PATIENCE):
            if not all_unharmed(folder):
                continue
            if kills % 2:
                (tmp_path / "die-after-checkpoint").touch()
                while (tmp_path / "die-after-checkpoint").exists() and process.poll() is None:
                    time.sleep(0.01)
            elif not kill_a_worker(folder, rng):
                continue
            kills += 1
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    assert kills == 5
    events = check_journal(folder.journal, space, trials=60)
    assert {event["state"] for event in events if event["event"] == "trial_ended"} <= {"completed", "stopped"}
    if workers == 1:
        finish(tmp_path, "twin", *options)
        assert outcome(events) == outcome(list(read(SearchFolder(tmp_path, "twin").journal)))
