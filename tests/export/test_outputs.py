"""What an exported file prints: probabilities of classes, or raw outputs and a word on what they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from raynas.export import runtime
from raynas.export.write import _preprocessing
from raynas.tasks.digits import Digits
from raynas.tasks.samples import output_kind
from raynas.tasks.task import Data, Task


class Age(Task):
    """One number from a grey picture."""

    name, input_shape, num_classes = "age", (1, 4, 4), 1

    def load(self) -> Data:
        pixels = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
        return Data(pixels, torch.rand(8, 1), pixels, torch.rand(8, 1))


class Tags(Age):
    """Several labels at once, with names."""

    num_classes = 2

    def preprocessing(self) -> dict[str, Any] | None:
        return {**(super().preprocessing() or {}), "classes": ["red", "round"]}


def printed(
    task: Task, outputs: str, network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> int:
    monkeypatch.setattr(runtime, "HERE", tmp_path)
    (tmp_path / "preprocessing.json").write_text(json.dumps(_preprocessing(task, outputs)))
    Image.new("L", (4, 4), 200).save(tmp_path / "x.png")
    monkeypatch.setattr(sys, "argv", ["model.py", *options, str(tmp_path / "x.png")])
    return runtime.main(network)


class Fixed(nn.Module):
    """Gives the same outputs for everything."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outputs[None].expand(len(x), *self.outputs.shape)


@pytest.mark.parametrize(
    ("task", "outputs", "words"),
    [
        (Age(), torch.tensor([41.5]), "x.png: 41.5"),
        (Tags(), torch.tensor([2.5, -1.25]), "x.png: red 2.5, round -1.25"),
        (Age(), torch.arange(200.0).reshape(2, 10, 10), "x.png: 2 x 10 x 10 numbers from 0 to 199, mean 99.5"),
        (Age(), torch.arange(33), "x.png: 33 numbers from 0 to 32, mean 16"),
    ],
)
def test_raw_outputs_and_what_they_are(
    task: Task,
    outputs: torch.Tensor,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(task, "values", Fixed(outputs), tmp_path, monkeypatch) == 0
    shown = capsys.readouterr()
    assert shown.out.removeprefix(f"{tmp_path}/") == f"{words}\n"
    assert shown.err == "these are the network's raw outputs: no softmax, sigmoid or scale was applied to them\n"
    about = json.loads((tmp_path / "preprocessing.json").read_text())
    with pytest.raises(ValueError, match="no scores of classes"):
        runtime.probabilities(Fixed(outputs), tmp_path / "x.png", about)


def test_classes_have_probabilities_also_in_a_file_of_an_earlier_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = torch.zeros(10)
    scores[7] = 20.0
    assert printed(Digits(), "classes", Fixed(scores), tmp_path, monkeypatch, "--top", "1") == 0
    assert capsys.readouterr().out.endswith("x.png: 7 1.0000\n")
    about = _preprocessing(Digits())
    assert about is not None
    del about["outputs"]
    assert next(iter(runtime.probabilities(Fixed(scores), tmp_path / "x.png", about))) == "7"


class Gone(Age):
    """Its file was there while it was searched."""

    def load(self) -> Data:
        raise FileNotFoundError("no such file: trees.npz")


def test_a_task_whose_data_are_gone_is_exported_without_a_word_on_images(caplog: pytest.LogCaptureFixture) -> None:
    assert _preprocessing(Gone(), "values") is None
    assert "the data of task 'age' cannot be read (FileNotFoundError: no such file: trees.npz)" in caplog.text


class Marked(Age):
    """Several labels at once, by its kind."""

    kind, num_classes = "multi_label", 3

    def preprocessing(self) -> dict[str, Any] | None:
        return {**(super().preprocessing() or {}), "classes": ["red", "round", "ripe"]}


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ([0.0, 3.0, -1.0], [], "round 0.9526, red 0.5000"),
        ([-1.0, -2.0, -3.0], [], "no label"),
        ([-1.0, -2.0, -3.0], ["--top", "1"], "red 0.2689"),
    ],
)
def test_labels_have_a_probability_each(
    scores: list[float],
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert output_kind(Marked()) == "labels"
    assert printed(Marked(), "labels", Fixed(torch.tensor(scores)), tmp_path, monkeypatch, *options) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith(f"x.png: {words}\n")
    assert not shown.err


def test_labels_without_names_have_numbers() -> None:
    class Unnamed(Marked):
        preprocessing = Task.preprocessing

    about = _preprocessing(Unnamed(), "labels")
    assert about is not None
    assert (about["outputs"], about["classes"]) == ("labels", ["0", "1", "2"])
