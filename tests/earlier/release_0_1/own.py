"""A space and a task of a person's own."""

import torch
from torch import nn

from raynas.space import Choice, Float, Repeat, Space, op
from raynas.tasks.objective import Objective
from raynas.tasks.task import Data, Task


class Corners(Task):
    """Which corner of a square is a point in?"""

    name = "corners"
    input_shape = (2,)
    num_classes = 4
    objective = Objective("val_accuracy", "max")
    default_epochs = 2
    recipe = {"batch_size": 16}

    def load(self) -> Data:
        points = torch.rand(160, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
        corner = (points[:, 0] > 0).long() + 2 * (points[:, 1] > 0).long()
        return Data(points[:120], corner[:120], points[120:], corner[120:])


def layers(task) -> Space:
    """Fully connected layers."""
    layer = op(nn.Linear, out_features=Choice(8, 16, 24))
    return Space(
        layers=Repeat(layer, 1, 2),
        act=Choice(op(nn.ReLU), op(nn.Tanh)),
        head=op(nn.Linear, out_features=task.num_classes),
        recipe={"lr": Float(1e-2, 1.0, log=True, default=0.1)},
        name="layers",
    )
