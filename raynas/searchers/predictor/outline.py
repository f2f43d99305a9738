"""A network in outline, for strategies that learn from its structure: a small graph of labelled operations.

The template is reduced once. Everything that no hole can change becomes one operation. The label of an operation is its
class with its fixed arguments, so stages of different width or stride differ. Parts that read only holes which an
earlier part has read already (the copies of a cell) are left out. The reduced template is then read as the canonical
form reads a network: identities are contracted, absent edges and what they make useless are dropped, and sums are
flattened. Each part remembers its graph for the values of its holes. So reading a network that differs in one hole from
earlier ones takes tens of microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raynas.space import Architecture, Chain, Choice, Concat, Graph, Op, Repeat, Space, Zero
from raynas.space.network.pruning import is_identity
from raynas.space.template.graph import Edge
from raynas.space.template.nodes import Hole, Part
from raynas.space.template.operation import has_holes
from raynas.space.template.paths import below, depth_place, edge_path, hole_path, pieces, source_place
from raynas.space.template.values import exact
from raynas.space.walk.plan import paths, plan_at

#: Names of the two ends in walks.
IN, OUT = "in", "out"
#: How many fillings of one part are remembered.
_REMEMBERED = 5_000

#: Operations that are summed up, with how often each is added; -1 is the input.
Value = Mapping[int, int]


class _Outlined:
    """Stands for an operation's class in the reduced template; its argument ``label`` says what it is."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation: its label, and the values that holes gave it. Equal operations in one place are one object."""

    label: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class LabelledGraph:
    """Operations in the order of computation.

    Attributes:
        operations: all of them.
        sources: for each, which operations it reads and how many times (-1 is the input of the network); the last entry
            is what the output reads.
    """

    operations: tuple[Operation, ...]
    sources: tuple[Value, ...]

    @property
    def labels(self) -> list[str]:
        return [operation.label for operation in self.operations]


class Outline:
    """The reduced template of a space.

    Attributes:
        leaves: its parts in the order of computation; chains and repeats are taken apart.
    """

    def __init__(self, space: Space) -> None:
        parts, read = [], set[str]()
        for name, part in space.root.parts:
            holes = set(paths(plan_at(name, part)))
            if part.open and not holes <= read:
                parts.append((name, _reduce(part)))
            read |= holes
        self.leaves = tuple(_leaves("", Chain.of(parts), {}, ()))

    def graph(self, architecture: Architecture) -> LabelledGraph:
        """The network that an architecture of the space describes, in outline."""
        growing, value = _Growing(), _INPUT
        for leaf in self.leaves:
            value = growing.append(leaf.read(architecture), value)
        return growing.graph(value)


class Leaf:
    """One part of an outline.

    Attributes:
        holes: the paths of its holes.
        copies: for each repeat that it lies in, the path of the depth to the number of this copy (from 0).
        kind: equal for parts that are read as equal graphs if their holes have equal values.
    """

    def __init__(self, reader: _Reader, copies: tuple[tuple[str, int], ...]) -> None:
        self._reader, self.holes, self.copies = reader, reader.holes, copies
        self.kind = id(reader.known)

    def read(self, architecture: Architecture) -> LabelledGraph:
        """The part as a graph; a copy beyond the depth changes nothing."""
        if any(architecture.get(path, 0) <= copy for path, copy in self.copies):
            return IDENTITY
        graph = self._reader.read(architecture)
        assert graph is not None  # only an edge can be absent
        return graph


def _leaves(path: str, part: Part, shared: _Memories, copies: tuple[tuple[str, int], ...]) -> Iterator[Leaf]:
    if isinstance(part, (Chain, Repeat)):
        for index, (place, child) in enumerate(pieces(path, part)):
            within = copies
            if isinstance(part, Repeat) and part.depth is not None and index >= part.low:
                within = (*copies, (hole_path(depth_place(path), part.depth), index))
            yield from _leaves(place, child, shared, within)
    else:
        yield Leaf(_reader(path, part, shared), copies)


