"""What an operation's constructor takes: names, defaults, and the arguments filled from the input's shape."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, NamedTuple

from raynas.errors import SpaceError
from raynas.suggestions import did_you_mean

#: Constructor parameters filled from the shape of the sample that reaches the operation, when they are not given.
#: "first" is the channel dimension of (C, *spatial), "last" the feature dimension, "whole" the shape itself.
FROM_SHAPE = {
    "in_channels": "first",
    "num_features": "first",
    "num_channels": "first",
    "in_features": "last",
    "input_size": "last",
    "embed_dim": "last",
    "d_model": "last",
    "in_shape": "whole",
}

REQUIRED = inspect.Parameter.empty


class Constructor(NamedTuple):
    """What a class's constructor takes.

    Attributes:
        defaults: its parameters in order, with their defaults (``REQUIRED``: none).
        takes_any: whether it takes any other keyword, too.
        defaults_hold: whether leaving out an argument is giving its default. A constructor that is decorated, or that
            hands on ``*args, **kwargs``, may do otherwise.
    """

    defaults: dict[str, Any]
    takes_any: bool
    defaults_hold: bool = True

    @property
    def from_shape(self) -> tuple[str, ...]:
        return tuple(name for name in self.defaults if name in FROM_SHAPE)


@lru_cache(maxsize=4096)
def constructor(cls: type) -> Constructor:
    """Reads a constructor's signature; one that only hands on ``*args, **kwargs`` is read from its base class.

    Raises:
        SpaceError: it takes ``*args`` or positional-only arguments.
    """
    defaults: dict[str, Any] = {}
    takes_any, defaults_hold = False, True
    for owner in cls.__mro__:
        init = owner.__dict__.get("__init__")
        if init is None:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        defaults_hold = defaults_hold and not hasattr(init, "__wrapped__")
        if owner is object:
            return Constructor({}, False)
        kinds = [parameter.kind for parameter in parameters]
        if kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
            # nn.Module's own says (*args, **kwargs) and takes none; others (nn.LSTM) hand on to their base class.
            if (owner.__module__, owner.__qualname__) == ("torch.nn.modules.module", "Module"):
                return Constructor(defaults, takes_any)
            defaults_hold = defaults_hold and owner.__module__.startswith("torch.nn.")
            continue
        for parameter in parameters:
            if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
                raise SpaceError(
                    f"{cls.__qualname__} takes {parameter}, which has no name to set it by; "
                    "wrap it in a module whose constructor names its arguments"
                )
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_any = True
            else:
                defaults[parameter.name] = parameter.default
        if owner.__module__ == "torch.nn.modules.rnn":
            defaults.pop("mode", None)  # RNNBase's own switch between its subclasses
            takes_any = cls.__name__ == "RNN"  # nonlinearity=
        break
    return Constructor(defaults, takes_any, defaults_hold)


def bind(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Positional and keyword arguments by name, in the constructor's order.

    Raises:
        SpaceError: too many, unknown, doubled or missing arguments (those filled from the shape may be missing).
    """
    defaults, takes_any, _ = constructor(cls)
    names = list(defaults)
    takes = f"it takes ({', '.join(names)})"
    if len(args) > len(names):
        raise SpaceError(f"op({cls.__qualname__}): {len(args)} positional arguments are too many; {takes}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            raise SpaceError(f"op({cls.__qualname__}): argument {name!r} is given twice")
        if name not in defaults and not takes_any:
            raise SpaceError(
                f"op({cls.__qualname__}): there is no argument {name!r}; {did_you_mean(name, names, takes)}"
            )
        given[name] = value
    missing = [n for n, default in defaults.items() if default is REQUIRED and n not in given and n not in FROM_SHAPE]
    if missing:
        hint = f" (the first positional argument is {names[0]!r})" if args and names[0] in FROM_SHAPE else ""
        raise SpaceError(f"op({cls.__qualname__}): argument {missing[0]!r} is missing; give a value or a hole{hint}")
    return {name: given[name] for name in [*names, *given] if name in given}
