"""The contract of an exporter: it writes a trained network into a folder, in one format.

An exporter is named by ``raynas export --format NAME``: by an entry point in the group ``raynas.exporters``, or by
``path/to/file.py:name``. It gets a :class:`TrainedNetwork` and its weights. It knows nothing of searches: finding the
trial, the description of the network beside the files, the comparison of the outputs and putting the folder in its
place are done for every format alike (``raynas.export.write``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.space.network.build import build
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raynas.tasks.samples import Outputs


@dataclass(frozen=True)
class TensorSpec:
    """What a network takes, or gives, for one sample.

    Attributes:
        name: for formats whose inputs and outputs have names.
        shape: without the batch, which is the first dimension.
        dtype: as torch names it, such as ``"float32"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that a search has trained: what every format may need of it.

    Attributes:
        title: one line that says what it is and where it is from.
        network: the filled template. The weights are named after the paths of its modules.
        inputs: what the network takes: one tensor; or, where ``named``, a dict of several by their names.
        outputs: what it gives.
        output_kind: ``"classes"`` (one score for each class, whose softmax is a probability), ``"labels"`` (one score
            for each label, whose sigmoid is a probability) or ``"values"`` (anything else).
        samples: a batch for each of the inputs, to try the network on: real ones where the task's data can be read.
        preprocessing: how an image becomes an input (``raynas.tasks.task.Task.preprocessing``); None where inputs are
            not images.
        named: whether its only argument is a dict with the inputs by their names.
        about: the content of ``architecture.json`` (docs/json.md), still without what the exporter needs.
    """

    title: str
    network: Network
    inputs: tuple[TensorSpec, ...]
    outputs: TensorSpec
    output_kind: Outputs
    samples: tuple[Tensor, ...] = field(repr=False)
    preprocessing: Mapping[str, Any] | None
    about: Mapping[str, Any] = field(repr=False)
    named: bool = False

    @property
    def input_shape(self) -> Any:
        """The shape of one sample, as ``Task.input_shape`` has it."""
        return self._by_name([one.shape for one in self.inputs])

    @property
    def input_dtype(self) -> Any:
        """The dtype of one sample, as ``Task.input_dtype`` has it."""
        return self._by_name([one.dtype for one in self.inputs])

    def arguments(self, batches: Sequence[Any]) -> tuple[Any, ...]:
        """What the network is called with: ``module(*network.arguments(network.samples))``.

        Args:
            batches: one for each of the inputs, in their order; or something else that goes with each.
        """
        return (self._by_name(batches),)

    def _by_name(self, values: Sequence[Any]) -> Any:
        if self.named:
            return {spec.name: value for spec, value in zip(self.inputs, values, strict=True)}
        (only,) = values
        return only

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes, or labels, in the order of the outputs; None where these are neither."""
        names = None if self.preprocessing is None else self.preprocessing.get("classes")
        return None if names is None or self.output_kind == "values" else tuple(map(str, names))

    def build(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """A new plain module with these weights, in eval mode, on the CPU. It holds a copy of them.

        Args:
            weights: parameters and buffers by their names in the module.
        """
        module = build(self.network, self.input_shape, self.input_dtype)
        module.load_state_dict(weights)
        return module.eval()


@dataclass(frozen=True)
class Written:
    """What an exporter says of the files that it wrote.

    Attributes:
        files: what a file is, in a few words for people, by its path in the folder. Files may be left out.
        needs: packages that a reader of the files needs, as ``pip install`` names them.
        usage: commands that use the files; ``{folder}`` stands for the folder.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()


class Exporter(ABC):
    """Writes trained networks in one format. Made without arguments; one object may write many networks.

    A subclass gives :meth:`write`, and :meth:`load` if what it wrote can be run here. Test it with ``ExporterContract``
    from ``raynas.testing``; docs/own/exporter.py is one to start from.
    """

    #: The outputs of what was loaded may differ from those of the search's network by ``tolerance * (1 + |output|)``.
    #: 0: they must be equal, bit for bit.
    tolerance: float = 0.0

    @abstractmethod
    def write(self, network: TrainedNetwork, weights: Mapping[str, Tensor], folder: Path) -> Written | None:
        """Writes the files of a network.

        Args:
            network: what is known of it.
            weights: its parameters and buffers, on the CPU, by their names in the module. They must not be changed.
            folder: an empty folder that moves to its place afterwards, so no file may hold its path. RayNAS adds
                ``architecture.json`` and (for images) ``preprocessing.json`` itself.

        Returns:
            What is worth saying of the files, or None.

        Raises:
            ExportError: this network cannot be written in this format; the message says why. Nothing is kept then.
        """

    def load(self, folder: Path) -> Callable[..., Tensor] | None:
        """What was written, as a function from a batch for each input to the outputs (a tensor, or a NumPy array).

        Every export calls it on the network's samples and compares the outputs with those of the search's network,
        before anything reaches the folder that a person named. None (the default): this format cannot be run here, so
        nothing is compared.

        Args:
            folder: one that :meth:`write` has filled, wherever it lies now.
        """
        return None
