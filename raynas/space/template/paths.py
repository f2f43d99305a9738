"""The rules of paths: where each piece of a template stands, in the order of the walk.

A path holds the names on the way from the root, with dots between them: of parts, of the copies of a repeat (from 0),
of arguments, of places in a tuple (from 0), and of the options of a choice, since two options may both have a
``kernel``. In a filled template no choice is left. So the path of a module there, which the same rules make, holds no
names of options.
"""

from __future__ import annotations

from typing import Any

from raynas.space.template.choice import Choice
from raynas.space.template.graph import Edge, Graph
from raynas.space.template.nodes import Hole
from raynas.space.template.operation import Op
from raynas.space.template.structure import Chain, Repeat
from raynas.space.template.template import Template


def below(path: str, name: object) -> str:
    """The path of what is called ``name`` in the piece at ``path``. The path of the root is ""."""
    return f"{path}.{name}" if path else str(name)


def hole_path(place: str, hole: Hole) -> str:
    """The path of a hole that stands at a place: its own name, if it has one."""
    return place if hole.name is None else hole.name


def depth_place(path: str) -> str:
    """Where the depth of the repeat at ``path`` stands."""
    return below(path, "depth")


def edge_path(path: str, node: str, edge: Edge) -> str:
    """Where an edge, and the part on it, stands: an edge of a node in the graph at ``path``."""
    return f"{below(path, node)}.{edge.label}"


def source_place(path: str) -> str:
    """Where the source of the edge at ``path`` stands."""
    return below(path, "source")


def recipe_path(key: str) -> str:
    """Where a value of the recipe stands."""
    return below("recipe", key)


def roots(space: Template) -> list[tuple[str, Any]]:
    """What a whole template consists of, as (path, piece): the network, then each value of the recipe."""
    return [("", space.root), *((recipe_path(key), value) for key, value in space.recipe)]


def pieces(path: str, item: Any) -> list[tuple[str, Any]]:
    """What stands directly in a part or a value at a path, as (path, piece), in the order of the walk.

    Literals are among it. Of a choice, that is every option; of a repeat, every copy that there can be, and not its
    depth. A literal, and a hole for a number, hold nothing.
    """
    if isinstance(item, Choice):
        return [(below(path, value), content) for value, content in zip(item.options, item.contents, strict=True)]
    if isinstance(item, Op):
        return [(below(path, name), value) for name, value in item.arguments]
    if item.__class__ is tuple:
        return [(below(path, index), value) for index, value in enumerate(item)]
    if isinstance(item, Chain):
        return [(below(path, name), part) for name, part in item.parts]
    if isinstance(item, Repeat):
        return [(below(path, index), item.copy(index)) for index in range(item.high)]
    if isinstance(item, Graph):
        edges = [(edge_path(path, node, edge), edge) for node, merge in item.nodes for edge in merge.edges]
        both = [((source_place(place), edge.source), (place, edge.part)) for place, edge in edges]
        return [piece for pair in both for piece in pair if piece[1] is not None]
    return []
