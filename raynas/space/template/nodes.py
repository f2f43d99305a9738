"""What all pieces of a template are: frozen data that can be compared, hashed and pickled.

A :class:`Part` stands where a module will stand; a :class:`Hole` stands where a value (or, as a choice, a part) will.
"""

from __future__ import annotations

import keyword
import random
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.values import exact, same


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Node:
    """Frozen data, equal when all fields are equal with their types (``1`` is not ``True``)."""

    def _set(self, **values: Any) -> None:
        """Sets the fields, once, from a constructor."""
        self.__dict__.update(values)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """A hashable key: equal keys, equal nodes."""
        own = self.__dict__
        names = _field_names(self.__class__)  # type: ignore[arg-type]
        return (self.__class__, *[exact(own[name]) for name in names])

    @cached_property
    def _hash(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Node) and self.key == other.key

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        # Only the fields: cached keys and hashes depend on the process.
        names = _field_names(self.__class__)  # type: ignore[arg-type]
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def open(self) -> bool:
        """Whether a fill may change this node (it holds a hole somewhere)."""
        return True


class Part(Node):
    """A piece of a network: an operation, a chain, a graph, a repeat, or a choice between such."""


class Hole(Node):
    """A value to be chosen.

    Attributes:
        name: the hole's path wherever it stands (a name used twice is one hole), or None (the path is where it stands).
        default: the value in the default architecture.
    """

    name: str | None
    default: Any

    @property
    def size(self) -> float:
        """How many values the hole has: an int, or ``math.inf``."""
        raise NotImplementedError

    def at(self, index: int) -> Any:
        """The value number ``index`` (from 0) of a finite hole."""
        raise NotImplementedError

    def others(self, value: Any) -> list[Any]:
        """All values of a finite hole but one, in order."""
        this = exact(value)
        return [other for other in map(self.at, range(int(self.size))) if exact(other) != this]

    def contains(self, value: Any) -> bool:
        """Whether the value is in the hole's domain, with the right type."""
        raise NotImplementedError

    def same_decision(self, other: Hole) -> bool:
        """Whether two holes of one name can be one hole: they have the same values and the same default."""
        return self == other

    def domain(self) -> str:
        """The domain in words, for error messages."""
        raise NotImplementedError

    def draw(self, rng: random.Random, *, other_than: Any = ...) -> Any:
        """A random value, other than the one given. With no other value, that one."""
        for _ in range(64):
            value = self._draw(rng)
            if other_than is ... or not same(value, other_than):
                return value
        if self.size == 1:
            return self.at(0)
        # A skewed (logarithmic) hole may keep drawing the same value: then any other one.
        return rng.choice(self.others(other_than))

    def _draw(self, rng: random.Random) -> Any:
        raise NotImplementedError


def check_name(name: Any, what: str) -> str:
    """A name that can stand in a path, in a parameter's name and in Python source.

    Raises:
        SpaceError: it cannot.
    """
    if not isinstance(name, str) or not (name.isidentifier() or name.isdigit()) or keyword.iskeyword(name):
        raise SpaceError(f"{what} {name!r} cannot stand in a path; use letters, digits and underscores, as in 'conv_3'")
    return name


def check_hole_name(name: str | None) -> str | None:
    """A hole's own name: like a path, may have dots.

    Raises:
        SpaceError: it cannot stand in a path.
    """
    if name is not None:
        for piece in name.split(".") if isinstance(name, str) else [name]:
            check_name(piece, "hole name")
    return name
