"""A whole template: named parts in order, and a training recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.nodes import check_name
from raynas.space.template.operation import as_value
from raynas.space.template.structure import Chain


class Template:
    """A chain of named parts with holes, and a training recipe that may have holes too. Frozen.

    Args:
        recipe: training settings (``lr``, ``batch_size``, …) as literals or holes; their paths are ``recipe.<key>``.
        name: for people.
        parts: the network's parts in order.

    Raises:
        SpaceError: a part or a key cannot be; the message names the place.

    Attributes:
        root, recipe, name: as given.
    """

    root: Chain
    recipe: tuple[tuple[str, Any], ...]
    name: str | None

    def __init__(self, *, recipe: Mapping[str, Any] | None = None, name: str | None = None, **parts: Any) -> None:
        if not parts:
            raise SpaceError("Space(): there are no parts; give at least one, as Space(body=op(...))")
        root = Chain(**parts)
        pairs = [
            (check_name(key, "recipe key"), as_value(value, f"recipe.{key}")) for key, value in (recipe or {}).items()
        ]
        self.__setstate__({"root": root, "recipe": tuple(pairs), "name": name})

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError("a Space does not change; make another one")

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "recipe": self.recipe, "name": self.name}  # no caches

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
