"""The embedded task and what all tasks share."""

import subprocess
import sys

import pytest
import torch

from raynas.errors import SpecError
from raynas.objectives.objective import Objective
from raynas.tasks.augment import shift
from raynas.tasks.digits import Digits
from raynas.testing import TaskContract


class TestDigits(TaskContract):
    def task(self) -> Digits:
        return Digits()


def test_digits_are_all_there_split_once_and_by_class() -> None:
    data = Digits().data
    assert data.train_inputs.shape == (1437, 1, 8, 8)
    assert data.valid_inputs.shape == (360, 1, 8, 8)
    assert data.train_inputs.dtype == torch.uint8
    assert data.train_targets.dtype == torch.int64
    assert data.train_inputs.max() == 240
    counts = torch.bincount(data.valid_targets)
    assert len(counts) == 10
    assert counts.min() >= 34


def test_the_kept_digits_are_those_of_scikit_learn_split_as_it_splits() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, valid = train_test_split(range(1797), test_size=0.2, stratify=digits.target, random_state=0)
    data = Digits().data
    for inputs, targets, part in (
        (data.train_inputs, data.train_targets, train),
        (data.valid_inputs, data.valid_targets, valid),
    ):
        assert torch.equal(inputs[:, 0].double(), torch.from_numpy(digits.images[part]) * 15)
        assert torch.equal(targets, torch.from_numpy(digits.target[part]))


def test_no_image_is_in_both_parts() -> None:
    data = Digits().data
    train = {image.numpy().tobytes() for image in data.train_inputs}
    valid = {image.numpy().tobytes() for image in data.valid_inputs}
    assert not train & valid  # the data holds no image twice


def test_prepared_images_are_floats_around_zero() -> None:
    task = Digits()
    inputs = task.prepare(task.data.train_inputs[:100])
    assert inputs.dtype == torch.float32
    assert inputs.min() == -1
    assert 0.8 < inputs.max() <= 1
    assert inputs.shape[1:] == task.input_shape


def test_a_shift_moves_each_image_by_at_most_one_pixel_and_follows_its_generator() -> None:
    images = torch.rand(64, 2, 5, 6)
    moved = shift(images, torch.Generator().manual_seed(1))
    assert torch.equal(moved, shift(images, torch.Generator().manual_seed(1)))
    assert not torch.equal(moved, shift(images, torch.Generator().manual_seed(2)))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    seen = set()
    for before, after in zip(padded, moved, strict=True):
        places = [(r, c) for r in range(3) for c in range(3) if torch.equal(before[:, r : r + 5, c : c + 6], after)]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 9


def test_metrics_and_loss_against_closed_forms() -> None:
    task = Digits()
    outputs, targets = torch.zeros(4, 10), torch.tensor([0, 0, 1, 2])
    assert task.metrics(outputs, targets) == {"accuracy": 0.5}  # all equal: argmax is class 0
    assert task.loss(outputs, targets).item() == pytest.approx(torch.log(torch.tensor(10.0)).item())
    assert task.output_shape == (10,)


def test_an_objective_knows_what_is_better() -> None:
    most, least = Objective("accuracy"), Objective("loss", "min")
    assert (most.sign, least.sign) == (1.0, -1.0)
    assert most.better(2, 1)
    assert least.better(1, 2)
    assert not most.better(1, 1)
    assert most.better(0, float("nan"))
    assert not most.better(float("nan"), 0)
    with pytest.raises(SpecError, match="'maximum'"):
        Objective("accuracy", "maximum")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="name of a metric"):
        Objective("")


def test_objectives_and_contracts_import_without_torch() -> None:
    code = (
        "import sys, raynas.objectives.objective, raynas.tasks.task, raynas.tasks.digits, raynas.evaluators.evaluator, "
        "raynas.evaluators.checkpoint, raynas.evaluators.synthetic; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
