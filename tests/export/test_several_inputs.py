"""A search over a task with several inputs, from its file to the folder that predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import raynas
from raynas.cli.app import call
from raynas.export import export_model

FILE = """
import torch
from torch import nn

from raynas.blocks import Pick
from raynas.space import Chain, Choice, Concat, Graph, Space, op
from raynas.tasks.task import Data, Task


class Houses(Task):
    name, kind, input_shape = "houses", "regression", {"rooms": (5,), "table": (3,)}

    def load(self):
        generator = torch.Generator().manual_seed(0)
        rooms = torch.randint(0, 20, (120, 5), generator=generator)
        inputs = {"rooms": rooms, "table": torch.randn(120, 3, generator=generator)}
        prices = rooms.sum(1) + inputs["table"][:, 0]
        return Data(inputs, prices, inputs, prices)


def two_towers(task):
    rooms = Chain(
        pick=op(Pick, "rooms"), words=op(nn.Embedding, num_embeddings=20, embedding_dim=4), flatten=op(nn.Flatten)
    )
    table = Chain(pick=op(Pick, "table"), dense=op(nn.Linear, out_features=Choice(4, 8)))
    return Space(
        towers=Graph({"out": Concat(("input", rooms), ("input", table))}),
        head=op(nn.Linear, out_features=task.num_classes),
    )
"""


def test_several_inputs_from_a_file_to_a_folder_that_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "houses.py").write_text(FILE, encoding="utf-8")
    named = {"task": "houses.py:Houses", "name": "houses", "seed": 1, "workers": 1, "mlflow": False}
    found = raynas.search("houses.py:two_towers", trials=2, epochs=1, **named)
    assert found.objective.metric == "val_rmse"
    assert [trial.state for trial in found.best_trials(9)] == ["completed"] * 2
    task = found.begun["task"]
    assert task["input_shape"] == {"rooms": [5], "table": [3]}
    assert task["input_dtype"] == {"rooms": "int64", "table": "float32"}
    assert task["input_range"]["rooms"] == [0, 19]
    made = export_model("houses", tmp_path / "model")
    assert made.about["input_shape"] == {"rooms": [5], "table": [3]}
    inputs = {"rooms": torch.ones(2, 5, dtype=torch.int64), "table": torch.zeros(2, 3)}
    with torch.no_grad():
        assert torch.equal(raynas.load(tmp_path / "model")(inputs), found.build()(inputs))
    capsys.readouterr()
    assert call(["describe", "houses", "--trial", "0"]) == 0
    assert "rooms 5, table 3" in capsys.readouterr().out
    assert call(["describe", "houses.py:two_towers", "--task", "houses.py:Houses", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input_shape"] == {"rooms": [5], "table": [3]}
