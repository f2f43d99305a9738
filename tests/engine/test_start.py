"""What a search begins with: a person's own task, tried by one real step in the process of the first trial."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import raynas
from raynas import api
from raynas.cli.app import call
from raynas.errors import TaskError
from raynas.export import export_model

pytestmark = pytest.mark.usefixtures("ray_session")

NAS = '''
import os
import numpy as np
import torch
from torch import nn
from raynas.space import Choice, Space, op
from raynas.objectives.objective import Objective
from raynas.tasks.task import Data, Task


class Words(Task):
    """Token numbers, from a file beside the person; one row in 30 is good, and they come last."""

    name = "words"
    input_shape = (6,)
    num_classes = 2
    objective = Objective("val_auc", "max")
    default_epochs = 1
    recipe = {"batch_size": 32, "optimizer": "adamw"}

    def load(self):
        with open("readers.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")
        data = np.load("data/train.npz")
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
        return Data(x, y, x, y)

    def metrics(self, outputs, targets):
        score = outputs[:, 1] - outputs[:, 0]
        good, bad = score[targets == 1], score[targets == 0]
        if not len(good) or not len(bad):
            raise ValueError("only one class present")
        auc = (good[:, None] > bad[None]).float().mean()
        return {"auc": auc, "best": np.float32(score.max()), "rows": len(targets), "one": auc[None]}


class Lists(Words):
    def metrics(self, outputs, targets):
        return {**super().metrics(outputs, targets), "confusion": [[1, 2], [3, 4]]}


def space(task):
    return Space(
        embed=op(nn.Embedding, num_embeddings=50, embedding_dim=Choice(4, 6, 8)),
        flat=op(nn.Flatten),
        head=op(nn.Linear, out_features=2, bias=Choice(True, False)),
    )
'''


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the person works: a file of code, and data beside it."""
    folder = tmp_path / "work"
    (folder / "data").mkdir(parents=True)
    (folder / "nas.py").write_text(NAS)
    y = (np.arange(600) >= 580).astype(np.int64)
    x = np.random.default_rng(0).integers(10, 50, (600, 6))
    x[y == 1, 0] = 7
    np.savez(folder / "data" / "train.npz", x=x, y=y)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "home"))
    return folder


def test_relative_data_rare_classes_tensors_and_tokens(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    budget = {"trials": 2, "workers": 1, "scheduler": "none", "seed": 1, "mlflow": False}
    found = raynas.search("nas.py:space", task="nas.py:Words", name="s", **budget)  # type: ignore[arg-type]
    assert [trial.state for trial in found.history.trials.values()] == ["completed"] * 2
    metrics = found.history.trials[0].measurements[0].metrics
    assert {type(metrics[name]) for name in ("val_auc", "val_best", "val_rows", "val_one")} == {float}
    assert metrics["val_rows"] == 600
    assert len(set((work / "readers.txt").read_text().split())) == 2, "the driver, and one worker for check and trials"
    begun = found.begun
    assert begun["working_folder"] == str(work)
    assert {key: begun["task"][key] for key in ("input_dtype", "input_range", "outputs")} == {
        "input_dtype": "int64",
        "input_range": [10, 49],
        "outputs": "classes",
    }

    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    assert len(raynas.resume("s", trials=3).history.ended) == 3
    assert Path.cwd() == elsewhere
    assert call(["describe", "s", "--trial", "0"]) == 0
    made = export_model("s", "out", trial=0)
    assert made.folder == elsewhere / "out"
    assert (made.about["input_dtype"], made.about["outputs"]) == ("int64", "classes")
    assert "From int64 inputs of shape (N, 6)" in (made.folder / "model.py").read_text()
    inputs = torch.randint(0, 50, (3, 6))
    assert torch.equal(raynas.load_model("out")(inputs), found.build(0)(inputs))

    (copy,) = (found.folder / "source").rglob("nas.py")
    copy.write_text(NAS.replace("auc[None]", "auc.repeat(2)"))
    with pytest.raises(TaskError, match=r"metric 'val_one' is a Tensor of shape \(2,\)"):
        raynas.resume("s", trials=4)
    refused = raynas.load("s")
    assert (refused.reason, len(refused.history.ended)) == ("error", 3), "it keeps what it has"
    assert "val_one" in refused.message
    copy.write_text(NAS)

    shutil.rmtree(work / "data")
    assert export_model("s", "again", trial=0).about["outputs"] == "classes"  # with made-up tokens
    shutil.rmtree(work)
    capfd.readouterr()
    with pytest.raises(TaskError, match=r"data of task 'words' cannot be loaded.*data/train\.npz.*elsewhere"):
        raynas.resume("s", trials=4)
    (line,) = capfd.readouterr().err.splitlines()
    assert str(work) in line
    assert "is not there" in line


def test_what_every_trial_would_fail_with_is_one_line_and_leaves_nothing(
    work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TaskError, match="metric 'val_confusion' is a list"):
        api.plan("nas.py:space", task="nas.py:Lists")
    typed = "search nas.py:space --task nas.py:Lists --name s --trials 4 --workers 2 --quiet"
    assert call(typed.split()) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: metric 'val_confusion' is a list; a metric is one number")
    assert not list((tmp_path / "home").iterdir()), "no folder, and nothing of it in MLflow"
