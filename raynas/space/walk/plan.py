"""The walk without the network: which holes a template asks for, in which order, and what each answer opens.

``fill`` makes a network. Code that only draws architectures needs none, so it follows the plan, which is made once for
each template. The holes come with the same paths and in the same order as in ``fill``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from raynas.errors import SpaceError
from raynas.space.template.choice import Choice
from raynas.space.template.nodes import Hole, Part
from raynas.space.template.paths import depth_place, hole_path, pieces, roots
from raynas.space.template.structure import Repeat
from raynas.space.template.template import Template
from raynas.space.template.values import exact


class Step(NamedTuple):
    """One hole in its place.

    Attributes:
        path: the path of the hole: its name, if it has one.
        hole: what is asked for.
        opens: for choices and depths, a mapping from ``exact(value)`` to the steps that follow from that value; None
            for other holes.
    """

    path: str
    hole: Hole
    opens: Mapping[Any, tuple[Any, ...]] | None


Plan = tuple[Step, ...]


def plan_of(space: Template) -> Plan:
    """The plan of a whole space, its recipe last."""
    return _joined(plan_at(path, item) for path, item in roots(space))


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


def plan_at(path: str, item: Any) -> Plan:
    """The plan of a part or a value that stands at a path."""
    if isinstance(item, Part) and not item.open:
        return ()
    if isinstance(item, Hole):
        return (Step(hole_path(path, item), item, _options(path, item)),)
    plans = [plan_at(place, piece) for place, piece in pieces(path, item)]
    if isinstance(item, Repeat) and item.depth is not None:
        opens = {exact(depth): _joined(plans[:depth]) for depth in range(item.low, item.high + 1)}
        return (Step(hole_path(depth_place(path), item.depth), item.depth, opens),)
    return _joined(plans)


def _options(path: str, hole: Hole) -> Mapping[Any, Plan] | None:
    """What each option of a choice opens; None for a number."""
    if not isinstance(hole, Choice):
        return None
    held = pieces(path, hole)
    return {exact(value): plan_at(*piece) for value, piece in zip(hole.options, held, strict=True)}


def _joined(plans: Iterable[Plan]) -> Plan:
    return tuple(step for plan in plans for step in plan)
