"""``Architecture``: an immutable assignment from hole paths to values; the one value that flows everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.values import as_literal, same, to_json


class Architecture(Mapping[str, Any]):
    """Hole path → value: a literal, or the label of an option.

    Two architectures are equal if their paths, their values *and the types of the values* are equal: ``0``, ``0.0`` and
    ``False`` are three values. The order of paths (that of the walk) does not matter.

    >>> a = Architecture({"stem.out": 16, "act": "relu"})
    >>> Architecture.from_json(a.to_json()) == a
    True
    """

    __slots__ = ("_hash", "_values")
    _values: dict[str, Any]
    _hash: int | None

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        object.__setattr__(self, "_values", {path: _checked(path, value) for path, value in values.items()})
        object.__setattr__(self, "_hash", None)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Architecture:
        """From a dictionary that holds literals only and that nobody else keeps (no checks, no copy)."""
        architecture = cls.__new__(cls)
        object.__setattr__(architecture, "_values", values)
        object.__setattr__(architecture, "_hash", None)
        return architecture

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an Architecture does not change; make another one")

    def __getitem__(self, path: str) -> Any:
        return self._values[path]

    def get(self, path: str, default: Any = None) -> Any:
        return self._values.get(path, default)

    def __contains__(self, path: object) -> bool:
        return path in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def replaced(self, path: str, value: Any) -> Architecture:
        """With another value (a literal) at one path, the order of paths as it is."""
        return Architecture.of({**self._values, path: value})

    @property
    def paths(self) -> list[str]:
        """The paths, in the order of the walk."""
        return list(self._values)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Architecture) or self._values != other._values:
            return False
        theirs = other._values  # 0, 0.0 and False are equal so far
        return all(value is theirs[path] or same(value, theirs[path]) for path, value in self._values.items())

    def __hash__(self) -> int:
        if self._hash is None:
            object.__setattr__(self, "_hash", hash(frozenset(self._values.items())))
        assert self._hash is not None
        return self._hash

    def __reduce__(self) -> Any:
        return Architecture.of, (self._values,)  # the hash of strings differs between processes: not kept

    def __repr__(self) -> str:
        return f"Architecture({self._values!r})"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON: path → value, tuples as lists."""
        return {path: to_json(value) for path, value in self._values.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_json`: lists come back as tuples.

        Raises:
            SpaceError: a value is not a literal.
        """
        return cls(data)


def _checked(path: Any, value: Any) -> Any:
    if not isinstance(path, str):
        raise SpaceError(f"Architecture: the path {path!r} is not a string")
    return as_literal(value, f"Architecture, {path!r}")