def _reduce(part: Part) -> Part:
    if isinstance(part, Zero) or is_identity(part):
        return part
    if not part.open:
        return Op(_Outlined, (("label", _label(part)),))
    if isinstance(part, Op):
        fixed = [f"{name}={value!r}" for name, value in part.arguments if not has_holes(value)]
        named = [f"{name}={value.name}" for name, value in part.arguments if getattr(value, "name", None)]
        label = f"{part.class_name}({', '.join(fixed + named)})"
        return Op(_Outlined, (("label", label), *((n, v) for n, v in part.arguments if has_holes(v))))
    if isinstance(part, Choice):
        reduced = Choice.__new__(Choice)
        contents = tuple(_reduce(content) for content in part.contents)
        reduced._set(options=part.options, contents=contents, default=part.default, name=part.name)
        return reduced
    if isinstance(part, Chain):
        return Chain.of([(name, _reduce(child)) for name, child in part.parts])
    if isinstance(part, Repeat):
        reduced_repeat = Repeat.__new__(Repeat)
        reduced_repeat._set(**{**part.__getstate__(), "block": _reduce(part.block), "head": _reduce(part.head)})
        return reduced_repeat
    assert isinstance(part, Graph)
    nodes = []
    for name, merge in part.nodes:
        edges = [
            Edge(edge.label, edge.source, None if edge.part is None else _reduce(edge.part)) for edge in merge.edges
        ]
        nodes.append((name, merge.with_edges(tuple(edges))))
    return part.with_nodes(tuple(nodes))


def _label(part: Part) -> str:
    """A fixed part in words that are the same in every process: without names of parts, which do not matter."""
    if isinstance(part, Chain):
        return " ".join(_label(child) for _, child in part.parts)
    if isinstance(part, Graph):
        return re.sub(r"\s+", " ", repr(part))
    return str(part)


class _Reader:
    """Reads one part of the reduced template, and remembers its graph for the values of its holes.

    Args:
        path: where the part stands.
        shared: the memory of each part; copies of one part share it.
    """

    def __init__(self, path: str, part: Part, shared: _Memories) -> None:
        self.holes = tuple(dict.fromkeys(paths(plan_at(path, part))))
        self.known = shared.setdefault(part, {})

    def read(self, architecture: Architecture) -> LabelledGraph | None:
        """The part as a graph; None for an absent edge."""
        key = tuple([exact(architecture.get(path, ...)) for path in self.holes])
        if key in self.known:
            return self.known[key]
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        found = self.known[key] = self.make(architecture)
        return found

    def make(self, architecture: Architecture) -> LabelledGraph | None:
        raise NotImplementedError


class _ReadFixed(_Reader):
    def __init__(self, graph: LabelledGraph | None) -> None:
        self.graph, self.holes, self.known = graph, (), {}

    def read(self, architecture: Architecture) -> LabelledGraph | None:
        return self.graph


class _ReadOp(_Reader):
    def __init__(self, path: str, part: Op, shared: _Memories) -> None:
        super().__init__(path, part, shared)
        self.path, self.arguments = path, part.kwargs
        self.label = self.arguments.pop("label")

    def make(self, architecture: Architecture) -> LabelledGraph:
        given = {
            name: _filled(below(self.path, name), content, architecture) for name, content in self.arguments.items()
        }
        return LabelledGraph((Operation(self.label, given),), ({-1: 1}, {0: 1}))


class _ReadChoice(_Reader):
    def __init__(self, path: str, part: Choice, shared: _Memories) -> None:
        super().__init__(path, part, shared)
        self.path = hole_path(path, part)
        readers = [_reader(place, content, shared) for place, content in pieces(path, part)]
        self.options = dict(zip(map(exact, part.options), readers, strict=True))

    def make(self, architecture: Architecture) -> LabelledGraph | None:
        return self.options[exact(architecture[self.path])].read(architecture)


class _ReadChain(_Reader):
    def __init__(self, path: str, part: Chain, shared: _Memories) -> None:
        super().__init__(path, part, shared)
        self.readers = [_reader(place, child, shared) for place, child in pieces(path, part)]

    def make(self, architecture: Architecture) -> LabelledGraph | None:
        return _in_a_row(self.readers, architecture)


class _ReadRepeat(_Reader):
    def __init__(self, path: str, part: Repeat, shared: _Memories) -> None:
        super().__init__(path, part, shared)
        self.path = None if part.depth is None else hole_path(depth_place(path), part.depth)
        self.readers = [_reader(place, copy, shared) for place, copy in pieces(path, part)]

    def make(self, architecture: Architecture) -> LabelledGraph | None:
        readers = self.readers if self.path is None else self.readers[: architecture[self.path]]
        return _in_a_row(readers, architecture)


