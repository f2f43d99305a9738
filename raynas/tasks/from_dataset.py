"""A task from a ``Dataset`` or ``DataLoader`` for training and one for validation, without a class of one's own."""

from __future__ import annotations

from typing import Any

from raynas.errors import TaskError
from raynas.suggestions import did_you_mean
from raynas.tasks.data import shape_of
from raynas.tasks.kinds import kind_of
from raynas.tasks.streams import Streams
from raynas.tasks.task import Task

#: Attributes of a task that may be given.
_GIVEN = (
    "class_weights", "default_epochs", "directions", "input_dtype", "input_shape", "most_epochs", "objective",
    "output_shape", "recipe",
)  # fmt: skip


def from_dataset(
    train: Any,
    valid: Any,
    *,
    name: str,
    kind: str = "classification",
    num_classes: int | None = None,
    workers: int = 0,
    train_batches: int | None = None,
    valid_batches: int | None = None,
    **attributes: Any,
) -> Task:
    """A task whose data is read batch by batch, so that it may be larger than memory.

    Shapes are those of the first samples, unless they are given.

    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> rows = TensorDataset(torch.randn(100, 6), torch.randn(100))
    >>> task = from_dataset(rows, rows, name="rows", kind="regression")
    >>> task.input_shape, task.output_shape, task.objective.metric
    ((6,), (1,), 'val_rmse')

    Args:
        train: see :class:`raynas.tasks.streams.Streams`, as for ``valid``, ``workers`` and the numbers of batches.
        valid: never trained on.
        name: of the task.
        kind: ``"classification"``, ``"multi_label"``, ``"regression"`` or ``"segmentation"``.
        num_classes: of a classification or segmentation.
        **attributes: further attributes of :class:`Task`: ``objective``, ``recipe``, ``class_weights``, …

    Raises:
        TaskError: the data cannot be read, or an argument has a value that cannot be.
    """
    return DatasetTask(
        Streams(train, valid, workers, train_batches, valid_batches, name), name, kind, num_classes, attributes
    )


class DatasetTask(Task):
    """What :func:`from_dataset` makes. A subclass may override ``metrics``, ``prepare``, ``augment`` and so on."""

    def __init__(
        self, streams: Streams, name: str, kind: str, num_classes: int | None, attributes: dict[str, Any]
    ) -> None:
        for key in attributes:
            if key not in _GIVEN:
                raise TaskError(
                    f"from_dataset takes no {key!r}; {did_you_mean(key, _GIVEN, 'it takes ' + ', '.join(_GIVEN))}"
                )
        self.name, self.kind, self._streams = name, kind, streams
        found = kind_of(self)
        self.objective = found.objective
        self._output_shape = attributes.pop("output_shape", None)
        for key, value in attributes.items():
            setattr(self, key, value)
        if "input_shape" not in attributes:
            self.input_shape = shape_of(self.prepare(streams.some("train", 2)[0]))
        if num_classes is None and kind == "multi_label":
            num_classes = streams.some("train", 2)[1].shape[1]
        if num_classes is not None:
            self.num_classes = num_classes
        elif found.classes:
            raise TaskError(f"task {name!r} is a {kind}: how many classes are there? Give num_classes=N")
        if not found.classes and self._output_shape is None:
            self._output_shape = tuple(streams.some("train", 2)[1].shape[1:]) or (1,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return super().output_shape if self._output_shape is None else tuple(self._output_shape)

    def load(self) -> Streams:
        return self._streams
