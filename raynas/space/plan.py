"""The walk without the network: which holes a template asks for, in which order, and what each answer opens.

``fill`` makes a network, and what draws architectures wants none: it follows the plan, which a template has once. The
holes come with the same paths and in the same order as in ``fill``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from raynas.errors import SpaceError
from raynas.space.choice import Choice
from raynas.space.graph import Graph
from raynas.space.nodes import Hole, Part
from raynas.space.operation import Op
from raynas.space.structure import Chain, Repeat
from raynas.space.values import exact

if TYPE_CHECKING:
    from raynas.space.space import Space


class Step(NamedTuple):
    """One hole, where it stands.

    Attributes:
        path: of the hole: its name, if it has one.
        hole: what is asked for.
        opens: ``exact(value)`` to the steps that follow from a value, for choices and depths; None for other holes.
    """

    path: str
    hole: Hole
    opens: Mapping[Any, tuple[Any, ...]] | None


Plan = tuple[Step, ...]


def plan_of(space: Space) -> Plan:
    """The plan of a whole space, its recipe last."""
    recipe = [step for key, value in space.recipe for step in _in_value(f"recipe.{key}", value)]
    return (*in_part("", space.root), *recipe)


def follow(plan: Plan, choose: Callable[[str, Hole], Any]) -> dict[str, Any]:
    """Asks for every hole that is reached, each path once.

    Raises:
        SpaceError: ``choose`` returned what is not an option, or a depth out of range.
    """
    filled: dict[str, Any] = {}
    _follow(plan, choose, filled)
    return filled


def _follow(plan: Plan, choose: Callable[[str, Hole], Any], filled: dict[str, Any]) -> None:
    for path, hole, opens in plan:
        if path in filled:  # a hole with a name that was met before
            value = filled[path]
        else:
            value = filled[path] = choose(path, hole)
        if opens is not None:
            try:
                more = opens[value.__class__, value] if value.__class__ is not tuple else opens[exact(value)]
            except (KeyError, TypeError):
                raise SpaceError(f"{path}: {value!r} is not possible here; give {hole.domain()}") from None
            if more:
                _follow(more, choose, filled)


def paths(plan: Plan) -> Iterator[str]:
    """The paths of all holes that some answers reach, in the order of the walk; some come several times."""
    for path, _, opens in plan:
        yield path
        for steps in (opens or {}).values():
            yield from paths(steps)


def deciding_paths(plan: Plan) -> Iterator[str]:
    """The paths of holes that open others with some value; some come several times."""
    for path, _, opens in plan:
        if opens is not None and any(opens.values()):
            yield path
            for steps in opens.values():
                yield from deciding_paths(steps)


def in_part(path: str, part: Part) -> Plan:
    """The plan of a part that stands at a path."""
    if not part.open:
        return ()
    if isinstance(part, Op):
        return tuple(step for name, value in part.arguments for step in _in_value(f"{path}.{name}", value))
    if isinstance(part, Choice):
        opens = {exact(value): in_part(f"{path}.{value}", part.content(value)) for value in part.options}
        return (Step(part.name or path, part, opens),)
    if isinstance(part, Chain):
        dot = f"{path}." if path else ""
        return tuple(step for name, child in part.parts for step in in_part(dot + name, child))
    if isinstance(part, Repeat):
        return _in_repeat(path, part)
    assert isinstance(part, Graph)
    steps: list[Step] = []
    for name, merge in part.nodes:
        for edge in merge.edges:
            place = f"{path}.{name}.{edge.label}"
            if isinstance(edge.source, Choice):
                opens = {exact(value): () for value in edge.source.options}
                steps.append(Step(edge.source.name or f"{place}.source", edge.source, opens))
            if edge.part is not None:
                steps += in_part(place, edge.part)
    return tuple(steps)


def _in_repeat(path: str, part: Repeat) -> Plan:
    copies = [in_part(f"{path}.{index}", part.copy(index)) for index in range(part.high)]
    if part.depth is None:
        return tuple(step for copy in copies for step in copy)
    opens = {
        exact(depth): tuple(step for copy in copies[:depth] for step in copy)
        for depth in range(part.low, part.high + 1)
    }
    return (Step(part.depth.name or f"{path}.depth", part.depth, opens),)


def _in_value(path: str, value: Any) -> Plan:
    if isinstance(value, Choice):
        opens = {exact(option): _in_value(f"{path}.{option}", value.content(option)) for option in value.options}
        return (Step(value.name or path, value, opens),)
    if isinstance(value, Hole):
        return (Step(value.name or path, value, None),)
    if value.__class__ is tuple:
        return tuple(step for index, item in enumerate(value) for step in _in_value(f"{path}.{index}", item))
    return ()
