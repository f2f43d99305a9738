"""The embedded task: scikit-learn's handwritten digits (real data, no download).

They are kept beside this file as they are used, since the import of scikit-learn takes as long as torch's own.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from raynas.tasks.task import Data, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor

#: ``images``: (1797, 8, 8) uint8, ``targets``: (1797,) uint8; those to train on come first.
_FILE = Path(__file__).with_name("digits.npz")


class Digits(Task):
    """1,797 grey 8x8 images of handwritten digits (Alpaydin & Kaynak 1998), 80 % to train on, 20 % to validate with.

    The split is stratified and the same on every machine. Digits are not mirror-symmetric, so the augmentation is
    a shift by up to one pixel and nothing else.
    """

    name = "digits"
    input_shape = (1, 8, 8)
    input_dtype = "float32"
    outputs = "classes"
    num_classes = 10
    default_epochs = 9  # where the default networks level off, and a power of the usual reduction factor, 3
    recipe = MappingProxyType({"batch_size": 32})  # 44 steps an epoch; at 64 batch norm's statistics lag early on

    def load(self) -> Data:
        import numpy
        import torch

        with numpy.load(_FILE) as kept:
            # Stored values are whole numbers from 0 to 16; times 15 they fill a byte up to 240.
            images = torch.from_numpy(kept["images"]).mul(15)[:, None]
            targets = torch.from_numpy(kept["targets"]).to(torch.int64)
        split = len(targets) * 4 // 5
        return Data(images[:split], targets[:split], images[split:], targets[split:])

    def augment(self, inputs: Tensor, generator: Generator) -> Tensor:
        from raynas.tasks.augment import shift

        return shift(inputs, generator, pixels=1)
