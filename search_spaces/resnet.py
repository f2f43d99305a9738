"""Residual networks for images (He et al. 2016): a stem, stages of residual blocks, a classifier.

Each stage but the first halves height and width. How many stages there are follows from the size of the task's images
(8x8: two, 32x32: four); depth and width of each stage, each block's kernel, how a stage halves, squeeze-and-excitation
and the activation are searched, together with the learning rate and weight decay.

Where the task says what a trial can afford (``task.affordable_flops``), the default fits it: the stages get narrower,
down to a stem of width 16, then shallower, then the stem halves, and only the smallest defaults are narrower still.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
from raynas.space import Choice, Float, Repeat, Space, op
from raynas.tasks.task import Task

SMALLEST = 4  # no stage works on maps smaller than 4x4, where a 3x3 kernel would see everything
SMALLEST_AFTER_STEM = 7  # a stem that has to halve leaves maps of 7x7 at least
MAX_STAGES = 4

#: Widths of a stage, in eighths of its default's; where the default had to shrink, a little more of them are narrow.
_EIGHTHS, _EIGHTHS_SHRUNK = (4, 6, 8, 12, 16), (3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Plan:
    """A default network: the stem's width and stride, and how many stages of how many blocks there are.

    ``shrunk``: it is smaller than the images alone would have it.
    """

    width: int
    stem_stride: int
    stages: int
    depth: int
    shrunk: bool = True

    @property
    def stem_kernel(self) -> int:
        """Wide enough that no pixel is passed over; odd."""
        return 3 if self.stem_stride < 4 else max(7, self.stem_stride + 1)

    def flops(self, task: Task) -> int:
        """FLOPs (2 x multiply-adds) of one sample's forward pass through the default, as ``raynas.costs`` counts."""
        channels, *size = task.input_shape
        height, width = (_halved(length, self.stem_stride) for length in size)
        products = channels * self.width * self.stem_kernel**2 * height * width
        came = self.width
        for stage in range(self.stages):
            out = self.width * 2**stage
            if stage > 0:
                height, width = _halved(height, 2), _halved(width, 2)
                products += came * out * height * width  # the shortcut
            products += (came + (2 * self.depth - 1) * out) * out * 9 * height * width
            came = out
        return 2 * (products + came * task.num_classes)


def _halved(length: int, stride: int) -> int:
    return -(-length // stride)


def _usual(task: Task) -> Plan:
    """The default for images of that size, whatever it costs."""
    size = min(task.input_shape[1:])
    stride = 4 if size >= 128 else 2 if size >= 64 else 1
    return Plan(16 if stride == 1 else 32, stride, _stages(size, stride), depth=2, shrunk=False)


def _stages(size: int, stem_stride: int) -> int:
    stages = 1
    while stages < MAX_STAGES and size // stem_stride // 2**stages >= SMALLEST:
        stages += 1
    return stages


def _smaller(task: Task) -> Iterator[Plan]:
    """Ever cheaper defaults than the usual one, each cheaper than the one before.

    In equal time on CIFAR-10 (20 and 60 s on one core) a network of width 16 on maps of half the size learned more than
    one of width 8 on whole ones, which has a third more FLOPs, and one block a stage more than two. So a stem halves
    before its width goes below 16.
    """
    usual, size = _usual(task), min(task.input_shape[1:])
    plans = [Plan(width, usual.stem_stride, usual.stages, depth=2) for width in (24, 16) if width < usual.width]
    plans.append(Plan(16, usual.stem_stride, usual.stages, depth=1))
    stride = usual.stem_stride
    while size // (2 * stride) >= SMALLEST_AFTER_STEM:
        stride *= 2
        plans += [Plan(width, stride, _stages(size, stride), depth=1) for width in (32, 24, 16)]
    plans += [Plan(width, stride, _stages(size, stride), depth=1) for width in (12, 8)]
    least = usual.flops(task)
    for plan in plans:
        if plan.flops(task) < least:
            least = plan.flops(task)
            yield plan


def default_plan(task: Task) -> Plan:
    """The largest default whose FLOPs a trial can afford; the smallest where none of them fits."""
    plan = _usual(task)
    affordable = getattr(task, "affordable_flops", None)  # a task need not be a Task
    if affordable is None or plan.flops(task) <= affordable:
        return plan
    for plan in _smaller(task):
        if plan.flops(task) <= affordable:
            break
    return plan


def resnet(task: Task) -> Space:
    """The space of residual networks for a task of images of shape ``(channels, height, width)``."""
    plan = default_plan(task)
    act = Choice("relu", "silu", "gelu", "hardswish", name="activation")
    parts: dict[str, Any] = {
        "stem": op(ConvNormAct, out_channels=plan.width, kernel_size=plan.stem_kernel, stride=plan.stem_stride)
    }
    for stage in range(plan.stages):
        name = f"stage{stage + 1}"
        usual = plan.width * 2**stage
        eighths = _EIGHTHS_SHRUNK if plan.shrunk else _EIGHTHS
        block = op(
            ResidualBlock,
            out_channels=Choice(*(usual * part // 8 for part in eighths), default=usual, name=f"{name}.width"),
            kernel_size=Choice(3, 5),
            activation=act,
            squeeze_excite=Choice(False, True, name=f"{name}.squeeze_excite"),
        )
        halve: dict[str, Any] = {"stride": 2, "downsample": Choice("conv", "avg", "max")} if stage > 0 else {}
        parts[name] = Repeat(block, 1, 2 * plan.depth, default=plan.depth, **halve)
    parts["head"] = op(ClassifierHead, num_classes=task.num_classes)

    recipe = {
        "lr": Float(0.005, 0.5, log=True, default=0.05),
        "weight_decay": Float(1e-5, 1e-2, log=True, default=5e-4),
    }
    return Space(recipe=recipe, name="resnet", **parts)
