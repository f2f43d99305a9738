"""How many fillings a space has, exactly, with holes that share a name counted once.

The count walks the template in the walk's order and carries what is known of the named holes: which have been asked for
and, where it decides what is reached, with which value. What no later part asks about is forgotten at once, so that
huge spaces cost no more than small ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from raynas.space.choice import Choice
from raynas.space.graph import Graph
from raynas.space.inventory import in_value
from raynas.space.nodes import Hole, Node
from raynas.space.operation import Op
from raynas.space.structure import Chain, Repeat
from raynas.space.values import exact

if TYPE_CHECKING:
    from raynas.space.space import Space

#: What is known of named holes: (name, value's key or None where the value does not matter).
Known = frozenset[tuple[str, Any]]
Counts = dict[Known, int]


def size(space: Space) -> int | float:
    """The number of fillings (ids may be fewer: two fillings can build one network); ``math.inf`` with a ``Float``."""
    counter = _Counter(space)
    items = [space.root, *(value for _, value in space.recipe)]
    try:
        return sum(counter.sequence(items, {frozenset(): 1}, frozenset()).values())
    except _Infinite:
        return math.inf


class _Infinite(Exception):
    pass


class _Counter:
    def __init__(self, space: Space) -> None:
        self.deciding = set(_deciding([space.root, *(value for _, value in space.recipe)]))
        self.names: dict[int, tuple[Any, frozenset[str]]] = {}
        self.alone: dict[int, tuple[Any, int]] = {}

    def named(self, item: Any) -> frozenset[str]:
        """The names of all holes in an item (remembered by identity; the item is kept so that its id stays its own)."""
        known = self.names.get(id(item))
        if known is None:
            names = frozenset(hole.name for hole in _own_holes(item) if hole.name is not None)
            names = names.union(*(self.named(child) for child in _children(item)))
            known = self.names[id(item)] = (item, names)
        return known[1]

    def sequence(self, items: Iterable[Any], counts: Counts, later: frozenset[str]) -> Counts:
        """Counts after all items, one after the other; ``later``: the names that are asked for after them."""
        items = list(items)
        after = [later]  # the last item's, then the one before it, …
        for item in reversed(items):
            after.append(after[-1] | self.named(item))
        for item, names in zip(items, reversed(after[:-1]), strict=True):
            counts = self.item(item, counts, names)
        return counts

    def item(self, item: Any, counts: Counts, later: frozenset[str]) -> Counts:
        if self.named(item):
            return self.visit(item, counts, later)
        if id(item) not in self.alone:
            alone = self.visit(item, {frozenset(): 1}, frozenset())
            self.alone[id(item)] = (item, sum(alone.values()))
        factor = self.alone[id(item)][1]
        return {known: count * factor for known, count in counts.items()}

    def visit(self, item: Any, counts: Counts, later: frozenset[str]) -> Counts:
        if isinstance(item, Hole):
            return self.hole(item, counts, later)
        if isinstance(item, Repeat):
            return self.repeat(item, counts, later)
        return self.sequence(_children(item), counts, later)

    def hole(self, hole: Hole, counts: Counts, later: frozenset[str]) -> Counts:
        if hole.size == math.inf:
            raise _Infinite
        plain = hole.name not in self.deciding if hole.name is not None else not _decides(hole)
        total: Counts = {}
        for known, count in counts.items():
            value = dict(known).get(hole.name, _UNKNOWN) if hole.name is not None else _UNKNOWN
            if plain:
                # Whatever its value, the same is reached: only "asked for" need be remembered.
                grown = known if value is not _UNKNOWN else _with(known, hole.name, None, later)
                _add(total, _only(grown, later), count * (1 if value is not _UNKNOWN else int(hole.size)))
                continue
            for index in range(int(hole.size)):
                option = hole.at(index)
                content = hole.contents[index] if isinstance(hole, Choice) else None
                if value is not _UNKNOWN and value != exact(option):
                    continue
                grown = _with(known, hole.name, exact(option), later)
                for end, ways in self.item(content, {grown: count}, later).items():
                    _add(total, _only(end, later), ways)
        return total

    def repeat(self, repeat: Repeat, counts: Counts, later: frozenset[str]) -> Counts:
        depth = repeat.depth
        name = None if depth is None else depth.name
        total: Counts = {}
        inner = self.named(repeat.head) | self.named(repeat.block)
        inside = later | inner
        # By the depth that a shared depth hole already has (_UNKNOWN: to be chosen here).
        groups: dict[Any, Counts] = {}
        for known, count in counts.items():
            value = dict(known).get(name, _UNKNOWN) if name is not None else _UNKNOWN
            if value is _UNKNOWN and name in inner:  # the copies ask for it too, so it is chosen before them
                for copies in map(exact, range(repeat.low, repeat.high + 1)):
                    _add(groups.setdefault(copies, {}), known | {(name, copies)}, count)
            else:
                _add(groups.setdefault(value, {}), known, count)
        for value, group in groups.items():
            current = group
            for copies in range(repeat.high + 1):
                if copies:
                    current = self.item(repeat.copy(copies - 1), current, inside)
                if copies < repeat.low or (value is not _UNKNOWN and value != exact(copies)):
                    continue
                for known, count in current.items():
                    _add(total, _only(_with(known, name, exact(copies), later), later), count)
        return total


_UNKNOWN = object()


def _with(known: Known, name: str | None, value: Any, later: frozenset[str]) -> Known:
    return known | {(name, value)} if name is not None and name in later else known


def _only(known: Known, later: frozenset[str]) -> Known:
    return known if all(name in later for name, _ in known) else frozenset(p for p in known if p[0] in later)


def _add(counts: Counts, known: Known, count: int) -> None:
    counts[known] = counts.get(known, 0) + count


def _decides(item: Any) -> bool:
    """Whether an item's own hole decides which other holes are reached."""
    return isinstance(item, Repeat) or (isinstance(item, Choice) and any(map(_has_holes, item.contents)))


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
    """What an item holds, in the walk's order."""
    if isinstance(item, Choice):
        return list(item.contents)
    if isinstance(item, Op):
        return [value for _, value in item.arguments if isinstance(value, (Hole, tuple))]
    if item.__class__ is tuple:
        return [value for value in item if isinstance(value, (Hole, tuple))]
    if isinstance(item, Chain):
        return [part for _, part in item.parts]
    if isinstance(item, Repeat):
        return [item.head, item.block]
    if isinstance(item, Graph):
        edges = [edge for _, merge in item.nodes for edge in merge.edges]
        return [piece for edge in edges for piece in (edge.source, edge.part) if isinstance(piece, Node)]
    return []


def _has_holes(content: Any) -> bool:
    if content.__class__ is tuple:
        return any(True for _ in in_value("", content))
    return bool(getattr(content, "open", False))
