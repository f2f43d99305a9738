"""From a network to a plain ``nn.Module``: a chain is an ``nn.Sequential`` with named children, a graph a ``Dag``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.network.pruning import live_nodes
from raynas.space.network.shapes import trace
from raynas.space.template.graph import Concat, Graph
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.paths import below, edge_path
from raynas.space.template.structure import Chain
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    from torch import nn


def build(network: Network, input_shape: Any, dtype: Any = None) -> nn.Module:
    """Builds the module, with the torch generator's current state for its initial weights.

    Parameters are named by their modules' paths. What is not computed (absent edges, dead ends) is not built.

    Args:
        network: a filled template.
        input_shape: the shape of one sample, without the batch; of several inputs, that of each by its name.
        dtype: of the input; float32 unless given.

    Raises:
        SpaceError: an operation does not fit what reaches it, or a part's name is one that torch's modules use.
    """
    found, _ = trace(network, input_shape, dtype)
    arguments = {layer.path: layer.arguments for layer in found}
    return _module("", network.root, arguments)


def _module(path: str, part: Part, arguments: dict[str, dict[str, Any]]) -> nn.Module:
    from torch import nn

    from raynas.blocks.graph import Dag, Node

    if isinstance(part, Op):
        return part.cls(**arguments[path])
    if isinstance(part, Chain):
        chain = nn.Sequential()
        for name, child in part.parts:
            _add(chain, path, name, _module(below(path, name), child, arguments))
        return chain
    assert isinstance(part, Graph)
    dag = Dag(input=part.input, output=part.output)
    for name, merge, edges in live_nodes(part):
        node = Node("concat", merge.dim) if isinstance(merge, Concat) else Node()
        for edge in edges:
            module = None if edge.part is None else _module(edge_path(path, name, edge), edge.part, arguments)
            _checked(below(path, name), edge.label, node)
            node.add_edge(edge.label, edge.sources[0], module)
        _add(dag, path, name, node)
    return dag


def _add(parent: nn.Module, path: str, name: str, child: nn.Module) -> None:
    _checked(path, name, parent)
    parent.add_module(name, child)


def _checked(path: str, name: str, parent: nn.Module) -> None:
    if hasattr(parent, name) and name not in parent._modules:
        raise SpaceError(
            f"{below(path, name)}: a part cannot be called {name!r}, since torch's modules have that attribute; "
            "rename it"
        )
