"""Trains any network on a task, from Python: what a search does with each trial, without a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from raynas.errors import UserError
from raynas.evaluators.evaluator import Measurement, TrialContext
from raynas.evaluators.execution import Execution
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.tasks.task import Task


@dataclass(frozen=True)
class Fit:
    """A training that is done.

    Args:
        model: the network that the measurements speak of (with averaged weights where the recipe says so).
        measurements: one a step.
    """

    model: nn.Module
    measurements: list[Measurement]


def fit(
    model: nn.Module,
    task: Task,
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    steps: int = 10,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    execution: Execution | None = None,
    progress: Callable[[Measurement], None] = lambda measurement: None,
    **recipe: Any,
) -> Fit:
    """Trains a network (in place) with the loop that searches use.

    >>> from raynas.evaluators.fit import fit
    >>> from raynas.tasks.digits import Digits
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> done = fit(network, Digits(), epochs=3)
    >>> done.measurements[-1].metrics["val_accuracy"] > 0.8
    True

    Args:
        model: any module that takes the task's inputs.
        task: the data, its loss and metrics.
        epochs: the budget, with a measurement each (default: the task's own).
        seconds: the budget as wall seconds of training instead (validation is not counted), measured ``steps`` times.
        steps: see ``seconds``.
        seed: decides order and augmentation; not the weights, which are there already.
        threads: of the CPU.
        device: a torch device.
        execution: number format and layout (default: plain float32).
        progress: is told each measurement.
        **recipe: fields of :class:`Recipe`, before the task's own.

    Raises:
        UserError: both budgets, or a recipe that cannot be.
    """
    if epochs is not None and seconds is not None:
        raise UserError("give the budget in epochs or in seconds, not both")
    if seconds is not None:
        context = TrialContext(0, seed, steps, threads, device, step_seconds=seconds / steps)
    else:
        context = TrialContext(0, seed, epochs or task.default_epochs, threads, device)
    data = task.data.to(device)
    before = torch.get_num_threads()
    evaluation = TrainingEvaluation(model, task, data, Recipe.of({**task.recipe, **recipe}), context, execution)
    measurements = []
    try:
        for measurement in evaluation.measurements():
            measurements.append(measurement)
            progress(measurement)
    finally:
        torch.set_num_threads(before)
    return Fit(evaluation.measured, measurements)
