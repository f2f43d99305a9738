"""The kinds of tasks: what a loss, the metrics with their directions and an export follow from, unless overridden.

A task names its kind (``kind = "regression"``); all that stands here can be overridden in the task itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from raynas.errors import TaskError
from raynas.objectives.objective import Mode, Objective
from raynas.suggestions import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from raynas.tasks.metrics import Metric

#: What the numbers are that a network gives: ``classes``: one score a class, whose softmax is a probability;
#: ``labels``: one score a label, whose sigmoid is a probability; ``values``: anything else.
Outputs = Literal["classes", "labels", "values"]


class Kind(ABC):
    """What a kind of task has in common.

    Attributes:
        outputs: what a network's outputs are.
        objective: what a search makes good.
        directions: which way its metrics are good (with ``val_`` before their names).
        classes: whether the task has a number of classes (``num_classes``).
    """

    outputs: ClassVar[Outputs]
    objective: ClassVar[Objective]
    directions: ClassVar[Mapping[str, Mode]]
    classes: ClassVar[bool] = True

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: ``(B, *output_shape)``.
            targets: see the class.
            label_smoothing: share of a target's mass that is spread; of no meaning where there are no classes.
            weights: one a class or label (``Task.class_weights``).
        """

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """New streaming metrics of a whole validation set."""

    def output_shape(self, task: Any) -> tuple[int, ...]:
        """Shape of an output, unless the task says it."""
        return (task.num_classes,)

    def balanced(self, targets: Tensor, num_classes: int) -> Tensor:
        """Weights with which all classes count alike: ``N / (classes * samples of the class)``."""
        counts = targets.flatten().bincount(minlength=num_classes).clamp(min=1)
        return targets.numel() / (num_classes * counts.double())


class Classification(Kind):
    """One class for each input. Targets: ``(N,)`` class numbers, int64."""

    outputs = "classes"
    objective = Objective("val_accuracy", "max")
    directions: ClassVar[Mapping[str, Mode]] = {"val_accuracy": "max"}

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, weights, label_smoothing=label_smoothing)

    def metrics(self) -> dict[str, Metric]:
        from raynas.tasks.metrics import Accuracy

        return {"accuracy": Accuracy()}


class MultiLabel(Kind):
    """Any number of labels for each input. Targets: ``(N, labels)`` of zeros and ones, of any dtype."""

    outputs = "labels"
    objective = Objective("val_f1_macro", "max")
    directions: ClassVar[Mapping[str, Mode]] = {
        "val_f1_macro": "max", "val_f1_micro": "max", "val_exact_match": "max",
    }  # fmt: skip

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None) -> Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits

        from raynas.tasks.metrics import as_outputs

        wanted = as_outputs(targets, outputs).to(outputs.dtype)
        wanted = wanted * (1 - label_smoothing) + label_smoothing / 2
        return binary_cross_entropy_with_logits(outputs, wanted, pos_weight=weights)

    def metrics(self) -> dict[str, Metric]:
        from raynas.tasks.metrics import LabelScores

        return {"labels": LabelScores()}

    def balanced(self, targets: Tensor, num_classes: int) -> Tensor:
        """Weights of the labels' positives with which they count as much as their negatives."""
        there = targets.reshape(len(targets), -1).double().sum(0)
        return (len(targets) - there) / there.clamp(min=1)


class Regression(Kind):
    """Numbers for each input. Targets: ``(N, *output_shape)``, or ``(N,)`` where an output is one number."""

    outputs = "values"
    objective = Objective("val_rmse", "min")
    directions: ClassVar[Mapping[str, Mode]] = {"val_rmse": "min", "val_mae": "min", "val_r2": "max"}
    classes = False

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None) -> Tensor:
        from torch.nn.functional import mse_loss

        from raynas.tasks.metrics import as_outputs

        return mse_loss(outputs, as_outputs(targets, outputs).to(outputs.dtype))

    def metrics(self) -> dict[str, Metric]:
        from raynas.tasks.metrics import Errors

        return {"errors": Errors()}

    def output_shape(self, task: Any) -> tuple[int, ...]:
        return (1,)


class Segmentation(Kind):
    """One class for each pixel. Targets: ``(N, H, W)`` class numbers, int64; -100 for pixels that do not count."""

    outputs = "values"
    objective = Objective("val_mean_iou", "max")
    directions: ClassVar[Mapping[str, Mode]] = {"val_mean_iou": "max", "val_pixel_accuracy": "max"}

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, weights, label_smoothing=label_smoothing)  # it ignores -100

    def metrics(self) -> dict[str, Metric]:
        from raynas.tasks.metrics import PixelScores

        return {"pixels": PixelScores()}

    def output_shape(self, task: Any) -> tuple[int, ...]:
        return (task.num_classes, *task.input_shape[1:])

    def balanced(self, targets: Tensor, num_classes: int) -> Tensor:
        return super().balanced(targets[targets >= 0], num_classes)


KINDS: Mapping[str, Kind] = {
    "classification": Classification(),
    "multi_label": MultiLabel(),
    "regression": Regression(),
    "segmentation": Segmentation(),
}


def kind_of(task: Any) -> Kind:
    """The kind that a task names; classification where it names none.

    Raises:
        TaskError: there is no such kind.
    """
    name = getattr(task, "kind", "classification")
    found = KINDS.get(name)
    if found is None:
        known = f"there are: {', '.join(KINDS)}"
        raise TaskError(
            f"task {getattr(task, 'name', '?')!r}: kind {name!r} is not known; {did_you_mean(str(name), KINDS, known)}"
        )
    return found
