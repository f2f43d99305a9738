"""How many fillings a space has, with holes that share a name counted once.

A template is a product of factors. Unnamed holes count by themselves, and a name connects the factors that it stands
in. The count works like a model counter (sharpSAT: M. Thurley, 2006). Factors that share no name are counted
separately. If factors share a name, one of them is decided in every possible way, and the rest is looked up if it was
met before. If this takes too many steps, the rest is bounded from below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from raynas.space.template.choice import Choice
from raynas.space.template.nodes import Hole, Node, Part
from raynas.space.template.operation import has_holes
from raynas.space.template.paths import pieces, roots
from raynas.space.template.structure import Repeat
from raynas.space.template.values import exact
from raynas.space.walk.walked import WalkedTemplate

#: So many factors are looked at before the rest is bounded (about half a second's work).
STEPS = 50_000
#: So many decisions are nested before the rest is bounded (Python's stack is limited).
DEPTH = 150


class Size(NamedTuple):
    """A number of fillings.

    Attributes:
        fillings: an int, or ``math.inf`` if there is a ``Float``.
        exact: whether this is the exact number; otherwise there are at least so many.
    """

    fillings: int | float
    exact: bool


def size(space: WalkedTemplate, steps: int = STEPS) -> Size:
    """The number of fillings (ids may be fewer: two fillings can build one network).

    Args:
        space: the template.
        steps: how much work may be spent on an exact count.
    """
    if any(hole.size == math.inf for hole in space.hole_map.values()):
        return Size(math.inf, True)
    items = [item for _, item in roots(space)]
    counter = _Counter(items, steps)
    count = counter.product([(item, 1) for item in items], {})
    return Size(count, counter.exact)


#: What is known of named holes: the value's key, or None where the hole was asked for and its value does not matter.
Known = dict[str, Any]
#: An item, and how often it stands there.
Power = tuple[Any, int]


class _Facts(NamedTuple):
    """What is known of an item by itself.

    Attributes:
        number: equal items have the same number.
        names: of all holes in it.
        unnamed: whether it has unnamed holes, so that each of its copies counts.
    """

    number: int
    names: frozenset[str]
    unnamed: bool


class _Counter:
    def __init__(self, items: list[Any], steps: int) -> None:
        self.steps, self.depth, self.exact = steps, 0, True
        self.deciding = set(_deciding(items))
        self.numbers: dict[Any, int] = {}
        self.facts: dict[int, tuple[Any, _Facts]] = {}  # by identity; the item is kept so that its id stays its own
        self.found: dict[Any, int] = {}
        self.bounds: dict[int, int] = {}

    def of(self, item: Any) -> _Facts:
        remembered = self.facts.get(id(item))
        if remembered is None:
            own, children = _own_holes(item), [self.of(child) for child in _children(item)]
            names = frozenset(hole.name for hole in own if hole.name is not None)
            names = names.union(*(child.names for child in children))
            unnamed = any(hole.name is None for hole in own) or any(child.unnamed for child in children)
            facts = _Facts(self.numbers.setdefault(item, len(self.numbers)), names, unnamed)
            remembered = self.facts[id(item)] = item, facts
        return remembered[1]

    def product(self, items: Iterable[Power], known: Known) -> int:
        """The ways to fill all items, given what is known."""
        count, factors, known = self.factors(items, known)
        for group in self.groups(factors, known):
            count *= self.group(group, known)
        return count

    def factors(self, items: Iterable[Power], known: Known) -> tuple[int, list[Power], Known]:
        """Items without their nesting: a number; factors with names that are not known yet; what is known by now."""
        count, factors, asked = 1, dict[int, Power](), False
        stack = [*items]
        while stack:
            item, times = stack.pop()
            self.steps -= 1
            facts = self.of(item)
            if facts.names <= known.keys():
                count *= self.alone(item, known) ** times
            elif isinstance(item, Hole) and item.name is not None and item.name not in self.deciding:
                count *= int(item.size)
                known, asked = {**known, item.name: None}, True
            elif (opened := self.opened(item, known)) is not None:
                stack += [(child, times * power) for child, power in opened]
            else:  # copies of a part without unnamed holes are filled alike
                before = factors[facts.number][1] if facts.number in factors else 0
                factors[facts.number] = item, before + times if facts.unnamed else 1
        if asked and factors:  # more is known than when the first of them were looked at
            more, left, known = self.factors(list(factors.values())[::-1], known)
            return count * more, left, known
        return count, list(factors.values())[::-1], known

    def opened(self, item: Any, known: Known) -> list[Power] | None:
        """What an item consists of; None where its own hole has to be decided first."""
        hole = item.depth if isinstance(item, Repeat) else item
        if not isinstance(hole, Hole):
            return _copies(item, item.low) if isinstance(item, Repeat) else [(child, 1) for child in _children(item)]
        if hole.name is None or hole.name not in known:
            return None
        value = known[hole.name]
        if isinstance(item, Repeat):
            return _copies(item, value[1])
        return [] if value is None or not isinstance(item, Choice) else [(_contents(item)[value], 1)]

    def alone(self, item: Any, known: Known) -> int:
        """The ways to fill an item all of whose names are known."""
        facts = self.of(item)
        if not facts.unnamed:
            return 1
        key = (facts.number, _only(known, facts.names))
        if key not in self.found:
            opened = self.opened(item, known)
            if opened is not None:
                self.found[key] = self.product(opened, known)
            elif not _decides(item):
                self.found[key] = int(item.size)
            else:
                self.found[key] = sum(self.product(content, known) for content, _ in self.ways(item))
        return self.found[key]

    def groups(self, factors: list[Power], known: Known) -> list[list[Power]]:
        """The factors that names bind to each other, directly or through others."""
        found: list[tuple[set[str], list[Power]]] = []
        for factor in factors:
            names, group = set(self.of(factor[0]).names.difference(known)), [factor]
            separate = []
            for other_names, other in found:
                if names.isdisjoint(other_names):
                    separate.append((other_names, other))
                else:
                    names |= other_names
                    group = other + group
            found = [*separate, (names, group)]
        return [group for _, group in found]

    def group(self, group: list[Power], known: Known) -> int:
        """The ways to fill factors that are bound to each other: one is decided, in all its ways."""
        names = frozenset[str]().union(*(self.of(item).names for item, _ in group))
        key = (frozenset((self.of(item).number, times) for item, times in group), _only(known, names))
        if key in self.found:
            return self.found[key]
        if self.steps <= 0 or self.depth >= DEPTH:
            self.exact = False
            return self.least(group)
        # The one that binds most is decided first: then what remains falls into groups.
        hub = max(range(len(group)), key=lambda at: len(self.of(group[at][0]).names.difference(known)))
        item, times = group[hub]
        rest = group[:hub] + group[hub + 1 :]
        named = _own_holes(item)[0].name is not None
        if times > 1 and not named:  # each copy is decided for itself
            rest.append((item, times - 1))
        self.depth += 1
        total = 0
        for content, more in self.ways(item):
            powers = [(child, power * times if named else power) for child, power in content]
            total += self.product([*rest[::-1], *powers], {**known, **more})
        self.depth -= 1
        if self.exact:
            self.found[key] = total
        return total

    def ways(self, item: Any) -> Iterator[tuple[list[Power], Known]]:
        """The ways to decide an item's own hole: what then comes in its place, and what is known of the hole."""
        hole = _own_holes(item)[0]
        for index in range(int(hole.size)):
            value = hole.at(index)
            if isinstance(item, Repeat):
                content = _copies(item, value)
            else:
                content = [(item.contents[index], 1)] if isinstance(item, Choice) else []
            yield content, {} if hole.name is None else {hole.name: exact(value)}

    def least(self, group: list[Power]) -> int:
        """A bound from below: the ways to decide the named holes of which all are reached, and what is unnamed."""
        count, decided = 1, dict[str, list[Power]]()
        for item, times in group:
            name = _own_holes(item)[0].name
            if name is None:
                count *= self.bound(item) ** times
            else:
                decided.setdefault(name, []).append((item, times))
        for powers in decided.values():
            options = zip(*([self.bounded(way) for way, _ in self.ways(item)] for item, _ in powers), strict=True)
            times_each = [times for _, times in powers]
            count *= sum(math.prod(way**times for way, times in zip(o, times_each, strict=True)) for o in options)
        return count

    def bound(self, item: Any) -> int:
        """The least number of ways to fill an item's unnamed holes, whatever the values of its named holes."""
        facts = self.of(item)
        if not facts.unnamed:
            return 1
        if facts.number not in self.bounds:
            own = _own_holes(item)
            if not own:
                found = self.bounded(self.opened(item, {}) or [])
            elif not _decides(item):
                found = int(item.size)
            else:
                ways = [self.bounded(content) for content, _ in self.ways(item)]
                found = sum(ways) if own[0].name is None else min(ways)
            self.bounds[facts.number] = found
        return self.bounds[facts.number]

    def bounded(self, powers: list[Power]) -> int:
        return math.prod(self.bound(item) ** times for item, times in powers)


