"""Residual networks for images (He et al. 2016): a stem, stages of residual blocks, a classifier.

Each stage but the first halves height and width. How many stages there are follows from the size of the task's images
(8x8: two, 32x32: four); depth and width of each stage, each block's kernel, how a stage halves, squeeze-and-excitation
and the activation are searched, together with the learning rate and weight decay.
"""

from __future__ import annotations

from typing import Any

from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
from raynas.space import Choice, Float, Repeat, Space, op
from raynas.tasks.task import Task

SMALLEST = 4  # no stage works on maps smaller than 4x4, where a 3x3 kernel would see everything
MAX_STAGES = 4


def resnet(task: Task) -> Space:
    """The space of residual networks for a task of images of shape ``(channels, height, width)``."""
    size = min(task.input_shape[1:])
    stem_stride = 4 if size >= 128 else 2 if size >= 64 else 1
    stages = 1
    while stages < MAX_STAGES and size // stem_stride // 2**stages >= SMALLEST:
        stages += 1
    width = 16 if stem_stride == 1 else 32

    act = Choice("relu", "silu", "gelu", "hardswish", name="activation")
    parts: dict[str, Any] = {
        "stem": op(ConvNormAct, out_channels=width, kernel_size=3 if stem_stride < 4 else 7, stride=stem_stride)
    }
    for stage in range(stages):
        name = f"stage{stage + 1}"
        usual = width * 2**stage
        block = op(
            ResidualBlock,
            out_channels=Choice(
                *(usual * eighths // 8 for eighths in (4, 6, 8, 12, 16)), default=usual, name=f"{name}.width"
            ),
            kernel_size=Choice(3, 5),
            activation=act,
            squeeze_excite=Choice(False, True, name=f"{name}.squeeze_excite"),
        )
        halve: dict[str, Any] = {"stride": 2, "downsample": Choice("conv", "avg", "max")} if stage > 0 else {}
        parts[name] = Repeat(block, 1, 4, default=2, **halve)
    parts["head"] = op(ClassifierHead, num_classes=task.num_classes)

    recipe = {
        "lr": Float(0.005, 0.5, log=True, default=0.05),
        "weight_decay": Float(1e-5, 1e-2, log=True, default=5e-4),
    }
    return Space(recipe=recipe, name="resnet", **parts)
