"""What "good" means: data, loss, metrics, input shape. A task knows nothing of networks, spaces or Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from raynas.objectives.objective import Mode, Objective

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Data:
    """A data set in memory, split for a search.

    Inputs stay as they are stored (images: uint8, a quarter of the memory of floats); :meth:`Task.prepare` makes a
    batch of them ready for a network. A task's functions are given copies, so none of them can change what is stored.

    Args:
        train_inputs: ``(N, ...)``.
        train_targets: ``(N, ...)``; class numbers as int64 for classification.
        valid_inputs: as above, never trained on.
        valid_targets: as above.
    """

    train_inputs: Tensor
    train_targets: Tensor
    valid_inputs: Tensor
    valid_targets: Tensor


class Task(ABC):
    """A learning problem. One object serves all trials of a process; :attr:`data` is loaded at first use and kept.

    A subclass gives the attributes below and :meth:`load`; the rest is classification of images unless overridden.
    """

    #: A short name, for messages and run names.
    name: str
    #: Shape of one prepared input, without the batch: ``(channels, height, width)`` for images.
    input_shape: tuple[int, ...]
    #: Number of classes (length of a network's output).
    num_classes: int
    #: What a network's outputs are: ``"classes"`` (one score a class, whose softmax is a probability) or ``"values"``
    #: (anything else). None: found out where it is certain (raynas.tasks.samples), else ``"values"``.
    outputs: Literal["classes", "values"] | None = None
    #: What a search over this task tries to make good, unless the person searching says otherwise.
    objective: Objective = Objective("val_accuracy", "max")
    #: Which way the task's other metrics are good, for example ``{"val_mae": "min"}``: one that stands here, or that
    #: RayNAS reports itself, needs no ``--mode`` where a search is to go by it.
    directions: Mapping[str, Mode] = MappingProxyType({})
    #: A trial's full budget in epochs, unless the person searching says otherwise.
    default_epochs: int = 9
    #: So many epochs, at most, has a trial where a search has time to spare; None: ``default_epochs``.
    most_epochs: int | None = None
    #: FLOPs of one sample's forward pass that a trial can afford, if it is to see enough of the data; None where nobody
    #: knows. A search with a limit on time measures it and sets it here before it makes its space, which may use it.
    affordable_flops: float | None = None
    #: Settings of a training that suit the data (fields of :class:`raynas.evaluators.recipe.Recipe`).
    recipe: Mapping[str, Any] = MappingProxyType({})

    @cached_property
    def input_dtype(self) -> str:
        """The dtype of a prepared input as torch names it, such as ``"int64"`` for token numbers: that of the data.

        A task that always gives one dtype says so with a class attribute; its data is then not loaded for this.
        """
        return str(self.prepare(self.data.train_inputs[:2].clone()).dtype).removeprefix("torch.")

    @property
    def picture_sizes(self) -> Sequence[tuple[int, int]]:
        """The (height, width) among which a search with a limit on time may choose; none where there is no choice."""
        return ()

    def sketch(self, size: tuple[int, int]) -> Task:
        """A task like this one with random pictures of another of its sizes: to see how fast networks train on those.

        Args:
            size: one of ``picture_sizes``.
        """
        raise NotImplementedError(f"task {self.name!r} has pictures of one size")

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a network's output for one input."""
        return (self.num_classes,)

    @abstractmethod
    def load(self) -> Data:
        """Reads the data and splits off the validation part, the same way every time.

        Raises:
            TaskError: the data cannot be had or used.
        """

    def prepare(self, inputs: Tensor) -> Tensor:
        """What a network takes, from a batch of stored inputs: ``(B, ...)`` to ``(B, *input_shape)``.

        By default bytes (uint8) become float32 in [-1, 1]; other floats become float32 and keep their values, and
        other types (tokens) stay as they are.

        Args:
            inputs: a copy of what is stored; may be changed in place.
        """
        import torch

        if inputs.dtype == torch.uint8:
            return inputs.float().div_(127.5).sub_(1.0)
        return inputs.float() if inputs.is_floating_point() else inputs

    def preprocessing(self) -> dict[str, Any] | None:
        """What an exported model does with an image file, in plain JSON; None where inputs are not images.

        By default inputs stored as bytes are images, where they have one or three channels. Override it together with
        :meth:`prepare`: an export compares the two.

        Returns:
            ``channels`` (1: grey, 3: colour), ``height``, ``width``; ``fit``: what becomes of an image of another size,
            ``"crop"`` (scaled to cover it, the middle is taken) or ``"resize"``; ``normalise``: steps from pixels (0 to
            255) to a network's inputs, each one operation (``subtract``, ``multiply``, ``divide``) and its number,
            or one number a channel; ``classes``: their names, in the order of a network's outputs. Optional: ``levels``
            (low, high), the values that are black and white in images deeper than 8 bits, and ``values``, which numbers
            these are.
        """
        import torch

        if len(self.input_shape) != 3 or self.input_shape[0] not in (1, 3):
            return None
        if self.data.train_inputs.dtype != torch.uint8:
            return None  # nobody says which floats the pixels of a file would be
        channels, height, width = self.input_shape
        return {
            "channels": channels,
            "height": height,
            "width": width,
            "fit": "crop",
            "normalise": [{"divide": 127.5}, {"subtract": 1.0}],
            "classes": [str(number) for number in range(self.num_classes)],
        }

    def augment(self, inputs: Tensor, generator: Generator) -> Tensor:
        """A random variation of a whole batch of *prepared* training inputs; by default none.

        Args:
            inputs: ``(B, *input_shape)``; may be changed in place.
            generator: the only source of randomness to use; a CPU generator.
        """
        return inputs

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, a scalar: by default cross-entropy. Both tensors may be changed in place."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Metrics over a whole set of outputs, reported as ``val_<name>``: by default ``accuracy`` in [0, 1].

        Both tensors may be changed in place.
        """
        return {"accuracy": (outputs.argmax(1) == targets).float().mean().item()}

    @cached_property
    def data(self) -> Data:
        """What :meth:`load` gave, loaded once a process."""
        return self.load()

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the data out of pickles: a worker loads its own."""
        return {key: value for key, value in self.__dict__.items() if key != "data"}
