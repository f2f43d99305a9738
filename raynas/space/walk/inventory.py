"""Every hole that a template can reach, in the order of the walk, and the checks that need the whole template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.graph import Graph
from raynas.space.template.nodes import Hole
from raynas.space.template.operation import Zero
from raynas.space.template.paths import depth_place, hole_path, pieces, roots
from raynas.space.template.structure import Repeat
from raynas.space.template.template import Template


def all_holes(space: Template) -> dict[str, Hole]:
    """Path → hole for all holes that some filling reaches, in the order of the walk.

    Raises:
        SpaceError: two different holes have one path or one name, or a ``Zero`` stands outside a graph's edges.
    """
    found: dict[str, Hole] = {}
    for path, item in roots(space):
        for place, hole in _holes(path, item, on_edge=False):
            _add(found, place, hole)
    return found


def _add(found: dict[str, Hole], place: str, hole: Hole) -> None:
    path = hole_path(place, hole)
    known = found.setdefault(path, hole)
    if known is not hole and (hole.name is None or known.name is None or not known.same_decision(hole)):
        raise SpaceError(
            f"two different holes are called {path!r} (at {place!r}): {known!r} and {hole!r}; "
            "one name is one hole: make them equal or rename one"
        )


def _holes(path: str, item: Any, on_edge: bool) -> Iterator[tuple[str, Hole]]:
    """The holes of a part or a value, with the places where they stand."""
    if isinstance(item, Zero) and not on_edge:
        raise SpaceError(
            f"{path}: Zero() stands outside a graph; it is an absent edge, so put it on an edge of a Graph "
            "(or use torch.nn.Identity for 'nothing here')"
        )
    if isinstance(item, Hole):
        yield path, item
    elif isinstance(item, Repeat) and item.depth is not None:
        yield depth_place(path), item.depth
    for place, piece in pieces(path, item):
        yield from _holes(place, piece, on_edge or isinstance(item, Graph))
