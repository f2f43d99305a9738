"""Metrics over a whole validation set that are computed batch by batch, so that no outputs have to be kept.

A streaming metric is any object with ``update(outputs, targets)`` and ``compute()``: those of the package torchmetrics
are of this form, too. What no stream can compute (the area under a curve, a rank correlation) belongs into
:meth:`raynas.tasks.task.Task.metrics`, which is given all outputs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from raynas.errors import TaskError


class Metric(Protocol):
    """What is computed from all batches of a validation. State: what the batches so far have added up to."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Takes in a batch: ``(B, *output_shape)`` and its targets. Both may be changed in place."""

    def compute(self) -> Any:
        """One number, or several by their names (which then replace the metric's own)."""


def measured(metrics: Mapping[str, Metric], batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """The metrics of some batches of outputs and targets, which are not changed."""
    for outputs, targets in batches:
        for metric in metrics.values():
            metric.update(outputs.clone(), targets.clone())
    return computed(metrics)


def computed(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """What metrics say now, by name."""
    found: dict[str, Any] = {}
    for name, metric in metrics.items():
        value = metric.compute()
        found |= value if isinstance(value, Mapping) else {name: value}
    return found


class Accuracy:
    """The share of samples whose largest score is that of their class; of the last dimensions, where there are any."""

    def __init__(self) -> None:
        self._right = self._total = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self._right += int((outputs.argmax(1) == targets).sum())
        self._total += targets.numel()

    def compute(self) -> float:
        return self._right / max(1, self._total)


class LabelScores:
    """How well labels are told that are each there or not: ``(N, labels)`` logits, targets of zeros and ones.

    A label is predicted where its logit is above 0 (a probability above a half). F1 is ``2 TP / (2 TP + FP + FN)``:

    - ``f1_macro``: the mean of the labels' F1. All labels count alike, also rare ones; one that is neither there nor
      predicted anywhere counts nothing.
    - ``f1_micro``: F1 of all decisions together, in which frequent labels count more.
    - ``exact_match``: the share of samples of which all labels are right.
    """

    def __init__(self) -> None:
        self._hits: Tensor | None = None  # of each label: true positives, and 2 TP + FP + FN
        self._sums: Tensor | None = None
        self._exact = self._total = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        predicted, there = outputs > 0, as_outputs(targets, outputs) > 0.5
        hits = (predicted & there).sum(0).cpu()
        sums = predicted.sum(0).cpu() + there.sum(0).cpu()
        self._hits = hits if self._hits is None else self._hits + hits
        self._sums = sums if self._sums is None else self._sums + sums
        self._exact += int((predicted == there).flatten(1).all(1).sum())
        self._total += len(outputs)

    def compute(self) -> dict[str, float]:
        if self._hits is None or self._sums is None:
            return dict.fromkeys(("f1_macro", "f1_micro", "exact_match"), float("nan"))
        hits, sums = self._hits.double(), self._sums.double()
        seen = sums > 0
        return {
            "f1_macro": float((2 * hits[seen] / sums[seen]).mean()) if seen.any() else 0.0,
            "f1_micro": float(2 * hits.sum() / sums.sum()) if seen.any() else 0.0,
            "exact_match": self._exact / self._total,
        }


class Errors:
    """Errors of a regression, over all numbers of all outputs.

    - ``rmse``, ``mae``: the root of the mean squared error, and the mean absolute error, in the targets' own unit.
    - ``r2``: the coefficient of determination, ``1 - squared error / squared deviation from the mean``, of each number
      of an output, and their mean. Of a number that is the same in all targets it is 1 where it is met, else 0.

    Means and squared deviations of batches are merged (Chan, Golub & LeVeque 1983), so large targets lose no digits.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._deviation = self._squared = self._absolute = torch.zeros((), dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        wanted = as_outputs(targets, outputs).detach().cpu().double().flatten(1)
        error = outputs.detach().cpu().double().flatten(1) - wanted
        count, mean = len(wanted), wanted.mean(0)
        total, apart = self._count + count, mean - self._mean
        self._deviation = (
            self._deviation + (wanted - mean).square().sum(0) + apart.square() * (self._count * count / total)
        )
        self._mean = self._mean + apart * (count / total)
        self._squared, self._absolute = self._squared + error.square().sum(0), self._absolute + error.abs().sum(0)
        self._count = total

    def compute(self) -> dict[str, float]:
        if not self._count:
            return dict.fromkeys(("rmse", "mae", "r2"), float("nan"))
        constant = self._deviation == 0
        share = self._squared / self._deviation.masked_fill(constant, 1.0)
        share = torch.where(constant, (self._squared > 0).double(), share)
        return {
            "rmse": float((self._squared / self._count).mean().sqrt()),
            "mae": float((self._absolute / self._count).mean()),
            "r2": float(1 - share.mean()),
        }


class PixelScores:
    """How well pixels are told apart: ``(N, classes, …)`` scores, targets ``(N, …)``; negative targets do not count.

    - ``pixel_accuracy``: the share of pixels whose class is right.
    - ``mean_iou``: of each class the pixels that are rightly told over those that are it or are taken for it
      (intersection over union), and their mean; a class that is in neither counts nothing.
    """

    def __init__(self) -> None:
        self._confusion: Tensor | None = None  # [true class, predicted class]

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        classes = outputs.shape[1]
        predicted, true = outputs.argmax(1).flatten(), targets.flatten()
        counted = true >= 0
        pairs = true[counted] * classes + predicted[counted]
        found = torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes).cpu()
        self._confusion = found if self._confusion is None else self._confusion + found

    def compute(self) -> dict[str, float]:
        if self._confusion is None or not self._confusion.sum():
            return dict.fromkeys(("pixel_accuracy", "mean_iou"), float("nan"))
        confusion = self._confusion.double()
        right = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - right
        seen = union > 0
        return {
            "pixel_accuracy": float(right.sum() / confusion.sum()),
            "mean_iou": float((right[seen] / union[seen]).mean()),
        }


def as_outputs(targets: Tensor, outputs: Tensor) -> Tensor:
    """Targets in the shape of the outputs: ``(N,)`` belongs to ``(N, 1)``. Numbers are never spread over others.

    Raises:
        TaskError: they hold another number of numbers.
    """
    if targets.shape == outputs.shape:
        return targets
    if len(targets) != len(outputs) or targets.numel() != outputs.numel():
        raise TaskError(
            f"targets of shape {tuple(targets.shape)} do not fit outputs of shape {tuple(outputs.shape)}; "
            "the task's output_shape is that of one target"
        )
    return targets.reshape(outputs.shape)
