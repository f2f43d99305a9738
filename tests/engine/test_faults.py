"""Trials that go wrong: each is named for what it was, and the search goes on by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import raynas
from raynas.errors import SpaceError
from raynas.results.result import SearchResult
from raynas.tasks.digits import Digits
from raynas.tasks.task import Data

REPOSITORY = Path(__file__).resolve().parents[2]

# One space for all faults: a Choice says what befalls the trial.
SPACE = '''
import os, signal, time
import torch
from torch import nn
from raynas.space import Choice, Space, op


class Fate(nn.Module):
    """Does something terrible in its forward pass, or nothing."""

    def __init__(self, in_features: int, kind: str, size: int) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0
        if kind == "hang when built" and os.environ.get("RAYNAS_TEST_DRIVER") != str(os.getpid()):
            time.sleep(3_600)
        self.linear = nn.Linear(in_features, 10)

    def forward(self, x):
        if x.device.type != "meta" and os.environ.get("RAYNAS_TEST_DRIVER") != str(os.getpid()):
            self.calls += 1
            if self.kind == "raise" or (self.kind == "raise later" and self.calls > 4):
                raise ValueError("this architecture cannot be")
            if self.kind == "allocate":
                torch.empty(2**42)
            if self.kind == "grow":
                hoard = []
                while True:
                    hoard.append(bytearray(os.urandom(1)) * 2**26)
            if self.kind == "slow":
                time.sleep(4)
            if self.kind == "hang":
                time.sleep(3_600)
            if self.kind == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        x = self.linear(x)
        return x * float("nan") if self.kind == "nan" else x


def space(task):
    return Space(
        flat=op(nn.Flatten),
        fate=op(Fate, kind=Choice("well", *KINDS), size=Choice(*range(SIZES))),
    )
'''


def search_fates(tmp_path: Path, kinds: list[str], sizes: int = 3, **options: object) -> SearchResult:
    path = tmp_path / "fates.py"
    path.write_text(SPACE.replace("KINDS", repr(kinds)).replace("SIZES", str(sizes)))
    os.environ["RAYNAS_TEST_DRIVER"] = str(os.getpid())
    return raynas.search(
        f"{path}:space",
        strategy="random",
        epochs=1,
        scheduler="none",
        home=tmp_path / "home",
        name="s",
        mlflow=False,
        **options,
    )


def ends(found: SearchResult) -> dict[str, set[tuple[str, str | None]]]:
    seen: dict[str, set[tuple[str, str | None]]] = {}
    for trial in found.history.trials.values():
        seen.setdefault(str(trial.architecture["fate.kind"]), set()).add((trial.state, trial.reason))
    return seen


def test_exceptions_nan_and_memory_are_told_apart(tmp_path: Path) -> None:
    found = search_fates(tmp_path, ["raise", "allocate", "nan"], workers=2, seed=1)
    assert found.reason == "exhausted"
    assert len(found.history.trials) == 12
    assert ends(found) == {
        "well": {("completed", "budget")},
        "raise": {("failed", "exception")},
        "allocate": {("failed", "out_of_memory")},
        "nan": {("failed", "nan")},
    }
    error = next(trial.error for trial in found.history.trials.values() if trial.reason == "exception")
    assert error is not None
    assert (error["type"], error["message"]) == ("ValueError", "this architecture cannot be")
    assert "in forward" in error["traceback"]


@pytest.mark.slow
def test_a_tasks_data_is_no_trials_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Heavy(Digits):  # in here, so that it travels to the workers by value
        def load(self) -> Data:
            self.ballast = torch.empty(2**31, dtype=torch.uint8)  # 2 GiB of address space
            return super().load()

    monkeypatch.setattr("raynas.engine.run.fair_share_bytes", lambda workers: 2**30)
    limits = {"trials": 2, "epochs": 1, "workers": 1, "seed": 0, "mlflow": False}
    found = raynas.search("mlp", task=Heavy(), home=tmp_path / "home", **limits)
    assert [trial.state for trial in found.history.trials.values()] == ["completed", "completed"]


@pytest.mark.slow
def test_a_worker_that_dies_each_time_is_recorded_and_passed_by(tmp_path: Path) -> None:
    found = search_fates(tmp_path, ["die"], workers=1, seed=2)
    assert ends(found) == {"well": {("completed", "budget")}, "die": {("failed", "worker_died")}}
    assert found.reason == "exhausted"


@pytest.mark.slow
def test_a_step_that_takes_too_long_has_failed_whether_it_looks_at_the_clock_or_hangs(tmp_path: Path) -> None:
    fates = ["slow", "hang", "hang when built"]
    # Long enough for what is well on any machine; the slow one needs four seconds for each of its 23 batches.
    found = search_fates(tmp_path, fates, sizes=1, workers=2, seed=4, trial_timeout=20)
    assert ends(found) == {"well": {("completed", "budget")}, **dict.fromkeys(fates, {("failed", "timeout")})}
    errors = [trial.error for trial in found.history.trials.values() if trial.reason == "timeout"]
    assert all("raise --trial-timeout" in str(error["message"]) for error in errors if error is not None)


def test_when_nothing_works_the_search_ends_early_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "fates.py"
    path.write_text(SPACE.replace('Choice("well", *KINDS)', '"raise later"').replace("SIZES", "30"))
    os.environ["RAYNAS_TEST_DRIVER"] = str(os.getpid())
    found = raynas.search(
        f"{path}:space", strategy="random", epochs=1, home=tmp_path, name="s", workers=2, mlflow=False
    )
    assert (found.status, found.reason) == ("failed", "all_failed")
    assert len(found.history.trials) < 30  # of so many that there are: Ray asks ahead of what it reports
    assert "ValueError: this architecture cannot be" in found.message


def test_what_would_fail_in_every_trial_is_found_before_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "fates.py"
    path.write_text(SPACE.replace('Choice("well", *KINDS)', '"raise"').replace("SIZES", "30"))
    os.environ["RAYNAS_TEST_DRIVER"] = str(os.getpid())
    with pytest.raises(SpaceError, match="one training step .* ValueError: this architecture cannot be") as caught:
        raynas.search(f"{path}:space", home=tmp_path, name="s", workers=2, mlflow=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_rays_memory_monitor_ends_a_trial_and_not_the_search(tmp_path: Path) -> None:
    """Ray's monitor raises out of ``fit()``; the trial it killed is recorded and the search goes on."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    threshold = 1 - (free - 2.5 * 2**20) / total  # 2.5 GiB above what is used now
    if free < 6 * 2**20:
        pytest.skip("needs 6 GiB of free memory")
    (tmp_path / "run.py").write_text(
        "from pathlib import Path\n"
        "from tests.engine.test_faults import search_fates, ends\n"
        f"found = search_fates(Path({str(tmp_path)!r}), ['grow'], workers=1, seed=3)\n"
        "print(ends(found), found.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "run.py")],
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "RAY_memory_usage_threshold": f"{threshold:.3f}",
            "RAY_memory_monitor_refresh_ms": "100",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'grow': {('failed', 'out_of_memory')}" in done.stdout, done.stdout + done.stderr
    assert "'well': {('completed', 'budget')}" in done.stdout
    assert "exhausted" in done.stdout
