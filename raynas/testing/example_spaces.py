"""Spaces of every kind, for tests of strategies: flat ones, cells, conditional and repeated parts, shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from raynas.simulate.spaces import TableTask
from raynas.space import Chain, Choice, Concat, Float, Graph, Int, Repeat, Space, Sum, Zero, op

#: Shapes are all that these spaces look at in a task.
_SMALL: Any = TableTask((1, 8, 8))
_USUAL: Any = TableTask()


def recipe_space(**holes: Any) -> Space:
    """A space whose network is fixed: its holes are the recipe's."""
    from torch import nn

    return Space(body=op(nn.Identity), recipe=holes)


def options_space(holes: int = 8, options: int = 4) -> Space:
    """A flat space of recipe holes: quick to fill, and a size that is known."""
    return recipe_space(**{f"h{index}": Choice(*range(options)) for index in range(holes)})


def small_space() -> Space:
    """18 architectures."""
    return recipe_space(a=Choice(1, 2, 3), b=Choice(1, 2, 3), c=Choice("x", "y"))


def mixed_space() -> Space:
    """Numbers and choices, without end."""
    return recipe_space(lr=Float(1e-3, 1.0, log=True), width=Int(1, 90), a=Choice(0, 1, 2), b=Choice(True, 0))


def cell_space() -> Space:
    """Graphs, sources, repeats and conditional holes in one."""
    from torch import nn

    wide = Chain(act=nn.ReLU, drop=op(nn.Dropout, p=Choice(0.0, 0.1, 0.3)))
    edge = Choice({"none": Zero(), "skip": op(nn.Identity), "relu": op(nn.ReLU), "wide": wide})
    cell = Graph(
        {
            "a": Sum(("input", edge)),
            "b": Sum((Choice("input", "a"), op(nn.Tanh)), ("a", edge)),
            "out": Concat("a", "b"),
        }
    )
    return Space(body=Repeat(cell, 1, 2), tail=Choice(nn.ReLU, nn.GELU))


def _mlp() -> Space:
    from search_spaces.mlp import mlp

    return mlp(_SMALL)


def _resnet() -> Space:
    from search_spaces.resnet import resnet

    return resnet(_SMALL)


def _nasbench201() -> Space:
    from search_spaces.nasbench201 import nasbench201

    return nasbench201(_USUAL, channels=4, cells=1)


#: A maker of each kind of space, by a name for messages.
SPACES: Mapping[str, Callable[[], Space]] = MappingProxyType(
    {"cell": cell_space, "recipe": mixed_space, "mlp": _mlp, "resnet": _resnet, "nasbench201": _nasbench201}
)
