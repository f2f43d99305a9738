"""Training on data that is streamed: as on the same data in memory, with breaks anywhere, metrics and budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from raynas.errors import SpaceError, TaskError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.fit import fit
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.evaluators.training import Training
from raynas.space import Choice, Int, Space, op
from raynas.tasks.data import Data
from raynas.tasks.from_dataset import DatasetTask, from_dataset
from raynas.tasks.streams import Streams
from raynas.tasks.task import Task
from raynas.testing import EvaluatorContract


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


INPUTS = numbers(90, 4)
TARGETS = (INPUTS.sum(1) > 0).long()
TRAIN, VALID = TensorDataset(INPUTS[:60], TARGETS[:60]), TensorDataset(INPUTS[60:], TARGETS[60:])


class Drawn(Dataset[Any]):
    """The rows with noise that is drawn when they are read."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return INPUTS[row] + 0.1 * torch.randn(4), TARGETS[row]


class InMemory(Task):
    name, input_shape, num_classes = "rows", (4,), 2

    def load(self) -> Data:
        return Data(INPUTS[:60], TARGETS[:60], INPUTS[60:], TARGETS[60:])


def streamed(train: Any = TRAIN, valid: Any = VALID, **how: Any) -> Task:
    return from_dataset(train, valid, name="rows", num_classes=2, **how)


def space(outputs: int = 2) -> Space:
    """With all that a break could disturb: dropout, batch norm's statistics."""
    return Space(
        hidden=op(nn.Linear, out_features=Choice(6, 12)),
        norm=op(nn.BatchNorm1d),
        act=op(nn.ReLU),
        drop=op(nn.Dropout, p=0.2),
        head=op(nn.Linear, out_features=outputs),
    )


class TestADataset(EvaluatorContract):
    """Six batches of 10 a step, and a validation in three: seven questions whether to stop before the first."""

    cuts = (0, 1, 4, 7, 11, 20)
    steps = 2
    recipe: ClassVar[dict[str, Any]] = {"batch_size": 10}

    def evaluator(self) -> Training:
        return Training(streamed(Drawn()), **self.recipe)

    def space(self) -> Space:
        return space()


class TestWithWorkersAndAveragedWeights(TestADataset):
    cuts = (4, 11)
    recipe: ClassVar[dict[str, Any]] = {"batch_size": 10, "ema": 0.9}

    def evaluator(self) -> Training:
        return Training(streamed(Drawn(), workers=1), **self.recipe)


class TestADataLoader(TestADataset):
    cuts = (1, 4, 11)
    recipe: ClassVar[dict[str, Any]] = {"ema": 0.9}

    def evaluator(self) -> Training:
        loader = DataLoader(Drawn(), batch_size=10, shuffle=True)
        return Training(streamed(loader, DataLoader(VALID, batch_size=10)), **self.recipe)


def test_a_stream_trains_as_the_same_data_in_memory() -> None:
    found = []
    for task in (InMemory(), streamed(), streamed(workers=2)):
        evaluation = Training(task, batch_size=16, ema=0.9).start(space(), space().default(), TrialContext(0, 3, 3))
        found.append(([one.metrics for one in evaluation.measurements()], evaluation.state().tensors))
    (memory, tensors), *streams = found
    for metrics, state in streams:
        for one, other in zip(metrics, memory, strict=True):
            assert one["train_loss"] == other["train_loss"]
            assert one["val_accuracy"] == pytest.approx(other["val_accuracy"])
            assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-5)  # a mean of batches' means
        assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


class Ranked(DatasetTask):
    """The area under the curve, of all outputs together."""

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        assert len(outputs) == len(targets) == 30
        return {"auc": float(roc_auc_score(targets.numpy(), outputs.softmax(1)[:, 1].numpy()))}


class RankedInMemory(InMemory):
    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {"auc": float(roc_auc_score(targets.numpy(), outputs.softmax(1)[:, 1].numpy()))}


