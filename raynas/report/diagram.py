"""A network as a text diagram: its blocks as a tree, with the shape that leaves each, parameters and FLOPs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raynas.costs.cost import LayerCost, layer_costs
from raynas.report.wording import big
from raynas.space.network.pruning import live_nodes
from raynas.space.template.graph import Concat, Graph
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.paths import below, edge_path
from raynas.space.template.signature import constructor
from raynas.space.template.structure import Chain
from raynas.space.template.values import same, show
from raynas.space.walk.fill import Network

#: Arguments that say nothing beside the shapes.
_SHAPED = frozenset({"in_channels", "in_features", "num_features", "input_size", "in_shape", "embed_dim", "d_model"})


@dataclass
class Block:
    """A piece of a network with what lies in it.

    Attributes:
        path: the module's path; "" for the whole network.
        label: its last part, as shown.
        kind: an operation's class, ``chain``, ``graph``, ``sum`` or ``concat``.
        arguments: an operation's, without what the shapes say and what is its default anyway.
        shape: of what leaves it, without the batch.
        sources: of an edge: where it comes from.
    """

    path: str
    label: str
    kind: str
    shape: tuple[int, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    inner: list[Block] = field(default_factory=list)
    own: tuple[int, int] = (0, 0)

    @property
    def params(self) -> int:
        """Parameters, those of what lies in it included."""
        return self.own[0] + sum(block.params for block in self.inner)

    @property
    def flops(self) -> int:
        """2 x multiply-adds for one input."""
        return self.own[1] + sum(block.flops for block in self.inner)

    def walk(self) -> Iterator[Block]:
        """This block and all in it, from the outside in, in the order of running."""
        yield self
        for block in self.inner:
            yield from block.walk()


def tree(network: Network, input_shape: Any, dtype: Any = None) -> Block:
    """The blocks of a network; ``input_shape`` and ``dtype`` (None: float32) are those of one sample."""
    costs = {layer.path: layer for layer in layer_costs(network, input_shape, dtype)}
    return _block("", "network", network.root, costs, input_shape)


def _block(path: str, label: str, part: Part | None, costs: dict[str, LayerCost], shape: tuple[int, ...]) -> Block:
    if isinstance(part, Op):
        cost = costs[path]
        defaults = constructor(part.cls).defaults
        arguments = {
            name: value
            for name, value in part.arguments
            if name not in _SHAPED and not (name in defaults and same(value, defaults[name]))
        }
        return Block(path, label, cost.kind, cost.out_shape, arguments, own=(cost.params, cost.flops))
    if isinstance(part, Chain):
        inner = []
        for name, child in part.parts:
            inner.append(_block(below(path, name), name, child, costs, shape))
            shape = inner[-1].shape
        return Block(path, label, "chain", shape, inner=inner)
    if isinstance(part, Graph):
        return _graph(path, label, part, costs, shape)
    return Block(path, label, "as it is", shape)


def _graph(path: str, label: str, graph: Graph, costs: dict[str, LayerCost], shape: tuple[int, ...]) -> Block:
    shapes = {graph.input: shape}
    nodes = []
    for name, merge, edges in live_nodes(graph):
        place = below(path, name)
        arrived = []
        for edge in edges:
            source = edge.sources[0]
            block = _block(edge_path(path, name, edge), edge.label, edge.part, costs, shapes[source])
            block.sources = (source,)
            arrived.append(block)
        shapes[name] = _merged(merge, [block.shape for block in arrived])
        kind = "concat" if isinstance(merge, Concat) else "sum"
        nodes.append(Block(place, name, kind, shapes[name], inner=arrived))
    return Block(path, label, "graph", shapes.get(graph.output, shape), inner=nodes)


def _merged(merge: Any, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    if not isinstance(merge, Concat):
        return shapes[0]
    index = merge.dim - 1 if merge.dim > 0 else merge.dim + len(shapes[0])
    total = sum(shape[index] for shape in shapes)
    return (*shapes[0][:index], total, *shapes[0][index + 1 :])


def lines(root: Block, input_shape: Any, width: int | None = None) -> list[str]:
    """The diagram, a line a block; none is longer than ``width`` (arguments are cut off)."""
    rows: list[tuple[str, str, str, str]] = [("input", _shape(input_shape), "", "")]
    for place, block in enumerate(root.inner):
        _rows(block, "", place == len(root.inner) - 1, rows)
    rows.append(("in all", "", f"{root.params:,}", big(root.flops)))
    heads = ("block", "output", "parameters", "FLOPs")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(4)]

    if width is not None:
        widths[0] = max(len(heads[0]), min(widths[0], width - sum(widths[1:]) - 6))

    def line(row: tuple[str, ...]) -> str:
        name = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        text = f"{name:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}"
        return text.rstrip()

    return [line(heads), *map(line, rows)]


def _rows(block: Block, indent: str, last: bool, rows: list[tuple[str, str, str, str]]) -> None:
    branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
    costs = (f"{block.params:,}", big(block.flops)) if block.params or block.flops else ("–", "–")
    rows.append((f"{indent}{branch}{_block_text(block)}", _shape(block.shape), *costs))
    for place, inner in enumerate(block.inner):
        _rows(inner, indent + below, place == len(block.inner) - 1, rows)


def _block_text(block: Block) -> str:
    label = f"from {block.sources[0]}" if block.sources else block.label
    if block.kind in ("chain", "graph"):
        return label if block.inner else f"{label} (empty)"
    if block.kind in ("sum", "concat", "as it is"):
        return f"{label}: {block.kind}" if len(block.inner) != 1 else label
    arguments = ", ".join(f"{name}={show(value)}" for name, value in block.arguments.items())
    return f"{label}: {block.kind}" + (f"({arguments})" if arguments else "")


def _shape(shape: Any) -> str:
    if isinstance(shape, Mapping):  # of several inputs
        return ", ".join(f"{name} {_shape(one)}" for name, one in shape.items())
    return " x ".join(map(str, shape))
