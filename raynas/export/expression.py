"""Python expressions, laid out as ``ruff format`` lays them out: constructor calls within constructor calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

WIDTH = 120
_STEP = 4


@dataclass(frozen=True)
class Call:
    """A call. Arguments are ``(keyword or "", value)``; ``braces`` makes it a dictionary, with literals as keys.

    Attributes:
        open: one argument a line, even where they would fit into one.
    """

    function: object  # its text is asked for when it is laid out
    arguments: tuple[tuple[str, Call | str], ...]
    open: bool = False
    braces: bool = False

    def _parts(self) -> list[tuple[str, Call | str]]:
        sign = ": " if self.braces else "="
        return [(f"{keyword}{sign}" if keyword else "", value) for keyword, value in self.arguments]

    def flat(self) -> str:
        """On one line."""
        left, right = ("{", "}") if self.braces else (f"{self.function}(", ")")
        return left + ", ".join(head + text(value) for head, value in self._parts()) + right

    def lay_out(self, indent: int, used: int, after: int = 0) -> str:
        """Over as many lines as it needs.

        Args:
            indent: of the line on which it begins, in spaces.
            used: what stands before it on that line, indentation included.
            after: what will stand behind it on its last line.
        """
        line = self.flat()
        if not self._is_open() and used + len(line) + after <= WIDTH:
            return line
        parts, inner = self._parts(), indent + _STEP
        left, right = ("{", "}") if self.braces else (f"{self.function}(", ")")
        packed = ", ".join(head + text(value) for head, value in parts)
        if not self._is_open() and not self.braces and inner + len(packed) <= WIDTH:
            return f"{left}\n{' ' * inner}{packed}\n{' ' * indent}{right}"
        lines = [left]
        for head, value in parts:
            laid = value if isinstance(value, str) else value.lay_out(inner, inner + len(head), 1)
            lines.append(f"{' ' * inner}{head}{laid},")
        return "\n".join([*lines, " " * indent + right])

    def _is_open(self) -> bool:
        return self.open or any(isinstance(value, Call) and value._is_open() for _, value in self.arguments)


def text(value: Call | str) -> str:
    """An expression on one line."""
    return value if isinstance(value, str) else value.flat()


def call(function: object, arguments: Iterable[tuple[str, Call | str]], *, open: bool = False) -> Call:
    """A call with arguments; ``""`` as the keyword of a positional one."""
    return Call(function, tuple(arguments), open)


def dictionary(items: Iterable[tuple[str, Call | str]]) -> Call:
    """A dictionary of strings to expressions, one a line."""
    return Call("", tuple((literal(key), value) for key, value in items), open=True, braces=True)


def literal(value: Any) -> str:
    """A literal as formatters write it: strings in double quotes."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        plain = repr(value)
        inner = plain[1:-1]
        return f'"{inner}"' if plain[0] == "'" and '"' not in inner and "\\'" not in inner else plain
    return repr(value)
