"""``Choice``: one of several values, operations or whole sub-templates, and the labels of its options."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.errors import SpaceError
from raynas.space.template.nodes import Hole, Part, check_hole_name, check_name
from raynas.space.template.operation import Op, as_part, as_value
from raynas.space.template.values import exact, is_literal, same, to_json


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Choice(Hole, Part):
    """One of several options.

    Args:
        options: literals, or templates (an op, ``Chain``, ``Graph``, ``Repeat``, ``Choice``, an ``nn.Module`` class),
            or one mapping from label to option. Values and templates do not mix in one choice.
        default: the option (or its label) in the default architecture; the first unless given.
        name: holes with the same name are one hole, wherever they stand.

    Attributes:
        options: what the hole's value may be: the literals, or the options' labels.
        contents: what each option stands for: the literal, hole or part.
        of_parts: whether the options are parts of the network (rather than values of an argument).

    Raises:
        SpaceError: no options, equal options, unequal kinds, or an unknown default.

    >>> Choice(3, 5, 7, default=5).default
    5
    """

    options: tuple[Any, ...]
    contents: tuple[Any, ...]
    default: Any
    name: str | None

    def __init__(self, *options: Any, default: Any = None, name: str | None = None) -> None:
        labels: list[str] | None = None
        if len(options) == 1 and isinstance(options[0], Mapping):
            labels, options = list(options[0]), tuple(options[0].values())
        if not options:
            raise SpaceError("Choice(): there is nothing to choose from; give at least one option")
        of_parts = any(_is_part_like(option) for option in options)
        if of_parts and not all(_is_part_like(option) for option in options):
            odd = next(option for option in options if not _is_part_like(option))
            raise SpaceError(
                f"Choice: {odd!r} is a value, but other options are operations; write op(torch.nn.Identity) for "
                "'nothing here' and Zero() for an absent edge"
            )
        if of_parts:
            contents = tuple(as_part(option, "Choice") for option in options)
        else:
            contents = tuple(as_value(option, "Choice") for option in options)
        values = tuple(_values(contents, labels))
        doubled = [key for key, times in Counter(map(exact, values)).items() if times > 1]
        if doubled:
            raise SpaceError(
                f"Choice: the option {doubled[0][1]!r} stands there twice; drop one, or tell them apart: "
                'Choice({"label": option, …})'
            )
        self._set(options=values, contents=contents, default=None, name=check_hole_name(name))
        self._set(default=self._find_default(default))

    def _find_default(self, default: Any) -> Any:
        if isinstance(default, list):
            default = tuple(default)
        for value, content in zip(self.options, self.contents, strict=True):
            if same(default, value) or (isinstance(default, Part) and default == content):
                return value
            if isinstance(default, type) and isinstance(content, Op) and content == Op(default):
                return value
        if default is not None:
            raise SpaceError(f"{self!r}: the default {default!r} is not an option; give {self.domain()}")
        return self.options[0]

    @property
    def of_parts(self) -> bool:
        return isinstance(self.contents[0], Part) and getattr(self.contents[0], "of_parts", True)

    @cached_property
    def _by_value(self) -> dict[Any, Any]:
        return dict(zip(map(exact, self.options), self.contents, strict=True))

    @cached_property
    def _place(self) -> dict[Any, int]:
        return {exact(value): place for place, value in enumerate(self.options)}

    def content(self, value: Any) -> Any:
        """What a value of the hole stands for.

        Raises:
            SpaceError: it is not an option.
        """
        try:
            return self._by_value[exact(value)]
        except (KeyError, TypeError):
            raise SpaceError(f"{value!r} is not an option of {self!r}; give {self.domain()}") from None

    @property
    def size(self) -> int:
        return len(self.options)

    def at(self, index: int) -> Any:
        return self.options[index]

    def contains(self, value: Any) -> bool:
        return is_literal(value) and exact(value) in self._by_value

    def same_decision(self, other: Hole) -> bool:
        # What an option stands for may differ from place to place (as the first copy of a repeat, with its stride).
        pair = (self.options, self.default)
        return isinstance(other, Choice) and same(pair, (other.options, other.default))

    def domain(self) -> str:
        return "one of " + ", ".join(map(repr, self.options))

    def draw(self, rng: random.Random, *, other_than: Any = ...) -> Any:
        if other_than is ... or len(self.options) == 1:
            return rng.choice(self.options)
        place = self._place.get(exact(other_than), len(self.options))
        drawn = rng.choice(range(len(self.options) - (place < len(self.options))))
        return self.options[drawn + (drawn >= place)]  # as from a list of all others

    def __repr__(self) -> str:
        if all(same(a, b) for a, b in zip(self.options, self.contents, strict=True)):
            pieces = [repr(value) for value in self.options]
        else:
            pairs = zip(self.options, self.contents, strict=True)
            pieces = ["{" + ", ".join(f"{value!r}: {content!r}" for value, content in pairs) + "}"]
        if self.default is not None and not same(self.default, self.options[0]):
            pieces.append(f"default={self.default!r}")
        if self.name is not None:
            pieces.append(f"name={self.name!r}")
        return f"Choice({', '.join(pieces)})"


def _is_part_like(option: Any) -> bool:
    if isinstance(option, Choice):
        return option.of_parts
    if isinstance(option, Hole):
        return False
    return isinstance(option, (Part, type)) or (callable(option) and hasattr(option, "forward"))


def _values(contents: tuple[Any, ...], labels: list[str] | None) -> list[Any]:
    """What the hole's value is for each option: the given label, the literal itself, or a derived label."""
    if labels is not None:
        return [check_name(label, "option label") for label in labels]
    bases = [None if is_literal(content) else _base_label(content) for content in contents]
    values: list[Any] = []
    for content, base in zip(contents, bases, strict=True):
        if base is None:
            values.append(content)
            continue
        rivals = [other for other, name in zip(contents, bases, strict=True) if name == base]
        values.append(_distinct_label(content, rivals, base) if len(rivals) > 1 else base)
    return values


def _base_label(content: Any) -> str:
    if isinstance(content, Op):
        return snake(content.cls.__name__)
    if isinstance(content, Hole) and content.name is not None:
        return content.name.replace(".", "_")
    if isinstance(content, tuple):
        raise SpaceError(
            f'Choice: the option {content!r} holds a hole; give it a label: Choice({{"label": option, …}})'
        )
    return snake(type(content).__name__)


def _distinct_label(content: Any, rivals: list[Any], base: str) -> str:
    """A label with the literal arguments in which operations of one class differ: ``conv2d_kernel_size3``."""
    if not isinstance(content, Op) or not all(isinstance(rival, Op) for rival in rivals):
        raise SpaceError(
            f'Choice: several options would be called {base!r}; label them: Choice({{"label": option, …}})'
        )
    marks = []
    names = dict.fromkeys(name for rival in rivals for name, _ in rival.arguments)
    for name in names:
        if len({exact(rival.kwargs.get(name)) for rival in rivals}) > 1 and is_literal(content.kwargs.get(name)):
            mark = content.kwargs.get(name)
            if mark is not None:
                marks.append(f"{name}{_plain(mark)}")
    return "_".join([base, *marks])


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(_plain, value))
    return re.sub(r"\W+", "_", str(to_json(value)).replace("-", "minus").replace(".", "p"))


def snake(name: str) -> str:
    """``ConvBNAct`` as ``conv_bn_act``; ``ReLU`` as ``relu``."""
    name = re.sub(r"(?<=[a-zA-Z])LU(?=$|[A-Z0-9])", "lu", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
