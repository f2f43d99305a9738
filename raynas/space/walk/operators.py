"""What searchers do with a space: sample, replay, mutate, cross over, list neighbours, enumerate. Each is a chooser."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.holes import Int, Number
from raynas.space.template.nodes import Hole
from raynas.space.template.values import from_json
from raynas.space.walk.architecture import Architecture
from raynas.space.walk.fill import Choose, Network, fill
from raynas.space.walk.plan import follow
from raynas.space.walk.walked import WalkedTemplate
from raynas.suggestions import did_you_mean

#: An Int with more values than this has only a few neighbours per value.
MANY = 16
#: The steps of a Float and of a large Int to their neighbours: this share of the range (if log, of its logarithm), and
#: so many times less from one step to the next: a Float's number of steps here, an Int's down to 1.
WIDEST, FINER, FLOAT_STEPS = 0.25, 5, 2


def run(space: WalkedTemplate, choose: Choose) -> Architecture:
    """What is chosen at the holes that are reached."""
    return Architecture.of(follow(space.plan, choose))


def sample(space: WalkedTemplate, rng: random.Random) -> Architecture:
    """Every hole that is reached drawn independently."""
    return run(space, lambda path, hole: hole.draw(rng))


def default(space: WalkedTemplate) -> Architecture:
    """Every hole at its default."""
    return run(space, lambda path, hole: hole.default)


def replay(space: WalkedTemplate, values: Mapping[str, Any]) -> tuple[Network, Architecture]:
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
            hint = did_you_mean(path, space.hole_map if known is None else (), "drop it")
            raise SpaceError(f"architecture: {path!r} is {why}; {hint}")
    return network, Architecture.of(used)


def mutate(space: WalkedTemplate, old: Architecture, rng: random.Random) -> Architecture:
    """One hole drawn anew (another value than before); what becomes active is drawn, what is not reached drops out.

    Raises:
        SpaceError: no hole of the architecture has a second value.
    """
    holes = space.hole_map
    spots = [path for path in old if holes[path].size > 1]
    if not spots:
        raise SpaceError("the architecture cannot be mutated: no hole has more than one value")
    spot = rng.choice(spots)
    if spot not in space.deciding:
        return old.replaced(spot, holes[spot].draw(rng, other_than=old[spot]))  # all else stays: no walk is needed

    def choose(path: str, hole: Hole) -> Any:
        if path == spot:
            return hole.draw(rng, other_than=old[path])
        return old[path] if path in old else hole.draw(rng)

    return run(space, choose)


def crossover(space: WalkedTemplate, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
    """Every hole's value from one parent or the other (uniform crossover); drawn where neither has it."""

    def choose(path: str, hole: Hole) -> Any:
        givers = [parent for parent in (a, b) if path in parent]
        return rng.choice(givers)[path] if givers else hole.draw(rng)

    return run(space, choose)


class Neighbours(Sequence[Architecture]):
    """All architectures with one hole changed. Each is made when it is asked for (with 300 holes there are thousands).

    Holes that become active take their default. A ``Float``, and an ``Int`` of more than 16 values, takes a few steps
    up and down: see ``steps``.
    """

    def __init__(self, space: WalkedTemplate, old: Architecture) -> None:
        self._space, self._old = space, old
        holes = space.hole_map
        self._moves = [(spot, value) for spot in old for value in steps(holes[spot], old[spot])]

    def __len__(self) -> int:
        return len(self._moves)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        (spot, value), old = self._moves[index], self._old
        if spot not in self._space.deciding:
            return old.replaced(spot, value)
        return run(self._space, lambda path, hole: value if path == spot else old.get(path, hole.default))


def steps(hole: Hole, value: Any) -> list[Any]:
    """The values beside one: all others, or for a ``Float`` or a large ``Int`` a few steps down, then as many up.

    The widest step is a quarter of the range (of a logarithmic hole, of the logarithms), the next ones each a fifth of
    the one before: of a ``Float`` 25 % and 5 %, of an ``Int`` on until the step is 1. So local search reaches every
    whole number, in steps as coarse or fine as it needs.
    """
    if not isinstance(hole, Number) or hole.size <= MANY:
        return hole.others(value)
    moved = _int_steps(hole, value) if isinstance(hole, Int) else _float_steps(hole, value)
    clipped = dict.fromkeys(min(max(other, hole.low), hole.high) for other in moved)
    return [other for other in clipped if other != value]


def _float_steps(hole: Number, value: float) -> list[float]:
    shares = [WIDEST / FINER**finer for finer in range(FLOAT_STEPS)]
    signed = [*(-share for share in shares), *reversed(shares)]
    return [hole.value_at(hole.scaled(value) + share * hole.span) for share in signed]


def _int_steps(hole: Int, value: int) -> list[int]:
    """(Without floats where the hole is linear: they are not exact for great numbers.)"""
    down, up, share = [], [], Fraction(WIDEST)
    while True:
        if hole.log:
            factor = math.exp(float(share) * hole.span)
            down.append(min(round(value / factor), value - 1))
            up.append(max(round(value * factor), value + 1))
        else:
            step = max(1, round(share * (hole.high - hole.low)))
            down.append(value - step)
            up.append(value + step)
        if up[-1] == value + 1 and down[-1] == value - 1:
            return [*down, *reversed(up)]
        share /= FINER


def enumerate_all(space: WalkedTemplate) -> Iterator[Architecture]:
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
