"""Trained networks on images that the search never saw."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from brightness import make_folder
from torch import nn

from raynas.errors import TaskError
from raynas.evaluators.evaluate import evaluate, restore, wilson
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.tasks.images import ImageClassification


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "cache"))


class Brightness(nn.Module):
    """Tells dark from bright without having learnt it: two classes, by the sign of the mean of a prepared image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([-mean, mean], 1)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(right: int, of: int, low: float, high: float) -> None:
    """The examples of Newcombe 1998 (Statistics in Medicine 17:857, table I, method 3), and the same seen from 1."""
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)
    assert wilson(of - right, of) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_other_images_are_judged_by_the_names_of_their_classes(tmp_path: Path) -> None:
    task = ImageClassification(make_folder(tmp_path / "mine", {"a-dark": 60, "b-bright": 190}, 20, seed=0))
    same = evaluate(Brightness(), task, make_folder(tmp_path / "same", {"a-dark": 60, "b-bright": 190}, 30, seed=1))
    assert (same.accuracy, same.images, same.seen) == (1.0, 60, 0)
    assert same.low < 0.95 < same.high
    swapped = evaluate(
        Brightness(), task, make_folder(tmp_path / "swapped", {"a-dark": 190, "b-bright": 60}, 5, seed=2)
    )
    assert swapped.per_class == {"a-dark": 0.0, "b-bright": 0.0}
    assert swapped.loss > same.loss
    assert json.loads(json.dumps(same.to_json()))["accuracy"] == 1.0
    files = (tmp_path / "same" / "b-bright" / "0.png", tmp_path / "mine" / "a-dark" / "1.png")
    table = pa.table({"image": [file.read_bytes() for file in files], "label": ["b-bright", "a-dark"]})
    pq.write_table(table, tmp_path / "test.parquet")
    mixed = evaluate(Brightness(), task, tmp_path / "test.parquet")
    assert (mixed.accuracy, mixed.images, mixed.seen) == (1.0, 2, 1)
    with pytest.raises(
        TaskError, match="class 'c-grey', which the network was never taught; its classes are a-dark, b-br"
    ):
        evaluate(Brightness(), task, make_folder(tmp_path / "strange", {"a-dark": 60, "c-grey": 128}, 3, seed=3))


def test_a_trials_weights_come_back_and_do_as_they_did(tmp_path: Path) -> None:
    task = ImageClassification(make_folder(tmp_path / "mine", {"dark": 60, "mid": 120, "bright": 190}, 60, seed=0))
    space = Space(
        flatten=op(nn.Flatten), hidden=op(nn.Linear, out_features=Choice(8, 16)), head=op(nn.Linear, out_features=3)
    )
    evaluation = Training(task, ema=0.9).start(space, space.default(), TrialContext(0, 0, 4))
    last = list(evaluation.measurements())[-1]
    model = restore(space, space.default(), task, evaluation.state().tensors)
    with torch.no_grad():
        outputs = model(task.prepare(task.data.valid_inputs))
    assert task.metrics(outputs, task.data.valid_targets)["accuracy"] == last.metrics["val_accuracy"]
    new = evaluate(model, task, make_folder(tmp_path / "new", {"dark": 60, "mid": 120, "bright": 190}, 40, seed=1))
    assert new.accuracy > 0.8
    assert new.low < new.accuracy < new.high


def test_real_images(tmp_path: Path) -> None:
    if "RAYNAS_DATA" not in os.environ:
        pytest.skip("RAYNAS_DATA is not set")
    whole = pq.read_table(Path(os.environ["RAYNAS_DATA"]) / "fashion_mnist" / "train.parquet")
    pq.write_table(whole.slice(0, 1500), tmp_path / "mine.parquet")
    pq.write_table(whole.slice(2000, 500), tmp_path / "test.parquet")
    task = ImageClassification(tmp_path / "mine.parquet")
    space = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=10), recipe={"lr": Choice(0.01, 0.02)})
    evaluation = Training(task).start(space, space.default(), TrialContext(0, 0, 5))
    last = list(evaluation.measurements())[-1]
    result = evaluate(evaluation.measured, task, tmp_path / "test.parquet")
    assert result.low - 0.05 < last.metrics["val_accuracy"] < result.high + 0.05
    assert result.accuracy > 0.6
