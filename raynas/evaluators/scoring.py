"""Loss and metrics of a validation, from its batches of outputs: over all of them at once, or batch by batch."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from raynas.tasks.data import Data, DataSource
from raynas.tasks.metrics import computed
from raynas.tasks.task import Task


class Score(Protocol):
    """State: what the batches so far have added up to."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Takes in a batch, which may be changed."""

    def metrics(self) -> dict[str, Any]:
        """``val_loss``, and the task's metrics as ``val_<name>``."""


class AtOnce:
    """Keeps all outputs and targets, and gives them to the task's functions together.

    Args:
        task: its ``metrics`` and ``loss`` are asked.
        device: where they are kept (None: where they are).
    """

    def __init__(self, task: Task, device: str | None = None) -> None:
        self._task, self._device = task, device
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        self._outputs.append(outputs if self._device is None else outputs.to(self._device))
        self._targets.append(targets if self._device is None else targets.to(self._device))

    def metrics(self) -> dict[str, Any]:
        outputs, targets = torch.cat(self._outputs), torch.cat(self._targets)
        self._outputs.clear()
        self._targets.clear()
        found = self._task.metrics(outputs.clone(), targets.clone())
        return {
            **{f"val_{name}": value for name, value in found.items()},
            "val_loss": self._task.loss(outputs, targets).item(),
        }


class BatchByBatch:
    """Keeps nothing but what the task's streaming metrics keep. The loss is the mean of the batches', by samples."""

    def __init__(self, task: Task) -> None:
        self._task, self._streaming = task, task.streaming_metrics()
        self._loss, self._count = 0.0, 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        for metric in self._streaming.values():
            metric.update(outputs.clone(), targets.clone())
        count = len(targets)
        self._loss += self._task.loss(outputs, targets).item() * count
        self._count += count

    def metrics(self) -> dict[str, Any]:
        found = {f"val_{name}": value for name, value in computed(self._streaming).items()}
        return {**found, "val_loss": self._loss / max(1, self._count)}


def score_for(task: Task, data: DataSource) -> Score:
    """How a task's validation is scored: at once where the data is in memory, or its ``metrics`` wants all outputs."""
    if isinstance(data, Data):
        return AtOnce(task)
    return BatchByBatch(task) if type(task).metrics is Task.metrics else AtOnce(task, "cpu")
