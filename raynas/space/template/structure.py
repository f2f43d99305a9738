"""Parts in order: ``Chain``, and ``Repeat``, a chain of variable depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.choice import Choice
from raynas.space.template.holes import Int
from raynas.space.template.nodes import Part, check_name
from raynas.space.template.operation import Op, as_part
from raynas.space.template.signature import constructor


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Chain(Part):
    """Named parts, one after the other.

    ``Chain(conv=…, act=…)``, or ``Chain([("conv", …), ("act", …)])`` where the names are made by a program.

    Raises:
        SpaceError: a name is taken twice or cannot stand in a path; a part is not a part.
    """

    parts: tuple[tuple[str, Part], ...]

    def __init__(self, listed: Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:
        pairs: list[tuple[str, Part]] = []
        for name, part in [*listed, *named.items()]:
            check_name(name, "part name")
            if any(name == other for other, _ in pairs):
                raise SpaceError(f"Chain: the name {name!r} is taken twice; a parameter's name would be too")
            pairs.append((name, as_part(part, f"Chain, part {name!r}")))
        self._set(parts=tuple(pairs))

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Part]]) -> Chain:
        """A chain of parts that are known to be right (no checks: :func:`raynas.space.walk.fill.fill` makes many)."""
        chain = cls.__new__(cls)
        chain._set(parts=tuple(parts))
        return chain

    @cached_property
    def open(self) -> bool:
        return any(part.open for _, part in self.parts)

    def __repr__(self) -> str:
        return f"Chain({', '.join(f'{name}={part!r}' for name, part in self.parts)})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Repeat(Part):
    """A block that stands ``low`` to ``high`` times in a chain. Every copy has its own holes.

    Args:
        block: the part to repeat.
        low, high: the least and greatest number of copies; without ``high`` there are ``low`` copies and no hole.
        default: the number of copies in the default architecture; ``low`` unless given.
        name: the name of the depth hole (two repeats with the same name have the same depth).
        first: arguments that only the first copy gets, as ``stride=2``; the block must be an op or a choice of ops.

    Attributes:
        block: every copy but the first.
        head: the first copy.
        first: the arguments that only it has.
        depth: the hole (an ``Int``), or None if the depth is fixed.

    Raises:
        SpaceError: the bounds cannot be, or the block does not take the arguments of the first copy.
    """

    block: Part
    head: Part
    low: int
    high: int
    depth: Int | None
    first: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        block: Any,
        low: int,
        high: int | None = None,
        *,
        default: int | None = None,
        name: str | None = None,
        **first: Any,
    ) -> None:
        high = low if high is None else high
        if type(low) is not int or type(high) is not int or low < 0 or low > high or high == 0:
            raise SpaceError(f"Repeat(…, {low!r}, {high!r}): give two whole numbers with 0 <= low <= high, high >= 1")
        depth = Int(low, high, default=default, name=name)
        part = as_part(block, "Repeat")
        self._set(
            block=part,
            head=_with_arguments(part, first) if first else part,
            low=low,
            high=high,
            depth=depth if low < high else None,
            first=tuple(first.items()),
        )

    def copy(self, index: int) -> Part:
        """The template of copy ``index`` (from 0)."""
        return self.head if index == 0 else self.block

    def __repr__(self) -> str:
        extra = "" if self.depth is None or self.depth.default == self.low else f", default={self.depth.default}"
        if self.depth is not None and self.depth.name is not None:
            extra += f", name={self.depth.name!r}"
        extra += "".join(f", {argument}={value!r}" for argument, value in self.first)
        return f"Repeat({self.block!r}, {self.low}, {self.high}{extra})"


def _with_arguments(part: Part, first: dict[str, Any]) -> Part:
    if isinstance(part, Op):
        defaults, takes_any, _ = constructor(part.cls)
        for name in first:
            if name not in defaults and not takes_any:
                raise SpaceError(
                    f"Repeat: {part.cls.__qualname__} takes no argument {name!r} for the first copy; "
                    f"it takes ({', '.join(defaults)})"
                )
        return part.with_arguments(**first)
    if isinstance(part, Choice):
        changed = Choice.__new__(Choice)
        contents = tuple(_with_arguments(content, first) for content in part.contents)
        changed._set(options=part.options, contents=contents, default=part.default, name=part.name)
        return changed
    raise SpaceError(f"Repeat: only an op or a choice of ops has arguments for the first copy ({', '.join(first)})")
