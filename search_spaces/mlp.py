"""Multi-layer perceptrons: the input as one vector, layers of searched number and width, a linear classifier."""

from __future__ import annotations

from torch import nn

from raynas.blocks import DenseBlock
from raynas.space import Choice, Float, Repeat, Space, op
from raynas.tasks.task import Task


def mlp(task: Task) -> Space:
    """The space of multi-layer perceptrons for a task with inputs of any fixed shape."""
    layer = op(
        DenseBlock,
        out_features=Choice(32, 64, 128, 256, 512, default=128),
        activation=Choice("relu", "silu", "gelu", "tanh", name="activation"),
        norm=Choice("batch", "layer", "none", name="norm"),
        dropout=Choice(0.0, 0.1, 0.2, 0.4, name="dropout"),
    )
    return Space(
        recipe={
            "lr": Float(0.003, 0.3, log=True, default=0.03),
            "weight_decay": Float(1e-5, 1e-2, log=True, default=5e-4),
        },
        name="mlp",
        flatten=op(nn.Flatten),
        layers=Repeat(layer, 1, 5, default=2),
        head=op(nn.Linear, out_features=task.num_classes),
    )
