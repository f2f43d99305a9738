"""Metrics as people have them in hand, and a few rows that show what all rows would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from raynas.errors import TaskError
from raynas.evaluators import training
from raynas.evaluators.evaluator import Measurement, TrialContext
from raynas.evaluators.few import VALID_ROWS, affordable_rows, few_rows
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.tasks.task import Data, Task


@pytest.mark.parametrize(
    "value",
    [0.5, 1, True, np.float32(0.5), np.float64(0.5), np.int64(3), np.bool_(True), np.array(0.5), np.array([[2.0]])]
    + [torch.tensor(0.5), torch.tensor([0.5]), torch.tensor(3), torch.tensor(0.5, requires_grad=True)],
    ids=repr,
)
def test_one_number_in_any_form(value: Any) -> None:
    (metric,) = Measurement(1, {"a": value}, 0.0).metrics.values()
    assert type(metric) is float
    assert metric == (value.item() if hasattr(value, "item") else value)


@pytest.mark.parametrize(
    "value", [None, [[1, 2]], "0.5", {}, torch.zeros(2), np.zeros(0), 1j, torch.tensor(1j)], ids=repr
)
def test_anything_else_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TaskError, match="metric 'val_f1' is a .*; a metric is one number") as caught:
        Measurement(1, {"val_f1": value}, 0.0)
    assert "\n" not in str(caught.value)


def test_few_rows_hold_all_classes_and_come_from_everywhere() -> None:
    targets = torch.cat([torch.zeros(5_000), torch.ones(8), torch.full((3_000,), 2)]).long()
    inputs = torch.arange(len(targets))
    few = few_rows(Data(inputs, targets, inputs, targets), 16)
    assert few.valid_targets.unique().tolist() == [0, 1, 2]
    assert len(few.valid_targets) <= VALID_ROWS
    assert (few.valid_targets == 1).sum() == 8
    assert few.train_targets.unique().tolist() == [0, 2], "drawn from sorted data, not its head"
    assert len(few.train_inputs) == 32
    assert torch.equal(few.valid_targets, targets[few.valid_inputs])
    for kind in (torch.rand(2_000), torch.rand(2_000, 3)):
        assert len(few_rows(Data(inputs, targets, inputs[:2_000], kind), 4).valid_inputs) == VALID_ROWS
    small = few_rows(Data(inputs[:9], targets[:9], inputs[:9], targets[:9]), 16)
    assert torch.equal(small.valid_inputs, inputs[:9])


class ManyLabels(Task):
    """A rare label is on in one row alone: a metric over it needs all rows."""

    name, input_shape, num_classes = "many", (4,), 2

    def load(self) -> Data:
        inputs, targets = torch.rand(1_000, 4), torch.rand(1_000, 2)
        return Data(inputs, targets, inputs, targets)

    def metrics(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        if len(targets) < 1_000:
            raise ValueError("no row has the rare label")
        return {"rows": len(targets)}


class Rows(ManyLabels):
    """Says how many rows were validated, and how many a batch has."""

    def metrics(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        return {"rows": len(targets)}

    def augment(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self.batch = len(inputs)
        return inputs


@pytest.mark.parametrize(("seconds", "batch", "rows"), [(1e-5, 64, VALID_ROWS), (0.04, 50, 200), (60.0, 4, 32)])
def test_the_check_takes_fewer_rows_where_a_row_takes_long(
    seconds: float, batch: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "small_steps", lambda *_: lambda: seconds)
    space, task = Space(head=op(torch.nn.Linear, out_features=2, bias=Choice(True, False))), Rows()
    measurement = Training(task).check(space, space.default(), TrialContext(0, 0, 1))
    assert (task.batch, measurement.metrics["val_rows"]) == (batch, rows)
    assert affordable_rows(0.0, 64) == (64, VALID_ROWS)


def test_what_fails_on_few_rows_is_tried_on_all() -> None:
    space = Space(head=op(torch.nn.Linear, out_features=2, bias=Choice(True, False)))
    measurement = Training(ManyLabels()).check(space, space.default(), TrialContext(0, 0, 1))
    assert measurement.metrics["val_rows"] == 1_000
