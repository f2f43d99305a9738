"""The cells of NAS-Bench-201 (Dong & Yang 2020, ICLR, arXiv:2001.00326; trained networks in NATS-Bench, TPAMI 2021).

One cell of four nodes, one of five operations on each of its six edges, stacked in three stages; a residual block
halves the map between them. 15,625 cells, which build 5,260 different networks. The benchmark trained them with 16
channels in the first stage and 5 cells a stage. What a cell does not compute (edges that lead nowhere) is not built
here; its table counts that too, and the bias of the classifier as 10 multiply-adds.

``parse`` and ``text`` read and write the benchmark's own notation:

    |nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from raynas.space import Architecture, Chain, Choice, Graph, Space, Sum, Zero, op

#: The operations, in the benchmark's words.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: Holes: ``node2.from1`` is the edge from node 1 to node 2 (node 0 is the cell's input).
EDGES = tuple((node, source) for node in (1, 2, 3) for source in range(node))


class _Task(Protocol):
    @property
    def num_classes(self) -> int: ...


def nasbench201(task: _Task, channels: int = 16, cells: int = 5) -> Space:
    """NAS-Bench-201: one cell of six edges with five operations each, repeated in three stages."""
    parts: dict[str, Any] = {"stem": _conv_norm(channels, 3)}
    for stage in range(3):
        width = channels * 2**stage
        if stage > 0:
            parts[f"reduce{stage}"] = _reduction(width)
        parts[f"stage{stage + 1}"] = Chain([(str(index), _cell(width)) for index in range(cells)])
    parts["head"] = Chain(
        norm=nn.BatchNorm2d,
        act=nn.ReLU,
        pool=op(nn.AdaptiveAvgPool2d, 1),
        flatten=nn.Flatten,
        linear=op(nn.Linear, out_features=task.num_classes),
    )
    return Space(name="nasbench201", **parts)


def parse(notation: str) -> Architecture:
    """The architecture of the benchmark's own notation.

    Raises:
        ValueError: the text is not in that notation.
    """
    nodes = [re.findall(r"\|?([a-z0-9_]+)~(\d)\|", node) for node in notation.split("+")]
    edges = [(node, int(source), name) for node, found in enumerate(nodes, 1) for name, source in found]
    made = Architecture({_path(node, source): name for node, source, name in edges})
    if tuple(edge[:2] for edge in edges) != EDGES or any(name not in OPERATIONS for _, _, name in edges):
        raise ValueError(
            f"{notation!r} is no cell of NAS-Bench-201; it looks like |none~0|+|none~0|none~1|+|…~0|…~1|…~2|"
        )
    return made


def text(architecture: Mapping[str, Any]) -> str:
    """An architecture in the benchmark's own notation."""
    nodes = [[f"{architecture[_path(node, source)]}~{source}" for source in range(node)] for node in (1, 2, 3)]
    return "+".join("|" + "|".join(node) + "|" for node in nodes)


def _path(node: int, source: int) -> str:
    return f"node{node}.from{source}"


def _cell(width: int) -> Graph:
    def edge(node: int, source: int) -> tuple[str, Choice]:
        operations = {
            "none": Zero(),
            "skip_connect": op(nn.Identity),
            "nor_conv_1x1": _act_conv_norm(width, 1),
            "nor_conv_3x3": _act_conv_norm(width, 3),
            "avg_pool_3x3": op(nn.AvgPool2d, 3, stride=1, padding=1, count_include_pad=False),
        }
        chosen = Choice(
            operations, default="nor_conv_3x3" if source == node - 1 else "skip_connect", name=_path(node, source)
        )
        return (f"node{source}" if source else "input"), chosen

    return Graph({f"node{node}": Sum(*(edge(node, source) for source in range(node))) for node in (1, 2, 3)})


def _conv_norm(width: int, kernel: int) -> Chain:
    convolution = op(nn.Conv2d, out_channels=width, kernel_size=kernel, padding=kernel // 2, bias=False)
    return Chain(conv=convolution, norm=nn.BatchNorm2d)


def _act_conv_norm(width: int, kernel: int, stride: int = 1) -> Chain:
    convolution = op(nn.Conv2d, out_channels=width, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False)
    return Chain(act=nn.ReLU, conv=convolution, norm=nn.BatchNorm2d)


def _reduction(width: int) -> Graph:
    """A residual block that halves the map: average pooling and a pointwise convolution on the short way."""
    long = Chain(a=_act_conv_norm(width, 3, stride=2), b=_act_conv_norm(width, 3))
    short = Chain(pool=op(nn.AvgPool2d, 2, stride=2), conv=op(nn.Conv2d, out_channels=width, kernel_size=1, bias=False))
    return Graph({"out": Sum(("input", long), ("input", short))})
