"""A network in outline, for strategies that learn from its structure: a small graph of labelled operations.

The template is reduced once: what no hole can change becomes one operation, an operation's label is its class with its
fixed arguments (so stages of different width or stride differ), parts that read only holes which an earlier part has
read already (the copies of a cell) are left out. ``Outline.graph`` then fills the reduced template, which takes a
fraction of a millisecond, and reads it as the canonical form does: identities are contracted, absent edges and what
they make useless are dropped, sums are flattened.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from raynas.space import Architecture, Chain, Choice, Concat, Graph, Op, Repeat, Space, Zero, fill, operators
from raynas.space.graph import Edge
from raynas.space.inventory import all_holes
from raynas.space.nodes import Hole, Part
from raynas.space.operation import holes_in
from raynas.space.pruning import is_identity, live_nodes

#: Names of the two ends in walks.
IN, OUT = "in", "out"


class _Outlined:
    """Stands for an operation's class in the reduced template; its argument ``label`` says what it is."""


@dataclass(frozen=True)
class LabelledGraph:
    """Operations in the order of computation.

    Attributes:
        labels: of each operation.
        arguments: of each, the values that holes gave it.
        sources: of each, which operations it reads and how many times (-1 is the network's input); the last entry is
            what the output reads.
    """

    labels: tuple[str, ...]
    arguments: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[int, int], ...]


class Outline:
    """The reduced template of a space.

    The reduced template has the holes of the whole one, so it also draws architectures, in half the time, and what they
    look like in outline comes with it. (A kind of space that draws in its own way, as one that knows only the rows of a
    table, is asked itself.)
    """

    def __init__(self, space: Space) -> None:
        parts, read = [], set[str]()
        for name, part in space.root.parts:
            holes = _holes(name, part)
            if part.open and not holes <= read:
                parts.append((name, _reduce(part)))
            read |= holes
        self._template = cast(Space, _Template(Chain.of(parts), space.recipe, space.hole_map))
        self._draws = self._template if type(space) is Space else None
        self._space = space

    def sample(self, rng: random.Random) -> Architecture:
        """As ``space.sample``."""
        return operators.sample(self._draws, rng) if self._draws else self._space.sample(rng)

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """As ``space.mutate``."""
        if self._draws:
            return operators.mutate(self._draws, architecture, rng)
        return self._space.mutate(architecture, rng)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """As ``space.neighbours``."""
        if self._draws:
            return list(operators.neighbours(self._draws, architecture))
        return list(self._space.neighbours(architecture))

    def graph(self, architecture: Architecture) -> LabelledGraph:
        """The network that an architecture of the space describes, in outline."""
        network = fill(self._template, lambda path, hole: architecture[path])
        reader = _Reader()
        output = reader.part(network.root, {-1: 1})
        return LabelledGraph(tuple(reader.labels), tuple(reader.arguments), (*reader.sources, output))


@dataclass(frozen=True)
class _Template:
    """What ``fill`` needs of a space."""

    root: Chain
    recipe: tuple[tuple[str, Any], ...] = ()
    hole_map: Mapping[str, Hole] = field(default_factory=dict)


def _reduce(part: Part) -> Part:
    if isinstance(part, Zero) or is_identity(part):
        return part
    if not part.open:
        return Op(_Outlined, (("label", _words(part)),))
    if isinstance(part, Op):
        fixed = [f"{name}={value!r}" for name, value in part.arguments if not _is_open(value)]
        named = [f"{name}={value.name}" for name, value in part.arguments if getattr(value, "name", None)]
        label = f"{part.class_name}({', '.join(fixed + named)})"
        return Op(_Outlined, (("label", label), *((n, v) for n, v in part.arguments if _is_open(v))))
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


def _is_open(value: Any) -> bool:
    return any(True for _ in holes_in(value))


def _words(part: Part) -> str:
    """A fixed part in words that are the same in every process: without names of parts, which do not matter."""
    if isinstance(part, Chain):
        return " ".join(_words(child) for _, child in part.parts)
    if isinstance(part, Graph):
        return re.sub(r"\s+", " ", repr(part))
    return str(part)


def _holes(path: str, part: Part) -> set[str]:
    return set(all_holes(cast(Space, _Template(Chain.of([(path, part)])))))


class _Reader:
    """Reads a filled outline. A value is the operations that it sums up, with how often each is added."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.arguments: list[Mapping[str, Any]] = []
        self.sources: list[Mapping[int, int]] = []

    def part(self, part: Part | None, value: Mapping[int, int]) -> Mapping[int, int]:
        if is_identity(part):
            return value
        if isinstance(part, Op):
            given = part.kwargs
            return self.add(given.pop("label", ""), given, value)
        if isinstance(part, Chain):
            for _, child in part.parts:
                value = self.part(child, value)
            return value
        assert isinstance(part, Graph)
        return self.graph(part, value)

    def add(self, label: str, arguments: Mapping[str, Any], value: Mapping[int, int]) -> Mapping[int, int]:
        if not value:
            return value  # nothing arrives
        self.labels.append(label)
        self.arguments.append(arguments)
        self.sources.append(value)
        return {len(self.labels) - 1: 1}

    def graph(self, graph: Graph, value: Mapping[int, int]) -> Mapping[int, int]:
        values: dict[str, Mapping[int, int]] = {graph.input: value}
        for name, merge, edges in live_nodes.__wrapped__(graph):  # no graph comes twice: remembering costs more
            total: dict[int, int] = {}
            for edge in edges:
                for source, times in self.part(edge.part, values[edge.sources[0]]).items():
                    total[source] = total.get(source, 0) + times
            joined = isinstance(merge, Concat) and len(edges) > 1
            values[name] = self.add("concat", {}, total) if joined else total
        return values.get(graph.output, {})
