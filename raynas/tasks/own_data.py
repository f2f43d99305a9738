"""A task whose data an evaluator of one's own reads: it says what goes into a network and what comes out."""

from __future__ import annotations

from raynas.errors import TaskError
from raynas.tasks.task import Data, Task


class OwnData(Task):
    """Shapes without data, for a training loop that has its own (``raynas.evaluators.own_loop``).

    >>> task = OwnData(input_shape=(3, 32, 32), num_classes=10)
    >>> task.output_shape
    (10,)

    Args:
        input_shape: of one sample, without the batch: ``(channels, height, width)`` for images.
        num_classes: length of a network's output.
        input_dtype: of a network's input as torch names it, such as ``"int64"`` for token numbers.
    """

    name = "own_data"

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, input_dtype: str = "float32") -> None:
        self.input_shape = tuple(input_shape)
        self.num_classes = num_classes
        self.input_dtype = input_dtype

    def load(self) -> Data:
        raise TaskError(
            "task own_data has no data of its own: an evaluator that reads data is needed (--evaluator path.py:name)"
        )