def test_a_metric_of_ones_own_sees_the_whole_validation() -> None:
    ranked = Ranked(Streams(TRAIN, VALID), "rows", "classification", 2, {})
    model = nn.Linear(4, 2)
    found = []
    for task in (RankedInMemory(), ranked):
        torch.manual_seed(0)
        model.reset_parameters()
        found.append([one.metrics["val_auc"] for one in fit(model, task, epochs=2, batch_size=16).measurements])
    assert found[0] == found[1]
    assert found[0][-1] > 0.5


class Counting:
    """A streaming metric of one's own."""

    def __init__(self) -> None:
        self.batches = self.positives = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.batches += 1
        self.positives += int((outputs.argmax(1) == 1).sum())

    def compute(self) -> dict[str, float]:
        return {"batches": self.batches, "positives": self.positives}


class Counted(DatasetTask):
    def streaming_metrics(self) -> dict[str, Any]:
        return {**super().streaming_metrics(), "counting": Counting()}


def test_a_streaming_metric_of_ones_own_is_fed_batch_by_batch() -> None:
    counted = Counted(Streams(TRAIN, VALID), "rows", "classification", 2, {})
    (first, second) = fit(nn.Linear(4, 2), counted, epochs=2, batch_size=10).measurements
    assert {"val_accuracy", "val_loss", "val_batches", "val_positives"} <= set(first.metrics)
    assert (first.metrics["val_batches"], second.metrics["val_batches"]) == (3, 3)
    assert Training(counted).preflight(space(), space().default()) == ()


def test_a_budget_of_time_goes_on_within_an_epoch() -> None:
    context = TrialContext(0, 0, 7, step_seconds=1e-6, rungs=(7,))
    task = streamed()
    evaluation = TrainingEvaluation(nn.Linear(4, 2), task, task.data, Recipe(batch_size=10), context)
    assert [one.step for one in evaluation.measurements()] == list(range(1, 8))
    assert evaluation.seen == 7  # a batch each: six are an epoch


class Growing(IterableDataset[Any]):
    """Longer and longer sequences, four of a length at a time."""

    def __len__(self) -> int:
        return 12

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for row in range(12):
            yield torch.ones(3 + row // 4), row % 2


def test_batches_that_change_their_shape_are_one_line() -> None:
    task = streamed(Growing(), VALID, input_shape=(3,), input_dtype="float32")
    with pytest.raises(TaskError, match=r"task 'rows': a batch has inputs of shape \(4,\), and input_shape is \(3,\)"):
        fit(nn.Linear(3, 2), task, epochs=1, batch_size=4)
    with pytest.raises(TaskError, match="stack expects each tensor to be equal size"):  # before a search
        Training(task, batch_size=4).check(space(), space().default(), TrialContext(0, 0, 1))


def test_a_loader_decides_how_large_its_batches_are() -> None:
    task, context = streamed(DataLoader(TRAIN, batch_size=10)), TrialContext(0, 0, 1)
    searched = Space(recipe={"batch_size": Int(4, 8)}, head=op(nn.Linear, out_features=2, bias=Choice(True, False)))
    assert Training(task).start(space(), space().default(), context).recipe.batch_size == 10
    for training, template in ((Training(task, batch_size=5), space()), (Training(task), searched)):
        with pytest.raises(TaskError, match="a DataLoader, which makes batches of its own size, so batch_size cannot"):
            training.start(template, template.default(), context)


def test_what_is_read_before_a_search_is_a_short_step() -> None:
    """Also with metrics that want more than a few rows, and with a network that does not fit."""
    read: list[int] = []

    class Watched(Drawn):
        def __len__(self) -> int:
            return 60_000

        def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
            read.append(row)
            return super().__getitem__(row % 60)

    training = Training(streamed(Watched(), Watched()), batch_size=10)
    found = training.check(space(), space().default(), TrialContext(0, 0, 1))
    assert found.metrics.keys() == set(training.preflight(space(), space().default()))
    assert len(read) < 2_000
    pace = training.pace(space(), space().default(), TrialContext(0, 0, 1))
    assert pace is not None
    assert pace.batch_size == 10
    with pytest.raises(SpaceError, match="output has shape"):
        training.preflight(space(3), space(3).default())
