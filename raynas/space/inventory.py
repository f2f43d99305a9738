"""Every hole that a template can reach, in the walk's order; and the checks that need the whole template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.choice import Choice
from raynas.space.graph import Graph
from raynas.space.nodes import Hole, Part
from raynas.space.operation import Op, Zero
from raynas.space.structure import Chain, Repeat

if TYPE_CHECKING:
    from raynas.space.space import Space


def all_holes(space: Space) -> dict[str, Hole]:
    """Path → hole for all holes that some filling reaches, in the order of the walk.

    Raises:
        SpaceError: two different holes have one path or one name, or a ``Zero`` stands outside a graph's edges.
    """
    found: dict[str, Hole] = {}
    for place, hole in _in_part("", space.root, on_edge=False):
        _add(found, place, hole)
    for key, value in space.recipe:
        for place, hole in in_value(f"recipe.{key}", value):
            _add(found, place, hole)
    return found


def _add(found: dict[str, Hole], place: str, hole: Hole) -> None:
    path = place if hole.name is None else hole.name
    known = found.setdefault(path, hole)
    if known is not hole and (hole.name is None or known.name is None or not known.same_decision(hole)):
        raise SpaceError(
            f"two different holes are called {path!r} (at {place!r}): {known!r} and {hole!r}; "
            "one name is one hole: make them equal or rename one"
        )


def in_value(path: str, value: Any) -> Iterator[tuple[str, Hole]]:
    """The holes of an argument and of what its options hold."""
    if isinstance(value, Hole):
        yield path, value
        if isinstance(value, Choice):
            for label, content in zip(value.options, value.contents, strict=True):
                yield from in_value(f"{path}.{label}", content)
    elif value.__class__ is tuple:
        for index, item in enumerate(value):
            yield from in_value(f"{path}.{index}", item)


def _in_part(path: str, part: Part, on_edge: bool) -> Iterator[tuple[str, Hole]]:
    if isinstance(part, Zero) and not on_edge:
        raise SpaceError(
            f"{path}: Zero() stands outside a graph; it is an absent edge, so put it on an edge of a Graph "
            "(or use torch.nn.Identity for 'nothing here')"
        )
    if isinstance(part, Op):
        for name, value in part.arguments:
            yield from in_value(f"{path}.{name}", value)
    elif isinstance(part, Choice):
        yield path, part
        for label, content in zip(part.options, part.contents, strict=True):
            yield from _in_part(f"{path}.{label}", content, on_edge)
    elif isinstance(part, Chain):
        for name, child in part.parts:
            yield from _in_part(f"{path}.{name}" if path else name, child, on_edge)
    elif isinstance(part, Repeat):
        if part.depth is not None:
            yield f"{path}.depth", part.depth
        for index in range(part.high):
            yield from _in_part(f"{path}.{index}", part.copy(index), on_edge)
    elif isinstance(part, Graph):
        for node, merge in part.nodes:
            for edge in merge.edges:
                place = f"{path}.{node}.{edge.label}"
                if isinstance(edge.source, Choice):
                    yield f"{place}.source", edge.source
                if edge.part is not None:
                    yield from _in_part(place, edge.part, on_edge=True)
