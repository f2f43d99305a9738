"""``Graph``: nodes that merge what arrives on their edges, by sum or concatenation (cells, residual blocks)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.choice import Choice
from raynas.space.template.nodes import Node, Part, check_name
from raynas.space.template.operation import as_part


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Edge(Node):
    """Where an edge comes from and what happens on the way.

    Attributes:
        label: the edge's name within its node, part of its path.
        source: the name of an earlier node or of the graph's input, or a choice of such names.
        part: the operation on the edge; None passes the value on unchanged.
    """

    label: str
    source: str | Choice
    part: Part | None

    def __init__(self, label: str, source: str | Choice, part: Part | None) -> None:
        self._set(label=label, source=source, part=part)

    @cached_property
    def open(self) -> bool:
        return isinstance(self.source, Choice) or (self.part is not None and self.part.open)

    @property
    def sources(self) -> tuple[str, ...]:
        """All names that the edge may come from."""
        return self.source.contents if isinstance(self.source, Choice) else (self.source,)

    def __repr__(self) -> str:
        return repr(self.source) if self.part is None else f"({self.source!r}, {self.part!r})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Merge(Node):
    """A node of a graph: its edges, and how they are merged (the subclass says)."""

    edges: tuple[Edge, ...]

    @cached_property
    def open(self) -> bool:
        return any(edge.open for edge in self.edges)

    def with_edges(self, edges: tuple[Edge, ...]) -> Merge:
        """The same kind of merge over other edges."""
        merge = self.__class__.__new__(self.__class__)
        merge._set(**{**self.__getstate__(), "edges": edges})
        return merge

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.edges))})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Sum(Merge):
    """Adds what arrives; all shapes must be equal.

    Args:
        edges: a source, or ``(source, part)``. A source is the name of an earlier node or the graph's input, or a
            ``Choice`` of such names.
    """

    def __init__(self, *edges: Any) -> None:
        self._set(edges=_edges(edges, "Sum"))


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Concat(Merge):
    """Joins what arrives along one dimension (1, the channels, unless given; 0 is the batch and cannot be joined)."""

    dim: int

    def __init__(self, *edges: Any, dim: int = 1) -> None:
        if type(dim) is not int or dim == 0:
            raise SpaceError(f"Concat: dim={dim!r} cannot be joined; give a dimension after the batch (1, 2, … or -1)")
        self._set(edges=_edges(edges, "Concat"), dim=dim)

    def __repr__(self) -> str:
        return f"Concat({', '.join(map(repr, self.edges))}, dim={self.dim})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Graph(Part):
    """Nodes in order, each merging edges from earlier nodes.

    Args:
        nodes: name → ``Sum(…)`` or ``Concat(…)``.
        output: the node whose value the graph yields; the last unless given. If nothing reaches it, the graph yields
            zeros shaped like its input.
        input: what edges call the graph's input.

    Raises:
        SpaceError: an edge comes from nowhere earlier, or a name cannot be.

    >>> from torch import nn
    >>> Graph({"out": Sum("input", ("input", nn.ReLU))})
    Graph({'out': Sum('input', ('input', op(ReLU)))}, output='out')
    """

    nodes: tuple[tuple[str, Merge], ...]
    output: str
    input: str

    def __init__(self, nodes: Mapping[str, Merge], output: str | None = None, input: str = "input") -> None:
        if not isinstance(nodes, Mapping) or not nodes:
            raise SpaceError('Graph: give at least one node: Graph({"out": Sum("input", …)})')
        known = [check_name(input, "graph input")]
        for name, merge in nodes.items():
            check_name(name, "graph node")
            if name == input:
                raise SpaceError(f"Graph: a node cannot be called {name!r}: that is the graph's input")
            if not isinstance(merge, Merge):
                raise SpaceError(f"Graph, node {name!r}: {merge!r} is not a merge; write Sum(…) or Concat(…)")
            for edge in merge.edges:
                for source in edge.sources:
                    if source not in known:
                        raise SpaceError(
                            f"Graph, node {name!r}: an edge comes from {source!r}, which is not an earlier node; "
                            f"there are: {', '.join(known)}"
                        )
            known.append(name)
        output = known[-1] if output is None else output
        if output not in nodes:
            raise SpaceError(f"Graph: the output {output!r} is not a node; there are: {', '.join(nodes)}")
        self._set(nodes=tuple(nodes.items()), output=output, input=input)

    def with_nodes(self, nodes: tuple[tuple[str, Merge], ...]) -> Graph:
        """The same graph with other merges under the same names."""
        graph = Graph.__new__(Graph)
        graph._set(nodes=nodes, output=self.output, input=self.input)
        return graph

    @cached_property
    def open(self) -> bool:
        return any(merge.open for _, merge in self.nodes)

    def __repr__(self) -> str:
        extra = "" if self.input == "input" else f", input={self.input!r}"
        return f"Graph({{{', '.join(f'{n!r}: {m!r}' for n, m in self.nodes)}}}, output={self.output!r}{extra})"


def _edges(edges: tuple[Any, ...], what: str) -> tuple[Edge, ...]:
    if not edges:
        raise SpaceError(f"{what}(): a node needs at least one edge")
    pairs = [edge if isinstance(edge, tuple) else (edge, None) for edge in edges]
    for pair in pairs:
        if len(pair) != 2:
            raise SpaceError(f"{what}: the edge {pair!r} is not (source, part)")
        names = pair[0].contents if isinstance(pair[0], Choice) else (pair[0],)
        if not all(isinstance(name, str) for name in names):
            raise SpaceError(f"{what}: {pair[0]!r} is not a source; give a node's name or a Choice of names")
    times = Counter(source for source, _ in pairs if isinstance(source, str))
    made = []
    for index, (source, part) in enumerate(pairs):
        label = source if isinstance(source, str) and times[source] == 1 else str(index)
        made.append(Edge(label, source, None if part is None else as_part(part, f"{what}, edge {label!r}")))
    return tuple(made)