def _only(known: Known, names: frozenset[str]) -> frozenset[tuple[str, Any]]:
    return frozenset((name, value) for name, value in known.items() if name in names)


def _copies(repeat: Repeat, depth: int) -> list[Power]:
    return [(repeat.head, 1), (repeat.block, depth - 1)][: min(depth, 2)]


def _contents(choice: Choice) -> dict[Any, Any]:
    return dict(zip(map(exact, choice.options), choice.contents, strict=True))


def _decides(item: Any) -> bool:
    """Whether an item's own hole decides which other holes are reached."""
    return isinstance(item, Repeat) or (isinstance(item, Choice) and any(map(_is_open, item.contents)))


def _deciding(items: list[Any]) -> Iterator[str]:
    """The names of holes that somewhere decide which others are reached: their values must be remembered."""
    for item in items:
        if _decides(item):
            yield from (hole.name for hole in _own_holes(item) if hole.name is not None)
        yield from _deciding(_children(item))


def _own_holes(item: Any) -> list[Hole]:
    if isinstance(item, Repeat):
        return [] if item.depth is None else [item.depth]
    return [item] if isinstance(item, Hole) else []


def _children(item: Any) -> list[Any]:
    """What an item holds besides literals, in the walk's order; of a repeat, each of its two kinds of copies."""
    held = [item.head, item.block] if isinstance(item, Repeat) else [piece for _, piece in pieces("", item)]
    return [piece for piece in held if isinstance(piece, (Node, tuple))]


def _is_open(content: Any) -> bool:
    return content.open if isinstance(content, Part) else has_holes(content)
