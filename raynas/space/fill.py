"""The one walk: where a template meets a filling and becomes a network.

``fill(space, choose)`` visits the template in a fixed order and asks ``choose(path, hole)`` at each hole that it
reaches. Every primitive of a searcher (sample, replay, mutate, crossover, enumerate) is a chooser of a few lines; see
:mod:`raynas.space.operators`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.choice import Choice
from raynas.space.graph import Edge, Graph
from raynas.space.nodes import Hole, Part
from raynas.space.operation import Op
from raynas.space.structure import Chain, Repeat

if TYPE_CHECKING:
    from raynas.space.space import Space

Choose = Callable[[str, Hole], Any]


@dataclass(frozen=True)
class Network:
    """A template with every hole filled: the same nodes with literals only; repeats have become chains.

    Attributes:
        root: the chain of the space's parts. A module's path in it (without option names) is the prefix of its
            parameters' names in the built module.
        recipe: the training recipe, filled.
    """

    root: Chain
    recipe: dict[str, Any]


def fill(space: Space, choose: Choose) -> Network:
    """Walks the template and returns the network.

    Args:
        space: the template.
        choose: asked once for every hole that is reached, in a fixed order, with its path; returns its value.

    Raises:
        SpaceError: ``choose`` returned what is not an option.
    """
    walk = _Walk(choose)
    root = walk.part("", space.root)
    recipe = {key: walk.value(f"recipe.{key}", value) for key, value in space.recipe}
    return Network(root, recipe)


class _Walk:
    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.named: dict[str, Any] = {}  # state of one walk: named holes that have been asked for

    def ask(self, path: str, hole: Hole) -> Any:
        if hole.name is None:
            return self.choose(path, hole)
        if hole.name not in self.named:
            self.named[hole.name] = self.choose(hole.name, hole)
        return self.named[hole.name]

    def value(self, path: str, content: Any) -> Any:
        if isinstance(content, Hole):
            chosen = self.ask(path, content)
            if isinstance(content, Choice):
                return self.value(f"{path}.{chosen}", content.content(chosen))
            return chosen
        if content.__class__ is tuple:
            return tuple([self.value(f"{path}.{index}", item) for index, item in enumerate(content)])
        return content

    def part(self, path: str, part: Part) -> Any:
        if not part.open:
            return part
        return _VISIT[part.__class__](self, path, part)

    def op(self, path: str, part: Op) -> Op:
        dot = f"{path}."
        return Op(part.cls, tuple([(name, self.value(dot + name, value)) for name, value in part.arguments]))

    def choice(self, path: str, hole: Choice) -> Part:
        chosen = self.ask(path, hole)
        return self.part(f"{path}.{chosen}", hole.content(chosen))

    def chain(self, path: str, part: Chain) -> Chain:
        dot = f"{path}." if path else ""
        return Chain.of([(name, self.part(dot + name, child)) for name, child in part.parts])

    def repeat(self, path: str, part: Repeat) -> Chain:
        depth = part.low if part.depth is None else self.ask(f"{path}.depth", part.depth)
        if part.depth is not None and not part.depth.contains(depth):
            raise SpaceError(f"{path}.depth: {depth!r} is out of range; give {part.depth.domain()}")
        return Chain.of([(str(index), self.part(f"{path}.{index}", part.copy(index))) for index in range(depth)])

    def graph(self, path: str, part: Graph) -> Graph:
        nodes = []
        for name, merge in part.nodes:
            edges = tuple([self.edge(f"{path}.{name}.{edge.label}", edge) for edge in merge.edges])
            nodes.append((name, merge.with_edges(edges)))
        return part.with_nodes(tuple(nodes))

    def edge(self, path: str, edge: Edge) -> Edge:
        if not edge.open:
            return edge
        source = edge.source
        if isinstance(source, Choice):
            source = source.content(self.ask(f"{path}.source", source))
        return Edge(edge.label, source, None if edge.part is None else self.part(path, edge.part))


_VISIT: dict[type, Callable[[_Walk, str, Any], Any]] = {
    Op: _Walk.op,
    Choice: _Walk.choice,
    Chain: _Walk.chain,
    Repeat: _Walk.repeat,
    Graph: _Walk.graph,
}
