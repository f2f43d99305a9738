"""The one walk: where a template meets a filling and becomes a network.

``fill(space, choose)`` visits the template in a fixed order and asks ``choose(path, hole)`` at each hole that it
reaches. Every primitive of a searcher (sample, replay, mutate, crossover, enumerate) is a chooser of a few lines; see
:mod:`raynas.space.walk.operators`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.choice import Choice
from raynas.space.template.graph import Edge, Graph
from raynas.space.template.nodes import Hole, Part
from raynas.space.template.operation import Op
from raynas.space.template.paths import below, depth_place, edge_path, hole_path, recipe_path, source_place
from raynas.space.template.structure import Chain, Repeat
from raynas.space.template.template import Template

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


def fill(space: Template, choose: Choose) -> Network:
    """Walks the template and returns the network.

    Args:
        space: the template.
        choose: asked once for every hole that is reached, in a fixed order, with its path; returns its value.

    Raises:
        SpaceError: ``choose`` returned what is not an option.
    """
    walk = _Walk(choose)
    root = walk.part("", space.root)
    recipe = {key: walk.value(recipe_path(key), value) for key, value in space.recipe}
    return Network(root, recipe)


class _Walk:
    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.answers: dict[str, Any] = {}  # state of one walk: a hole with a name may come again, and is asked for once

    def ask(self, place: str, hole: Hole) -> Any:
        path = hole_path(place, hole)
        if path not in self.answers:
            self.answers[path] = self.choose(path, hole)
        return self.answers[path]

    def value(self, path: str, content: Any) -> Any:
        if isinstance(content, Hole):
            chosen = self.ask(path, content)
            if isinstance(content, Choice):
                return self.value(below(path, chosen), content.content(chosen))
            return chosen
        if content.__class__ is tuple:
            return tuple([self.value(below(path, index), item) for index, item in enumerate(content)])
        return content

    def part(self, path: str, part: Part) -> Any:
        if not part.open:
            return part
        return _VISIT[part.__class__](self, path, part)

    def op(self, path: str, part: Op) -> Op:
        return Op(part.cls, tuple([(name, self.value(below(path, name), value)) for name, value in part.arguments]))

    def choice(self, path: str, hole: Choice) -> Part:
        chosen = self.ask(path, hole)
        return self.part(below(path, chosen), hole.content(chosen))

    def chain(self, path: str, part: Chain) -> Chain:
        return Chain.of([(name, self.part(below(path, name), child)) for name, child in part.parts])

    def repeat(self, path: str, part: Repeat) -> Chain:
        place = depth_place(path)
        depth = part.low if part.depth is None else self.ask(place, part.depth)
        if part.depth is not None and not part.depth.contains(depth):
            raise SpaceError(f"{place}: {depth!r} is out of range; give {part.depth.domain()}")
        return Chain.of([(str(index), self.part(below(path, index), part.copy(index))) for index in range(depth)])

    def graph(self, path: str, part: Graph) -> Graph:
        nodes = []
        for name, merge in part.nodes:
            edges = tuple([self.edge(edge_path(path, name, edge), edge) for edge in merge.edges])
            nodes.append((name, merge.with_edges(edges)))
        return part.with_nodes(tuple(nodes))

    def edge(self, path: str, edge: Edge) -> Edge:
        if not edge.open:
            return edge
        source = edge.source
        if isinstance(source, Choice):
            source = source.content(self.ask(source_place(path), source))
        return Edge(edge.label, source, None if edge.part is None else self.part(path, edge.part))


_VISIT: dict[type, Callable[[_Walk, str, Any], Any]] = {
    Op: _Walk.op,
    Choice: _Walk.choice,
    Chain: _Walk.chain,
    Repeat: _Walk.repeat,
    Graph: _Walk.graph,
}
