"""What searchers do with a space: sample, replay, mutate, cross over, list neighbours, enumerate. Each is a chooser."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.architecture import Architecture
from raynas.space.fill import Choose, Network, fill
from raynas.space.holes import Float, Int
from raynas.space.nodes import Hole
from raynas.space.plan import follow
from raynas.space.values import from_json, same

if TYPE_CHECKING:
    from raynas.space.space import Space

#: An Int with more values than this has only a few neighbours per value.
MANY = 16
#: The steps that a Float and a large Int take to their neighbours, as shares of the range (if log, of its logarithm).
STEPS = (0.05, 0.25)


def run(space: Space, choose: Choose) -> Architecture:
    """What is chosen at the holes that are reached."""
    return Architecture.of(follow(space.plan, choose))


def sample(space: Space, rng: random.Random) -> Architecture:
    """Every hole that is reached drawn independently."""
    return run(space, lambda path, hole: hole.draw(rng))


def default(space: Space) -> Architecture:
    """Every hole at its default."""
    return run(space, lambda path, hole: hole.default)


def replay(space: Space, values: Mapping[str, Any]) -> tuple[Network, Architecture]:
    """The network and the architecture that the values describe.

    Raises:
        SpaceError: a value outside its domain, a missing path or a superfluous one (each with its name).
    """
    used: dict[str, Any] = {}

    def choose(path: str, hole: Hole) -> Any:
        if path not in values:
            near = difflib.get_close_matches(path, [p for p in values if p not in used], n=1)
            hint = f" (there is {near[0]!r})" if near else ""
            raise SpaceError(f"architecture: no value for {path!r}{hint}; give {hole.domain()}")
        value = from_json(values[path])
        if not hole.contains(value):
            raise SpaceError(f"architecture: {path} = {value!r} is outside the space; give {hole.domain()}")
        used[path] = value
        return value

    network = fill(space, choose)
    for path in values:
        if path not in used:
            known = space.hole_map.get(path)
            why = "no such hole in the space" if known is None else "not reached by the other values"
            near = difflib.get_close_matches(path, space.hole_map, n=1) if known is None else []
            hint = f"did you mean {near[0]!r}?" if near else "drop it"
            raise SpaceError(f"architecture: {path!r} is {why}; {hint}")
    return network, Architecture.of(used)


def mutate(space: Space, old: Architecture, rng: random.Random) -> Architecture:
    """One hole drawn anew (another value than before); what becomes active is drawn, what is not reached drops out.

    Raises:
        SpaceError: no hole of the architecture has a second value.
    """
    holes = space.hole_map
    spots = [path for path in old if holes[path].size > 1]
    if not spots:
        raise SpaceError("the architecture cannot be mutated: no hole has more than one value")
    spot = rng.choice(spots)

    def choose(path: str, hole: Hole) -> Any:
        if path == spot:
            return hole.draw(rng, other_than=old[path])
        return old[path] if path in old else hole.draw(rng)

    return run(space, choose)


def crossover(space: Space, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
    """Every hole's value from one parent or the other (uniform crossover); drawn where neither has it."""

    def choose(path: str, hole: Hole) -> Any:
        givers = [parent for parent in (a, b) if path in parent]
        return rng.choice(givers)[path] if givers else hole.draw(rng)

    return run(space, choose)


def neighbours(space: Space, old: Architecture) -> Iterator[Architecture]:
    """All architectures with one hole changed; holes that become active take their default.

    A ``Float``, and an ``Int`` of more than 16 values, steps 5 % and 25 % of its range up and down (of the range's
    logarithm, for a logarithmic hole), an ``Int`` at least 1.
    """
    holes = space.hole_map
    for spot in old:
        for value in steps(holes[spot], old[spot]):

            def choose(path: str, hole: Hole, spot: str = spot, value: Any = value) -> Any:
                if path == spot:
                    return value
                return old.get(path, hole.default)

            yield run(space, choose)


def steps(hole: Hole, value: Any) -> list[Any]:
    """The values beside one: all others, or for a ``Float`` or a large ``Int`` a few steps."""
    if not isinstance(hole, (Int, Float)) or hole.size <= MANY:
        return [other for other in map(hole.at, range(int(hole.size))) if not same(other, value)]
    found: dict[Any, None] = {}
    for share in (-STEPS[1], -STEPS[0], STEPS[0], STEPS[1]):
        if hole.log:
            moved = math.exp(math.log(value) + share * (math.log(hole.high) - math.log(hole.low)))
        else:
            moved = value + share * (hole.high - hole.low)
        if isinstance(hole, Int):
            moved = min(round(moved), value - 1) if share < 0 else max(round(moved), value + 1)
        found[min(max(moved, hole.low), hole.high)] = None
    return [other for other in found if other != value]


def enumerate_all(space: Space) -> Iterator[Architecture]:
    """Every filling once, the last decision running fastest.

    Raises:
        SpaceError: the space is infinite (it has a ``Float``).
    """
    for path, hole in space.hole_map.items():
        if hole.size == math.inf:
            raise SpaceError(f"the space cannot be enumerated: {path!r} is {hole!r}; replace it by a Choice of values")
    prefix: list[int] = []
    while True:
        sizes: list[int] = []

        def choose(path: str, hole: Hole, prefix: list[int] = prefix, sizes: list[int] = sizes) -> Any:
            index = prefix[len(sizes)] if len(sizes) < len(prefix) else 0
            sizes.append(int(hole.size))
            return hole.at(index)

        yield run(space, choose)
        decisions = prefix + [0] * (len(sizes) - len(prefix))
        while decisions and decisions[-1] + 1 == sizes[len(decisions) - 1]:
            decisions.pop()
        if not decisions:
            return
        decisions[-1] += 1
        prefix = decisions
