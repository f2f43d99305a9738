"""Literals: the values in a template, an architecture and JSON, where equal values of different types differ.

``0``, ``0.0`` and ``False`` are equal in Python, but a layer with ``bias=0`` is written differently from one with
``bias=False``, and JSON keeps them apart. RayNAS does, too: every comparison of literals goes through :func:`exact`.
"""

from __future__ import annotations

import math
from typing import Any

from raynas.errors import SpaceError

_SCALARS = (type(None), bool, int, float, str)


def is_literal(value: Any) -> bool:
    """Whether a value is None, a bool, an int, a finite float, a str, or a tuple (or list) of such."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    return kind in _SCALARS or (kind in (tuple, list) and all(map(is_literal, value)))


def as_literal(value: Any, where: str) -> Any:
    """The value with lists turned into tuples.

    Raises:
        SpaceError: it is no literal.
    """
    if not is_literal(value):
        raise SpaceError(
            f"{where}: {value!r} is not a literal; give None, a bool, int, finite float, str or a tuple of these"
        )
    return from_json(value)


def exact(value: Any) -> Any:
    """A hashable key that is equal for equal values of the same type only: ``exact(1) != exact(True)``."""
    if value.__class__ is tuple:
        return (tuple, *map(exact, value))
    return value.__class__, value


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same type all the way down."""
    return exact(a) == exact(b)


def to_json(value: Any) -> Any:
    """A literal in JSON's terms: tuples become lists."""
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def from_json(value: Any) -> Any:
    """The inverse of :func:`to_json`: lists become tuples."""
    return tuple(from_json(item) for item in value) if isinstance(value, (list, tuple)) else value


def show(value: Any) -> str:
    """A literal for a person to read: floats with four digits, strings without quotes."""
    if isinstance(value, float):
        text = f"{value:.4g}"
        return text if any(mark in text for mark in ".en") else text + ".0"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show, value)) + ("," if len(value) == 1 else "") + ")"
    return str(value)
