"""How good a trained network is on images that the search never saw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raynas.evaluators.execution import Execution
from raynas.evaluators.loop import VALID_BATCH
from raynas.tasks.images import ImageClassification

if TYPE_CHECKING:
    from raynas.space import Architecture, Space


@dataclass(frozen=True)
class Evaluated:
    """What a network does on a set of images.

    Args:
        images: how many there are.
        accuracy: share of them that it tells right.
        low: lower end of the 95 % interval of the accuracy (Wilson 1927).
        high: upper end.
        loss: mean cross-entropy, in nats.
        per_class: accuracy on each class that has images.
        seen: images that are, byte for byte, among those of the search: above 0 the figures flatter.
    """

    images: int
    accuracy: float
    low: float
    high: float
    loss: float
    per_class: dict[str, float]
    seen: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def restore(space: Space, architecture: Architecture, task: Any, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network of an architecture with the weights of a trial's state (``model.<name>``), ready to be used.

    Raises:
        SpaceError: the space does not hold the architecture.
        RuntimeError: the weights are another network's.
    """
    model = space.build(architecture, task.input_shape, getattr(task, "input_dtype", None))
    prefix = "model."
    model.load_state_dict({name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)})
    return model.eval()


@dataclass(frozen=True)
class OtherImages:
    """Images to try a task's networks on, read and compared with the task's own once for all of them.

    Attributes:
        inputs: ``(N, C, H, W)`` uint8, in the task's size.
        targets: ``(N,)`` int64, the task's class numbers.
        seen: how many of them are, byte for byte, among the task's own.
    """

    inputs: Tensor
    targets: Tensor
    seen: int

    @classmethod
    def read(cls, task: ImageClassification, data: str | Path) -> OtherImages:
        """Reads a Parquet file or folder, as for :class:`ImageClassification`; classes are matched by name.

        Raises:
            TaskError: the data cannot be used, or has a class that the task does not know.
        """
        inputs, targets = task.others(data)
        return cls(inputs, targets, _in_common(inputs, torch.from_numpy(task.cached.images)))


def evaluate(
    model: nn.Module,
    task: ImageClassification,
    data: str | Path,
    *,
    device: str = "cpu",
    execution: Execution | None = None,
) -> Evaluated:
    """Tries a trained network on other images, made ready as those of its task were.

    Args:
        model: the network.
        task: what it was trained on: it gives the size, the classes and the normalisation.
        data: a Parquet file or folder, as for :class:`ImageClassification`; classes are matched by name.
        device: a torch device.
        execution: as in training (default: plain float32).

    Raises:
        TaskError: the data cannot be used, or has a class that the task does not know.
    """
    return judge(model, task, OtherImages.read(task, data), device=device, execution=execution)


@torch.no_grad()
def judge(
    model: nn.Module,
    task: ImageClassification,
    images: OtherImages,
    *,
    device: str = "cpu",
    execution: Execution | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> Evaluated:
    """As ``evaluate``, on images that were read before; ``progress`` is told how many more were tried."""
    way = execution or Execution()
    inputs, targets = images.inputs, images.targets
    model = way.place(model, device).eval()
    outputs = []
    for batch in inputs.split(VALID_BATCH):
        with way.autocast(device):
            outputs.append(model(way.arrange(task.prepare(batch.to(device, copy=True)))).float().cpu())
        progress(len(batch))
    together = torch.cat(outputs)
    right = together.argmax(1) == targets
    low, high = wilson(int(right.sum()), len(targets))
    return Evaluated(
        images=len(targets),
        accuracy=right.float().mean().item(),
        low=low,
        high=high,
        loss=task.loss(together, targets.clone()).item(),
        per_class={
            task.classes[label]: right[targets == label].float().mean().item() for label in targets.unique().tolist()
        },
        seen=images.seen,
    )


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), which stays in [0, 1] and is honest near its ends."""
    from scipy.stats import binomtest  # late: it is slow to import

    interval = binomtest(right, of).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _in_common(images: Tensor, known: Tensor) -> int:
    """How many images are among the known ones."""

    def digests(tensor: Tensor) -> list[bytes]:
        return [hashlib.blake2b(image.data, digest_size=16).digest() for image in tensor.contiguous().numpy()]

    there = set(digests(known))
    return sum(digest in there for digest in digests(images))
