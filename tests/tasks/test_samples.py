"""What outputs mean, and inputs to try a network on: derived where that is certain, never guessed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from raynas.tasks.digits import Digits
from raynas.tasks.samples import facts, input_range, made_up, output_kind, sample_inputs
from raynas.tasks.task import Data, Task


class Some(Task):
    """Tokens and class numbers, unless a test says otherwise."""

    name, input_shape, num_classes = "some", (5,), 3

    def load(self) -> Data:
        inputs = torch.arange(100).reshape(20, 5) % 17
        targets = torch.arange(20) % 3
        return Data(inputs, targets, inputs, targets)


class Targets(Some):
    def __init__(self, targets: Tensor, shape: tuple[int, ...] = (3,), num_classes: int = 3) -> None:
        self.targets, self._shape, self.num_classes = targets, shape, num_classes

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._shape

    def load(self) -> Data:
        return Data(torch.rand(20, 5), self.targets, torch.rand(20, 5), self.targets)


class OwnLoss(Some):
    def __init__(self, function: Any) -> None:
        self.function = function

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        return self.function(outputs, targets)  # type: ignore[no-any-return]


def one_hot(function: Any) -> Any:
    return lambda outputs, targets: function(outputs, torch.nn.functional.one_hot(targets, 3).float())


class Parity(Digits):
    """Inherits what its outputs are, and means another thing."""

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        return mse_loss(outputs[:, 0], targets % 2.0)


class Declared(Some):
    outputs = "values"


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (Digits(), "classes"),
        (Some(), "classes"),
        (Parity(), "values"),
        (OwnLoss(cross_entropy), "classes"),
        (OwnLoss(one_hot(cross_entropy)), "classes"),
        (OwnLoss(one_hot(binary_cross_entropy_with_logits)), "values"),
        (OwnLoss(one_hot(mse_loss)), "values"),
        (OwnLoss(lambda outputs, targets: 1 / 0), "values"),
        (Declared(), "values"),
        (Targets(torch.rand(20, 1), (1,), 1), "values"),  # regression
        (Targets(torch.rand(20, 3).round()), "values"),  # multi-label
        (Targets(torch.zeros(20, 8, 8).long(), (3, 8, 8)), "values"),  # segmentation
    ],
)
def test_what_outputs_are(task: Task, kind: str) -> None:
    assert output_kind(task) == kind


def test_inputs_are_the_tasks_own_rows() -> None:
    task = Some()
    assert torch.equal(sample_inputs(task, 4), task.data.valid_inputs[:4])
    assert facts(task) == {"input_dtype": "int64", "input_range": [0, 16], "outputs": "classes"}


class Gone(Some):
    def load(self) -> Data:
        raise FileNotFoundError("data.npz")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "float32", "float64"])
def test_without_data_they_are_made_up_in_its_dtype_and_range(dtype: str) -> None:
    low, high = (0, 1) if dtype == "bool" else (3, 16)
    inputs = sample_inputs(Gone(), 64, dtype, [low, high])
    assert (inputs.dtype, inputs.shape) == (getattr(torch, dtype), (64, 5))
    assert inputs.min() >= low
    assert inputs.max() <= high
    assert len(inputs.unique()) > 1
    assert torch.equal(inputs, sample_inputs(Gone(), 64, dtype, [low, high]))
    assert made_up((2, 3), getattr(torch, dtype), None).max() <= (torch.inf if "float" in dtype else 1)
    assert facts(Gone()) == {}


def test_a_range_has_to_be_one() -> None:
    task = Targets(torch.rand(20, 3))
    task.data.train_inputs[0, 0] = torch.inf
    assert input_range(task) is None