class _ReadGraph(_Reader):
    def __init__(self, path: str, part: Graph, shared: _Memories) -> None:
        super().__init__(path, part, shared)
        self.input, self.output = part.input, part.output
        self.nodes = []
        for name, merge in part.nodes:
            edges = []
            for edge in merge.edges:
                place = edge_path(path, name, edge)
                edges.append((source_place(place), edge.source, _reader(place, edge.part, shared)))
            self.nodes.append((name, isinstance(merge, Concat), edges))

    def make(self, architecture: Architecture) -> LabelledGraph:
        arrives: dict[str, list[tuple[str, LabelledGraph]]] = {}
        for name, _, edges in self.nodes:
            arrived = []
            for place, content, reader in edges:
                source = _filled(place, content, architecture)
                if source == self.input or source in arrives:
                    graph = reader.read(architecture)
                    if graph is not None:
                        arrived.append((source, graph))
            if arrived:
                arrives[name] = arrived
        needed = {self.output}
        for name in reversed(arrives):
            if name in needed:
                needed.update(source for source, _ in arrives[name])
        growing = _Growing()
        values: dict[str, Value] = {self.input: _INPUT}
        for name, joins, _ in self.nodes:
            if name in arrives and name in needed:
                total: dict[int, int] = {}
                for source, graph in arrives[name]:
                    for operation, times in growing.append(graph, values[source]).items():
                        total[operation] = total.get(operation, 0) + times
                values[name] = growing.append(_CONCAT, total) if joins and len(arrives[name]) > 1 else total
        return growing.graph(values.get(self.output, {}))


class _Growing:
    """A graph that is being put together from smaller ones."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.sources: list[Value] = []

    def append(self, graph: LabelledGraph, value: Value) -> Value:
        """Puts a graph behind a value; returns what it yields."""
        if not value:
            return value  # nothing arrives
        first = len(self.operations)
        moved = graph.sources if value == _INPUT and not first else [_moved(it, value, first) for it in graph.sources]
        self.operations += graph.operations
        self.sources += moved[:-1]
        return moved[-1]

    def graph(self, output: Value) -> LabelledGraph:
        return LabelledGraph(tuple(self.operations), (*self.sources, output))


def _moved(sources: Value, value: Value, first: int) -> Value:
    """What an operation reads, with a value in the place of the input and the others counted from ``first``."""
    if len(sources) == 1:
        ((source, times),) = sources.items()
        if times == 1:
            return {source + first: 1} if source >= 0 else value
    found: dict[int, int] = {}
    for source, times in sources.items():
        if source >= 0:
            found[source + first] = found.get(source + first, 0) + times
        else:
            for other, more in value.items():
                found[other] = found.get(other, 0) + times * more
    return found


def _in_a_row(readers: Sequence[_Reader], architecture: Architecture) -> LabelledGraph | None:
    growing, value = _Growing(), _INPUT
    for reader in readers:
        graph = reader.read(architecture)
        if graph is None:
            return None
        value = growing.append(graph, value)
    return growing.graph(value)


def _filled(path: str, content: Any, architecture: Architecture) -> Any:
    """An argument with its holes filled."""
    if isinstance(content, Hole):
        chosen = architecture[hole_path(path, content)]
        if isinstance(content, Choice):
            return _filled(below(path, chosen), content.content(chosen), architecture)
        return chosen
    if isinstance(content, tuple):
        return tuple(_filled(below(path, index), item, architecture) for index, item in enumerate(content))
    return content


def _reader(path: str, part: Part | None, shared: _Memories) -> _Reader:
    if isinstance(part, Zero):
        return _ReadFixed(None)
    if part is None or is_identity(part):
        return _ReadFixed(IDENTITY)
    return _READERS[type(part)](path, part, shared)


_Memories = dict[Part, dict[Any, "LabelledGraph | None"]]
_READERS: dict[type, Any] = {
    Op: _ReadOp,
    Choice: _ReadChoice,
    Chain: _ReadChain,
    Repeat: _ReadRepeat,
    Graph: _ReadGraph,
}
_INPUT: Value = {-1: 1}
IDENTITY = LabelledGraph((), (_INPUT,))
_CONCAT = LabelledGraph((Operation("concat", {}),), (_INPUT, {0: 1}))
