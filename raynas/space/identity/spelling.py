"""One spelling for arguments that build the same module, as far as ids need it."""

from __future__ import annotations

import re
from typing import Any

from raynas.space.template.operation import Op
from raynas.space.template.signature import FROM_SHAPE, constructor
from raynas.space.template.values import same

#: torch's layers that take one number for all their dimensions, or one for each; the last letters say how many.
_SPATIAL = re.compile(r"(?:Conv|ConvTranspose|MaxPool|AvgPool|AdaptiveMaxPool|AdaptiveAvgPool)([123])d")
_EACH = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding", "output_size"})


def spelled(op: Op, rule: int) -> dict[str, Any]:
    """The arguments that tell an operation from others of its class.

    Left out are those equal to the constructor's default, where leaving them out builds the same module. It does not
    where RayNAS fills an argument from the shape, nor where the constructor that is called is not the one whose
    defaults are known.

    Args:
        op: with literal arguments.
        rule: of ids. Under rule 1 every argument equal to a default is left out, and all others are as written.
    """
    known = constructor(op.cls)
    given = op.kwargs if rule == 1 else _one_spelling(op)
    return {
        name: value
        for name, value in given.items()
        if not (
            name in known.defaults
            and same(value, known.defaults[name])
            and (rule == 1 or (known.defaults_hold and name not in FROM_SHAPE))
        )
    }


def drops_nothing(op: Op) -> bool:
    """Whether an operation is one of torch's dropouts with probability 0, which hands on its input."""
    if op.cls.__module__ != "torch.nn.modules.dropout":
        return False
    return op.kwargs.get("p") == 0 and op.kwargs["p"] is not False


def _one_spelling(op: Op) -> dict[str, Any]:
    """``3`` for ``(3, 3)``, and no stride of a pooling that equals its kernel, in torch's own layers."""
    given = op.kwargs
    found = _SPATIAL.fullmatch(op.cls.__name__)
    if found is None or op.cls.__module__ not in ("torch.nn.modules.conv", "torch.nn.modules.pooling"):
        return given
    dimensions = int(found[1])
    for name in _EACH & given.keys():
        value = given[name]
        if isinstance(value, tuple) and len(value) == dimensions and all(same(item, value[0]) for item in value):
            given[name] = value[0]
    if constructor(op.cls).defaults.get("stride", 1) is None and same(given.get("stride"), given.get("kernel_size")):
        given.pop("stride", None)
    return given
