"""A network as Python source: one class of literal constructor calls, and a class for each graph in it.

Made from the network (the filled template), never from a built module. A chain becomes an ``nn.Sequential``; a graph
becomes a class whose ``forward`` is read line by line. Parameters are named as in the search: by their modules' paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raynas.export.collect import Collection, Reference
from raynas.export.errors import ExportError
from raynas.export.expression import Call, call, dictionary, literal
from raynas.space.network.pruning import live_nodes
from raynas.space.network.shapes import Layer, Shape, is_named, trace
from raynas.space.template.graph import Concat, Edge, Graph, Merge
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.paths import below, edge_path
from raynas.space.template.signature import constructor
from raynas.space.template.structure import Chain
from raynas.space.walk.fill import Network

Nodes = tuple[tuple[str, Merge, tuple[Edge, ...]], ...]


@dataclass
class _GraphClass:
    """A graph of the network; equal ones share a class."""

    paths: list[str]
    graph: Graph
    nodes: Nodes
    modules: dict[str, Call]  # node → the modules on its edges
    name: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass
class NetworkSource:
    """Collects the classes of a network, and then writes it.

    Args:
        collection: where the classes' own sources are collected.
        network: the filled template.
        input_shape: of one sample; of several inputs, that of each by its name.
        input_dtype: of one sample, as torch names it (None: float32); likewise.
    """

    collection: Collection
    network: Network
    input_shape: Any
    input_dtype: Any = None
    _graphs: dict[Any, _GraphClass] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layers, self.output_shape = trace(self.network, self.input_shape, self.input_dtype)
        self._layers = layers
        self._arguments = {layer.path: layer.arguments for layer in layers}
        self._nn = self.collection.add_import("torch", "nn")
        self._tensor = self.collection.add_import("torch", "Tensor")
        self._parts = [(name, self._expression(name, part)) for name, part in self.network.root.parts]

    # -- what each part is ---------------------------------------------------------------------------------------

    def _expression(self, path: str, part: Part) -> Call:
        if isinstance(part, Op):
            given = self._arguments[path]
            order = [name for name in constructor(part.cls).defaults if name in given]
            arguments = [(name, literal(given[name])) for name in dict.fromkeys([*order, *given])]
            return call(self.collection.add_class(part.cls), arguments)
        if isinstance(part, Chain):
            inner = [(name, self._expression(below(path, name), child)) for name, child in part.parts]
            return self._sequential(inner)
        assert isinstance(part, Graph)
        return call(self._graph(path, part), ())

    def _sequential(self, inner: list[tuple[str, Call]]) -> Call:
        many = len(inner) > 1 and any(value.arguments for _, value in inner)
        function = Reference(self._nn.name, ".Sequential")
        if [name for name, _ in inner] == [str(index) for index in range(len(inner))]:
            return call(function, [("", value) for _, value in inner], open=many)
        ordered = self.collection.add_import("collections", "OrderedDict")
        if all(name.isidentifier() for name, _ in inner):
            return call(function, [("", call(ordered, inner, open=many))])
        return call(function, [("", call(ordered, [("", dictionary(inner))]))])

    def _graph(self, path: str, graph: Graph) -> _GraphClass:
        nodes, modules = live_nodes(graph), {}
        for name, merge, edges in nodes:
            held = [
                (edge.label, self._expression(edge_path(path, name, edge), edge.part))
                for edge in edges
                if edge.part is not None
            ]
            if held:
                modules[name] = call(Reference(self._nn.name, ".ModuleDict"), [("", dictionary(held))])
                self._check_labels(below(path, name), [label for label, _ in held])
            if isinstance(merge, Concat) and len(edges) > 1:
                self.collection.add_import("torch")
        if not nodes:
            self.collection.add_import("torch")
        inside = [(layer.path.removeprefix(path), layer.arguments) for layer in self._inside(path)]
        live = tuple((name, type(merge), getattr(merge, "dim", None), edges) for name, merge, edges in nodes)
        found = self._graphs.setdefault(
            (graph.input, graph.output, live, repr(inside)), _GraphClass([], graph, nodes, modules)
        )
        found.paths.append(path)
        return found

    def _check_labels(self, path: str, labels: list[str]) -> None:
        from torch import nn

        for label in labels:
            if hasattr(nn.ModuleDict, label):
                raise ExportError(f"{path}.{label}: an exported edge cannot be called {label!r}; rename its source")

    # -- the text ------------------------------------------------------------------------------------------------

    def text(self, class_name: str, words: str) -> str:
        """The class of the network (``words``: its docstring), and those of its graphs. Names must be settled."""
        self._name_graphs({class_name})
        lines = [
            f"class {class_name}({self._nn}.Module):",
            f'    """{words}"""',
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
        ]
        for name, value in self._parts:
            lines.append(_assign(name, value, 8))
        inputs = f"dict[str, {self._tensor}]" if self._is_named("") else str(self._tensor)
        lines += ["", f"    def forward(self, x: {inputs}) -> {self._tensor}:"]
        for name, part in self.network.root.parts:
            shape = " x ".join(map(str, self._out_shape(name, part)))
            lines.append(f"        x = {_attribute('self', name)}(x)" + (f"  # {shape}" if shape else ""))
        lines.append("        return x")
        return "\n\n\n".join(["\n".join(lines), *map(self._graph_text, self._graphs.values())]) + "\n"

    def _out_shape(self, path: str, part: Part) -> Shape:
        """The shape that leaves a part, where its last operation says it."""
        inside = self._inside(path)
        return inside[-1].out_shape if inside and not isinstance(part, Graph) else ()

    def _inside(self, path: str) -> list[Layer]:
        return [layer for layer in self._layers if layer.path == path or layer.path.startswith(f"{path}.")]

    def _is_named(self, path: str) -> bool:
        """Whether several named inputs reach a part ("": the network)."""
        return any(is_named(layer.in_shape) for layer in (self._inside(path) if path else self._layers))

    def _name_graphs(self, taken: set[str]) -> None:
        taken = taken | self.collection.final_names()
        for graph in self._graphs.values():
            pieces = graph.paths[0].split(".")
            plain = "".join(_camel(piece) for piece in pieces if not piece.isdigit())
            full = "".join(f"_{piece}" if piece.isdigit() else _camel(piece) for piece in pieces).lstrip("_")
            wanted = [name for name in (plain, full) if name.isidentifier()] or ["Graph"]
            wanted += [f"{wanted[0]}_{number}" for number in range(2, 1000)]
            graph.name = next(name for name in wanted if name not in taken)
            taken.add(graph.name)

    def _graph_text(self, graph: _GraphClass) -> str:
        paths = ", ".join(graph.paths[:6]) + (", …" if len(graph.paths) > 6 else "")
        lines = [f"class {graph.name}({self._nn}.Module):", f'    """The graph of {paths}."""', ""]
        if graph.modules:
            lines += ["    def __init__(self) -> None:", "        super().__init__()"]
            lines += [_assign(name, modules, 8) for name, modules in graph.modules.items()]
            lines.append("")
        reserved = {"self", "torch", str(self._nn), str(self._tensor)}
        values = {
            name: f"x{name}" if name.isdigit() else f"{name}_" if name in reserved else name
            for name in (graph.graph.input, *(name for name, _, _ in graph.nodes))
        }
        given = values[graph.graph.input]
        inputs = f"dict[str, {self._tensor}]" if self._is_named(graph.paths[0]) else str(self._tensor)
        lines.append(f"    def forward(self, {given}: {inputs}) -> {self._tensor}:")
        for name, merge, edges in graph.nodes:
            arrived = []
            for edge in edges:
                source = values[edge.sources[0]]
                module = f"{_attribute('self', name)}[{literal(edge.label)}]"
                arrived.append(source if edge.part is None else f"{module}({source})")
            lines += _merged(values[name], merge, arrived)
        output = values[graph.graph.output] if graph.nodes else f"torch.zeros_like({given})"
        return "\n".join([*lines, f"        return {output}"])


def _merged(target: str, merge: Merge, arrived: list[str]) -> list[str]:
    """The statements that make a node's value, in the order in which the search's own graph adds."""
    if len(arrived) == 1:
        return [f"        {target} = {arrived[0]}"]
    if isinstance(merge, Concat):
        line = f"        {target} = torch.cat([{', '.join(arrived)}], dim={merge.dim})"
        if len(line) <= 120:
            return [line]
        inner = [f"                {value}," for value in arrived]
        head = [f"        {target} = torch.cat(", "            [", *inner, "            ],"]
        return [*head, f"            dim={merge.dim},", "        )"]
    line = f"        {target} = {' + '.join(arrived)}"
    if len(line) <= 120:
        return [line]
    broken = "\n            + ".join(arrived)
    return [f"        {target} = (\n            {broken}\n        )"]


def _assign(name: str, value: Call, indent: int) -> str:
    space = " " * indent
    if name.isdigit():
        return space + call("self.add_module", [("", literal(name)), ("", value)]).lay_out(indent, indent)
    head = f"{space}self.{name} = "
    return head + value.lay_out(indent, len(head))


def _attribute(owner: str, name: str) -> str:
    return f"{owner}.get_submodule({literal(name)})" if name.isdigit() else f"{owner}.{name}"


def _camel(piece: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in piece.split("_"))
