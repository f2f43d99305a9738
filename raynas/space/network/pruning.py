"""Which parts of a filled graph are computed: nodes between input and output, and edges that are not absent."""

from __future__ import annotations

from functools import lru_cache

from raynas.space.template.graph import Edge, Graph, Merge
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op, Zero
from raynas.space.template.structure import Chain

#: Classes that hand on their input: contracted in the canonical form (but built, as written).
IDENTITIES = frozenset({"torch.nn.modules.linear.Identity", "raynas.blocks.Identity"})


def is_identity(part: Part | None) -> bool:
    """Whether an operation hands on its input as it is."""
    if part is None:
        return True
    if not isinstance(part, Op):
        return False
    name = part.class_name
    return name in IDENTITIES or (part.cls.__name__ == "Identity" and name.startswith("raynas.blocks."))


def absent(part: Part | None) -> bool:
    """Whether nothing flows through a part: a ``Zero``, or a chain with one in it."""
    if isinstance(part, Chain):
        return any(absent(child) for _, child in part.parts)
    return isinstance(part, Zero)


@lru_cache(maxsize=4096)
def live_nodes(graph: Graph) -> tuple[tuple[str, Merge, tuple[Edge, ...]], ...]:
    """The nodes of a filled graph that its output needs, in order, each with the edges on which something arrives.

    Empty where nothing reaches the output: the graph then yields zeros shaped like its input.
    """
    reached = {graph.input}
    edges: dict[str, tuple[Edge, ...]] = {}
    for name, merge in graph.nodes:
        edges[name] = tuple(edge for edge in merge.edges if edge.source in reached and not absent(edge.part))
        if edges[name]:
            reached.add(name)
    if graph.output not in reached:
        return ()
    needed = {graph.output}
    for name, _ in reversed(graph.nodes):
        if name in needed:
            needed.update(edge.sources[0] for edge in edges[name])
    return tuple((name, merge, edges[name]) for name, merge in graph.nodes if name in needed)
