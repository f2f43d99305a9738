"""The layers of NAS-Bench-Macro (Su et al. 2021, CVPR, arXiv:2103.11922): eight layers, one of three operations each.

Three stages of 2, 3 and 3 layers; the first layer of a stage halves the map and doubles the channels. A layer is the
identity (a pointwise convolution with batch norm where the shape changes), an inverted residual with kernel 3 and
expansion 3, or one with kernel 5 and expansion 6. 6,561 notations, which build 3,969 different networks: an identity
that changes no shape is nothing, so a stage ``010`` is the same as ``001``.

``parse`` and ``text`` read and write the benchmark's own notation: a digit a layer, ``02012100``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from raynas.space import Architecture, Chain, Choice, Graph, Space, Sum, op

#: The operations in the order of the notation's digits.
OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
STAGES = (2, 3, 3)


class _Task(Protocol):
    @property
    def num_classes(self) -> int: ...


def nasbench_macro(task: _Task, channels: int = 32) -> Space:
    """NAS-Bench-Macro: eight layers, each the identity or one of two inverted residuals."""
    parts: dict[str, Any] = {"stem": _conv_norm_act(channels, 3)}
    layer, width = 0, channels
    for length in STAGES:
        for index in range(length):
            parts[f"layer{layer}"] = _layer(f"layer{layer}", width, width * 2 if index == 0 else width)
            width = width * 2 if index == 0 else width
            layer += 1
    parts["head"] = Chain(
        conv=_conv_norm_act(1280, 1),
        pool=op(nn.AdaptiveAvgPool2d, 1),
        flatten=nn.Flatten,
        linear=op(nn.Linear, out_features=task.num_classes),
    )
    return Space(name="nasbench_macro", **parts)


def parse(notation: str) -> Architecture:
    """The architecture of the benchmark's own notation.

    Raises:
        ValueError: the text is not in that notation.
    """
    if len(notation) != sum(STAGES) or any(digit not in "012" for digit in notation):
        raise ValueError(
            f"{notation!r} is no network of NAS-Bench-Macro; it is {sum(STAGES)} digits from 0 to 2, as 02012100"
        )
    return Architecture({f"layer{layer}": OPERATIONS[int(digit)] for layer, digit in enumerate(notation)})


def text(architecture: Mapping[str, Any]) -> str:
    """An architecture in the benchmark's own notation."""
    return "".join(str(OPERATIONS.index(architecture[f"layer{layer}"])) for layer in range(sum(STAGES)))


def _layer(name: str, arriving: int, leaving: int) -> Choice:
    stride = 1 if arriving == leaving else 2
    if stride == 1:
        identity: Any = op(nn.Identity)
    else:
        shortcut = op(nn.Conv2d, out_channels=leaving, kernel_size=1, stride=stride, bias=False)
        identity = Chain(conv=shortcut, norm=nn.BatchNorm2d)
    options = {
        "identity": identity,
        "mb3_k3": _inverted_residual(arriving, leaving, expansion=3, kernel=3, stride=stride),
        "mb6_k5": _inverted_residual(arriving, leaving, expansion=6, kernel=5, stride=stride),
    }
    return Choice(options, default="mb3_k3", name=name)


def _inverted_residual(arriving: int, leaving: int, expansion: int, kernel: int, stride: int) -> Chain | Graph:
    hidden = arriving * expansion
    depthwise = op(
        nn.Conv2d,
        out_channels=hidden,
        kernel_size=kernel,
        stride=stride,
        padding=kernel // 2,
        groups=hidden,
        bias=False,
    )
    body = Chain(
        expand=_conv_norm_act(hidden, 1),
        depthwise=Chain(conv=depthwise, norm=nn.BatchNorm2d, act=nn.ReLU),
        project=Chain(conv=op(nn.Conv2d, out_channels=leaving, kernel_size=1, bias=False), norm=nn.BatchNorm2d),
    )
    return body if stride > 1 else Graph({"out": Sum("input", ("input", body))})


def _conv_norm_act(width: int, kernel: int) -> Chain:
    convolution = op(nn.Conv2d, out_channels=width, kernel_size=kernel, padding=kernel // 2, bias=False)
    return Chain(conv=convolution, norm=nn.BatchNorm2d, act=nn.ReLU)
