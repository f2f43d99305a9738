"""Which way a metric is good: known of RayNAS's own, declared by a task for its own, asked for of any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas import api
from raynas.cli.app import call
from raynas.errors import SpecError, UserError
from raynas.objectives.objective import Objective, mode_of

OBJECTIVE = Objective("val_rmse", "min")

TASK = """
import torch
from raynas.objectives.objective import Objective
from raynas.tasks.task import Data, Task

class Housing(Task):
    name = "housing"
    input_shape = (6,)
    num_classes = 1
    objective = Objective("val_rmse", "min")
    directions = {"val_fit": "max"}
    default_epochs = 1

    def load(self):
        inputs = torch.randn(60, 6)
        return Data(inputs[:40], inputs[:40, :1], inputs[40:], inputs[40:, :1])

    def loss(self, outputs, targets, label_smoothing=0.0):
        return (outputs - targets).pow(2).mean()

    def metrics(self, outputs, targets):
        error = (outputs - targets).pow(2).mean().sqrt().item()
        return {"rmse": error, "fit": -error, "mae": error}
"""


@pytest.mark.parametrize(
    ("metric", "mode"),
    [("val_rmse", "min"), ("val_fit", "max"), ("val_loss", "min"), ("train_loss", "min"), ("val_accuracy", "max")],
)
def test_a_direction_is_known(metric: str, mode: str) -> None:
    assert mode_of(metric, OBJECTIVE, {"val_fit": "max"}) == mode


def test_a_task_knows_better_than_a_name() -> None:
    assert mode_of("val_accuracy", OBJECTIVE, {"val_accuracy": "min"}) == "min"
    assert mode_of("val_loss", Objective("val_loss", "max"), {}) == "max"


def test_a_direction_that_nobody_knows_is_asked_for() -> None:
    for metric in ("val_mae", "val_other_loss", "lr"):
        with pytest.raises(
            SpecError, match=f"'{metric}' is to be small or large is not known.*--mode min or --mode max"
        ):
            mode_of(metric, OBJECTIVE, {})
    with pytest.raises(SpecError, match=r"did you mean 'val_accuracy'\?"):
        mode_of("val_acuracy", OBJECTIVE, {})
    with pytest.raises(SpecError, match="'val_mae' is to be small or large is not known; say it"):
        mode_of("val_mae", OBJECTIVE, {})  # another one is near by its name alone
    with pytest.raises(SpecError, match="declared for 'val_mae' is 'low'; it must be 'min' or 'max'"):
        mode_of("val_mae", OBJECTIVE, {"val_mae": "low"})


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(TASK, encoding="utf-8")
    return "task.py:Housing"


@pytest.mark.parametrize(
    ("settings", "objective"),
    [
        ({}, "val_rmse, smaller is better"),
        ({"metric": "val_rmse"}, "val_rmse, smaller is better"),
        ({"metric": "val_fit"}, "val_fit, larger is better"),
        ({"metric": "val_loss"}, "val_loss, smaller is better"),
        ({"metric": "val_mae", "mode": "min"}, "val_mae, smaller is better"),
    ],
)
def test_a_plan_says_it(
    task: str, settings: dict[str, str], objective: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for key, value in settings.items() for word in (f"--{key}", value)]
    assert call(["search", "mlp", "--task", task, "--dry-run", "--trials", "2", *options]) == 0
    assert f"  {'metric':<18} {objective}\n" in capsys.readouterr().out


@pytest.mark.parametrize("from_file", [True, False])
def test_nothing_starts_where_nobody_knows_it(
    task: str, from_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "search.yaml").write_text(f"space: mlp\ntask: {task}\nmetric: val_mae\n", encoding="utf-8")
    typed = ["--config", "search.yaml"] if from_file else ["mlp", "--task", task, "--metric", "val_mae"]
    assert call(["search", *typed, "--name", "s"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "'val_mae'" in lines[0]
    assert "--mode min or --mode max" in lines[0]
    assert not (tmp_path / "raynas-runs").exists()
    with pytest.raises(UserError, match="--mode min"):
        api.plan("mlp", task=task, metric="val_mae")
