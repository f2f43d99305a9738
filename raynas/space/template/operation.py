"""Operations: any ``nn.Module`` class with arguments, each of which may be a hole; and the absent edge, ``Zero``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.nodes import Hole, Node, Part
from raynas.space.template.signature import bind, constructor
from raynas.space.template.values import as_literal


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Op(Part):
    """One module: a class and its arguments by name. Made by :func:`op`.

    Attributes:
        cls: the ``nn.Module`` class.
        arguments: ``(name, value)`` pairs; a value is a literal, a hole, or a tuple with holes in it.
    """

    cls: type
    arguments: tuple[tuple[str, Any], ...]

    def __init__(self, cls: type, arguments: tuple[tuple[str, Any], ...] = ()) -> None:
        self._set(cls=cls, arguments=arguments)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments as a dictionary."""
        return dict(self.arguments)

    @cached_property
    def open(self) -> bool:
        return any(has_holes(value) for _, value in self.arguments)

    @cached_property
    def class_name(self) -> str:
        """``module.Class``, the same in every process."""
        return f"{self.cls.__module__}.{self.cls.__qualname__}"

    def with_arguments(self, **changed: Any) -> Op:
        """The same operation with some arguments replaced or added."""
        return op(self.cls, **{**self.kwargs, **changed})

    def __repr__(self) -> str:
        return f"op({', '.join([self.cls.__name__, *(f'{name}={value!r}' for name, value in self.arguments)])})"

    def __str__(self) -> str:
        return f"{self.cls.__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Zero(Part):
    """An absent edge of a graph: nothing flows, nothing is built."""

    def __init__(self) -> None:
        pass

    @cached_property
    def open(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Zero()"


def op(cls: type, /, *args: Any, **kwargs: Any) -> Op:
    """An operation of the template.

    Args:
        cls: any ``nn.Module`` class that stands at the top level of a module. Parameters named as in PyTorch
            (``in_channels``, ``in_features``, ``input_size``, …, or ``in_shape``) may be left out: they are filled from
            the shape of what reaches the operation.
        args: constructor arguments; they are bound to their names at once.
        kwargs: the same by name. Each is a literal, a hole, or a tuple with holes in it.

    Raises:
        SpaceError: the class or an argument cannot stand in a template.

    >>> from torch import nn
    >>> from raynas.space import Choice
    >>> op(nn.Conv2d, out_channels=Choice(16, 32), kernel_size=3, padding=1)
    op(Conv2d, out_channels=Choice(16, 32), kernel_size=3, padding=1)
    """
    check_class(cls)
    bound = bind(cls, args, kwargs)
    return Op(cls, tuple((name, _argument(cls, name, value)) for name, value in bound.items()))


def as_part(thing: Any, where: str) -> Part:
    """A part as it may be written: a template node, or a bare ``nn.Module`` class.

    Raises:
        SpaceError: it is neither.
    """
    if thing is Zero:
        return Zero()
    if isinstance(thing, Part):
        if isinstance(thing, Hole) and not getattr(thing, "of_parts", False):
            raise SpaceError(f"{where}: {thing!r} chooses between values; a part is a choice between operations")
        return thing
    if isinstance(thing, type):
        return op(thing)
    if isinstance(thing, Hole):
        raise SpaceError(f"{where}: {thing!r} is a value; a part is an op, Chain, Graph, Repeat or a Choice of these")
    if _is_module_class(type(thing)):
        raise SpaceError(f"{where}: {type(thing).__name__}(…) is a built module; write op({type(thing).__name__}, …)")
    if callable(thing):
        raise SpaceError(
            f"{where}: {getattr(thing, '__qualname__', thing)!r} is a function; lambdas and functions have no source "
            "or JSON form: write an nn.Module class at the top level of a file"
        )
    raise SpaceError(f"{where}: {thing!r} is not a part; give an op, Chain, Graph, Repeat or a Choice of these")


def check_class(cls: Any) -> None:
    """Raises SpaceError unless ``cls`` is an importable ``nn.Module`` class."""
    if not isinstance(cls, type):
        kind = "a function" if callable(cls) and not _is_module_class(type(cls)) else "not a class"
        raise SpaceError(f"op({getattr(cls, '__qualname__', cls)!s}): it is {kind}; give an nn.Module class")
    if "<locals>" in cls.__qualname__:
        raise SpaceError(
            f"op({cls.__qualname__}): the class is defined inside a function, so no other process can import it; "
            "move it to the top level of its file"
        )
    if not _is_module_class(cls):
        raise SpaceError(f"op({cls.__qualname__}): the class is not an nn.Module; derive it from torch.nn.Module")
    constructor(cls)


def has_holes(value: Any) -> bool:
    """Whether an argument is a hole, or a tuple with a hole in it."""
    return isinstance(value, Hole) or (value.__class__ is tuple and any(map(has_holes, value)))


def as_value(value: Any, where: str) -> Any:
    """A value of a template: a literal, a hole of values, or a tuple of these.

    Raises:
        SpaceError: it is something else.
    """
    if isinstance(value, Hole):
        if getattr(value, "of_parts", False):
            raise SpaceError(f"{where}: an argument cannot choose between operations; choose between whole ops instead")
        return value
    if isinstance(value, (Node, type)):
        raise SpaceError(f"{where}: {value!r} is an operation; arguments are literals or holes of literals")
    if isinstance(value, (tuple, list)):
        return tuple(as_value(item, where) for item in value)
    if callable(value):
        raise SpaceError(
            f"{where}: {getattr(value, '__qualname__', value)!r} is a function; lambdas and functions have no source "
            "or JSON form: give a name (a str) and look it up in your module"
        )
    return as_literal(value, where)


def _argument(cls: type, name: str, value: Any) -> Any:
    return as_value(value, f"op({cls.__qualname__}), argument {name!r}")


def _is_module_class(cls: type) -> bool:
    # By name, so that the language itself does not import torch.
    return any(base.__module__ == "torch.nn.modules.module" and base.__name__ == "Module" for base in cls.__mro__)
