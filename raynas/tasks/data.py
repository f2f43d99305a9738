"""Data as a training takes it: batches of a split, from memory (:class:`Data`) or streamed (``streams.py``).

Inputs are one tensor, or several by their names; whatever is done to inputs is done by the functions at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from raynas.errors import TaskError
from raynas.tasks.draws import any_of, order_of

if TYPE_CHECKING:
    from torch import Tensor

Split = Literal["train", "valid"]
#: One tensor with the samples along its first dimension, or several, by their names. (In signatures of ``Task``, which
#: most people override for one tensor, it reads ``Tensor``.)
Inputs = Any
#: Shape of one sample of such inputs: a tuple, or a tuple for each name.
InputShape = Any
Batch = tuple[Inputs, "Tensor"]

T = TypeVar("T")


class DataSource(ABC):
    """Where batches come from, split for a search. Batches are copies: they may be changed in place."""

    @property
    def fixed_batches(self) -> bool:
        """Whether training batches have a size of their own, whatever a recipe says."""
        return False

    @abstractmethod
    def batch_size(self, wanted: int) -> int:
        """Samples of a training batch, where so many are wanted."""

    @abstractmethod
    def epoch_batches(self, batch_size: int) -> int:
        """How many batches an epoch has."""

    @abstractmethod
    def sizes(self, batch_size: int) -> tuple[int, int]:
        """Samples of an epoch, and of a validation (about, where they are not known)."""

    @abstractmethod
    def batches(
        self, split: Split, batch_size: int, *, seed: object = None, epoch: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        """The batches of an epoch (of ``"train"``: whole ones, in a random order), or of the validation, in order.

        Args:
            split: which part.
            batch_size: as :meth:`batch_size` gave it.
            seed: what order and other chance follow from, together with the epoch.
            epoch: from 0.
            start: so many batches are passed over.

        Raises:
            TaskError: the data cannot be read, or are not what they should be.
        """

    @abstractmethod
    def drawn(self, split: Split, count: int, batch_size: int, *seed: object) -> Iterator[Batch]:
        """Batches of ``count`` samples that are drawn at random, always the same for a seed, without repeats.

        A source that cannot be drawn from gives what comes first.
        """

    def drawable(self, split: Split) -> bool:
        """Whether :meth:`drawn` draws from all of a split."""
        return True

    @abstractmethod
    def some(self, split: Split, count: int) -> Batch:
        """So many samples (fewer where there are fewer) to look at: always the same, no random ones."""

    @abstractmethod
    def to(self, device: str) -> DataSource:
        """The same data, whose batches are on a device."""

    def named(self, name: str) -> DataSource:
        """The same data, whose errors name the task."""
        return self


@dataclass(frozen=True)
class Data(DataSource):
    """A data set in memory, split for a search.

    Inputs stay as they are stored (images: uint8, a quarter of the memory of floats); ``Task.prepare`` makes a
    batch of them ready for a network. A task's functions are given copies, so none of them can change what is stored.

    Args:
        train_inputs: ``(N, ...)``; or several such tensors, by their names.
        train_targets: ``(N, ...)``; class numbers as int64 for classification.
        valid_inputs: as above, never trained on.
        valid_targets: as above.
    """

    train_inputs: Inputs
    train_targets: Tensor
    valid_inputs: Inputs
    valid_targets: Tensor

    def part(self, split: Split) -> Batch:
        """Inputs and targets of a split, as they are stored."""
        if split == "train":
            return self.train_inputs, self.train_targets
        return self.valid_inputs, self.valid_targets

    def batch_size(self, wanted: int) -> int:
        if not len(self.train_targets):
            raise TaskError("the data has nothing to train on: train_targets is empty")
        return min(wanted, len(self.train_targets))

    def epoch_batches(self, batch_size: int) -> int:
        return len(self.train_targets) // batch_size

    def sizes(self, batch_size: int) -> tuple[int, int]:
        return len(self.train_targets), len(self.valid_targets)

    def batches(
        self, split: Split, batch_size: int, *, seed: object = None, epoch: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        inputs, targets = self.part(split)
        if split == "valid":
            for first in range(start * batch_size, len(targets), batch_size):
                rows = slice(first, first + batch_size)
                yield taken(inputs, rows, copy=True), targets[rows].clone()  # not views
            return
        order = order_of(len(targets), seed, "order", epoch).to(targets.device)
        # Full batches only: every sample has the same chance, as each epoch leaves others over.
        for number in range(start, len(targets) // batch_size):
            index = order[number * batch_size : (number + 1) * batch_size]
            yield taken(inputs, index), targets[index]

    def drawn(self, split: Split, count: int, batch_size: int, *seed: object) -> Iterator[Batch]:
        inputs, targets = self.part(split)
        for index in any_of(len(targets), count, *seed).to(targets.device).split(batch_size):
            yield taken(inputs, index), targets[index]

    def some(self, split: Split, count: int) -> Batch:
        inputs, targets = self.part(split)
        return each(lambda one: one[:count].clone(), inputs), targets[:count].clone()

    def take(self, train: Tensor, valid: Tensor) -> Data:
        """Some rows of each split."""
        return Data(
            each(lambda one: one[train], self.train_inputs),
            self.train_targets[train],
            each(lambda one: one[valid], self.valid_inputs),
            self.valid_targets[valid],
        )

    def to(self, device: str) -> Data:
        return Data(*(each(lambda one: one.to(device), getattr(self, field.name)) for field in fields(self)))


def each(function: Callable[[Any], T], inputs: Inputs) -> Any:
    """A function of a tensor, of the one or of each of several named ones."""
    if isinstance(inputs, Mapping):
        return {name: function(one) for name, one in inputs.items()}
    return function(inputs)


def taken(inputs: Inputs, rows: Tensor | slice, *, copy: bool = False) -> Any:
    """Some rows of inputs; of a slice, views unless ``copy``."""
    return each(lambda one: one[rows].clone() if copy else one[rows], inputs)


def samples_of(inputs: Inputs) -> int:
    """How many samples inputs hold."""
    return len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)


def shape_of(inputs: Inputs) -> InputShape:
    """The shape of one sample."""
    return each(lambda one: tuple(one.shape[1:]), inputs)


def dtype_of(inputs: Inputs) -> Any:
    """The dtype of inputs as torch names it (of several: by their names)."""
    return each(lambda one: str(one.dtype).removeprefix("torch."), inputs)
