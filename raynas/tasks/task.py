"""What "good" means: data, loss, metrics, input shape. A task knows nothing of networks, spaces or Ray."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from raynas.errors import TaskError
from raynas.objectives.objective import Mode, Objective
from raynas.tasks.data import Batch, Data, DataSource, InputShape, Split, dtype_of, each
from raynas.tasks.kinds import KINDS, Outputs, kind_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from raynas.tasks.metrics import Metric

__all__ = ["Data", "Task"]


class Task(ABC):
    """A learning problem. One object serves all trials of a process; :attr:`data` is loaded at first use and kept.

    A subclass gives the attributes below and :meth:`load`; the rest follows from :attr:`kind` unless overridden.
    """

    #: A short name, for messages and run names.
    name: str
    #: What loss, metrics, objective, and the meaning of outputs follow from: ``"classification"``, ``"multi_label"``,
    #: ``"regression"`` or ``"segmentation"`` (see :mod:`raynas.tasks.kinds`).
    kind: str = "classification"
    #: Shape of one prepared input, without the batch: ``(channels, height, width)`` for images. Of several inputs: the
    #: shape of each, by its name.
    input_shape: InputShape
    #: A weight for each class in the loss, or ``"balanced"``: all classes count alike, however many samples they have.
    #: With several labels at once: how much a label's positives weigh. Not for regression.
    class_weights: Sequence[float] | Literal["balanced"] | None = None
    #: What a network's outputs are: ``"classes"`` (one score a class, whose softmax is a probability), ``"labels"``
    #: (one score a label, whose sigmoid is a probability) or ``"values"`` (anything else). None: as the kind that is
    #: declared says; else found out where it is certain (raynas.tasks.samples), else ``"values"``.
    outputs: Outputs | None = None
    #: What a search over this task tries to make good, unless the person searching says otherwise. A kind that is
    #: declared brings its own.
    objective: Objective = Objective("val_accuracy", "max")
    #: Which way the task's other metrics are good, for example ``{"val_mae": "min"}``: one that stands here, or that
    #: RayNAS reports itself, needs no ``--mode`` where a search is to go by it. Those of the kind are known.
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

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        kind = KINDS.get(vars(cls).get("kind", ""))
        if kind is not None and "objective" not in vars(cls):
            cls.objective = kind.objective

    @cached_property
    def num_classes(self) -> int:
        """Number of classes or labels: a subclass gives it, where there are any.

        Of a task without classes it is the length of an output, so that a space may end in
        ``op(nn.Linear, out_features=task.num_classes)`` for any task.
        """
        if kind_of(self).classes:
            raise AttributeError(f"task {getattr(self, 'name', '?')!r} does not say its num_classes")
        return self.output_shape[0]

    @cached_property
    def input_dtype(self) -> Any:
        """The dtype of a prepared input as torch names it, such as ``"int64"`` for token numbers: that of the data.

        A task that always gives one dtype says so with a class attribute; its data is then not loaded for this. Of
        several inputs: the dtype of each, by its name.
        """
        return dtype_of(self.prepare(self.data.some("train", 2)[0]))

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
        """Shape of a network's output for one input: ``(num_classes,)``, or as the kind has it.

        Of a regression it is ``(1,)`` unless the task says ``output_shape = …``.
        """
        return kind_of(self).output_shape(self)

    @abstractmethod
    def load(self) -> DataSource:
        """Reads the data and splits off the validation part, the same way every time.

        Returns:
            :class:`Data` in memory, or :class:`raynas.tasks.streams.Streams` of a ``Dataset`` or ``DataLoader``.

        Raises:
            TaskError: the data cannot be had or used.
        """

    def prepare(self, inputs: Tensor) -> Tensor:
        """What a network takes, from a batch of stored inputs: ``(B, ...)`` to ``(B, *input_shape)``.

        By default bytes (uint8) become float32 in [-1, 1]; other floats become float32 and keep their values, and
        other types (tokens) stay as they are. Several inputs come, and are given back, in a dictionary.

        Args:
            inputs: a copy of what is stored; may be changed in place.
        """
        prepared: Tensor = each(_as_floats, inputs)
        return prepared

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

        if isinstance(self.input_shape, Mapping) or len(self.input_shape) != 3 or self.input_shape[0] not in (1, 3):
            return None
        if self.data.some("train", 1)[0].dtype != torch.uint8:
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
        """The mean loss of a batch, a scalar: that of the kind (cross-entropy). Both may be changed in place."""
        return kind_of(self).loss(outputs, targets, label_smoothing, self._weights_on(outputs))

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Metrics over a whole set of outputs, reported as ``val_<name>``: those of the kind (``accuracy`` in [0, 1]).

        Override it for metrics of your own, such as the area under a curve. The outputs of a whole validation are then
        kept, also where the data is streamed. Both tensors may be changed in place.
        """
        if self.kind == "classification" and type(self).streaming_metrics is Task.streaming_metrics:
            return {"accuracy": (outputs.argmax(1) == targets).float().mean().item()}
        from raynas.tasks.metrics import measured

        return measured(self.streaming_metrics(), [(outputs, targets)])

    def streaming_metrics(self) -> Mapping[str, Metric]:
        """New metrics by their names, each fed batch by batch (:class:`raynas.tasks.metrics.Metric`): the kind's.

        Where the data is streamed and :meth:`metrics` is not overridden, these are what is measured, and no outputs
        are kept.
        """
        return kind_of(self).metrics()

    def batches(self, split: Split, batch_size: int = 64, *, seed: object = None, epoch: int = 0) -> Iterator[Batch]:
        """Prepared batches ``(inputs, targets)``, for a training loop of your own; nothing is augmented.

        Args:
            split: ``"train"``: the whole batches of an epoch, shuffled; ``"valid"``: all batches, in order.
            batch_size: samples of a batch (those of a ``DataLoader`` have a size of their own).
            seed: what the order follows from, together with the epoch.
            epoch: from 0.

        Raises:
            TaskError: the data cannot be read, or are not what they should be.
        """
        data = self.data
        for inputs, targets in data.batches(split, data.batch_size(batch_size), seed=seed, epoch=epoch):
            yield self.prepare(inputs), targets

    @cached_property
    def data(self) -> DataSource:
        """What :meth:`load` gave, loaded once a process."""
        found = self.load()
        if not isinstance(found, DataSource):
            raise TaskError(
                f"task {self.name!r}: load() gave a {type(found).__name__}; it gives Data(…) with tensors in memory, "
                "or Streams(…) of a Dataset or DataLoader"
            )
        return found.named(self.name)

    def _weights_on(self, outputs: Tensor) -> Tensor | None:
        """``class_weights`` beside the outputs, made once for a device."""
        if self.class_weights is None:
            return None
        import torch

        made: dict[Any, Tensor] = self.__dict__.setdefault("_class_weights", {})
        key = outputs.device, outputs.dtype
        if key not in made:
            if not isinstance(self.class_weights, str):
                values = torch.as_tensor(self.class_weights)
            elif isinstance(self.data, Data):
                values = kind_of(self).balanced(self.data.train_targets.cpu(), self.num_classes)
            else:
                raise TaskError(
                    f"task {self.name!r}: class_weights 'balanced' would have to read all of a stream first; give a "
                    "weight for each class"
                )
            if values.shape != (self.num_classes,):
                raise TaskError(
                    f"task {self.name!r}: class_weights has {values.numel()} weights for {self.num_classes} classes"
                )
            made[key] = values.to(*key)
        return made[key]

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the data out of pickles: a worker loads its own."""
        return {key: value for key, value in self.__dict__.items() if key not in ("data", "_class_weights")}


def _as_floats(inputs: Tensor) -> Tensor:
    import torch

    if inputs.dtype == torch.uint8:
        return inputs.float().div_(127.5).sub_(1.0)
    return inputs.float() if inputs.is_floating_point() else inputs


def directions_of(task: Any) -> dict[str, Mode]:
    """Which way a task's metrics are good: those of its kind, where they are what is measured, and its own."""
    return {**(kind_of(task).directions if metrics_of_kind(task) else {}), **task.directions}


def metrics_of_kind(task: Any) -> bool:
    """Whether a task's metrics are those of its kind, and no others."""
    kind = type(task)
    return kind.metrics is Task.metrics and kind.streaming_metrics is Task.streaming_metrics
