"""A template as plain JSON: what a journal keeps of a space, its fingerprint, and what changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from raynas.space.template.choice import Choice
from raynas.space.template.graph import Concat, Graph, Merge
from raynas.space.template.holes import Number
from raynas.space.template.operation import Op, Zero
from raynas.space.template.structure import Chain, Repeat
from raynas.space.template.template import Template
from raynas.space.template.values import to_json

#: Raised when the form of a description changes.
VERSION = 1


def describe(space: Template) -> dict[str, Any]:
    """The template as JSON-able data. The space's own name is left out: a renamed space is the same space."""
    recipe = [[key, _describe(value)] for key, value in space.recipe]
    return {"version": VERSION, "root": _describe(space.root), "recipe": recipe}


def fingerprint(description: Mapping[str, Any]) -> str:
    """16 hexadecimal digits: a hash of a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def _describe(item: Any) -> Any:
    if isinstance(item, Op):
        return {"op": item.class_name, "arguments": [[name, _describe(value)] for name, value in item.arguments]}
    if isinstance(item, Choice):
        options = [
            [to_json(value), _describe(content)] for value, content in zip(item.options, item.contents, strict=True)
        ]
        return {"choice": options, "default": to_json(item.default), "name": item.name}
    if isinstance(item, Number):
        kind = type(item).__name__.lower()
        return {kind: [item.low, item.high], "log": item.log, "default": item.default, "name": item.name}
    if isinstance(item, Chain):
        return {"chain": [[name, _describe(part)] for name, part in item.parts]}
    if isinstance(item, Repeat):
        return {
            "repeat": _describe(item.block),
            "first": None if item.head == item.block else _describe(item.head),
            "depth": item.low if item.depth is None else _describe(item.depth),
        }
    if isinstance(item, Graph):
        nodes = [[name, _merge(merge)] for name, merge in item.nodes]
        return {"graph": nodes, "output": item.output, "input": item.input}
    if isinstance(item, Zero):
        return {"zero": True}
    return [_describe(part) for part in item] if isinstance(item, tuple) else item


def _merge(merge: Merge) -> dict[str, Any]:
    edges = [
        [edge.label, _describe(edge.source), None if edge.part is None else _describe(edge.part)]
        for edge in merge.edges
    ]
    return {"merge": type(merge).__name__, "dim": merge.dim if isinstance(merge, Concat) else None, "edges": edges}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed from one description to another, one readable line a place."""
    before, after = dict(_lines(old)), dict(_lines(new))
    found: list[str] = []
    told: list[str] = []  # places that came or went: what lies inside them goes without saying
    for place in [*before, *(place for place in after if place not in before)]:
        if any(place.startswith(f"{outer}.") for outer in told):
            continue
        if place not in after:
            told.append(place)
            found.append(f"{place}: was {before[place]}, is gone")
        elif place not in before:
            told.append(place)
            found.append(f"{place}: is new, {after[place]}")
        elif before[place] != after[place]:
            found.append(f"{place}: was {before[place]}, is {after[place]}")
    return found


def _lines(description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Place → what stands there, in words; ``*`` stands for every copy of a repeat."""
    yield from _place("", description["root"])
    for key, value in description["recipe"]:
        yield from _place(f"recipe.{key}", value)


def _place(path: str, item: Any) -> Iterator[tuple[str, str]]:
    dot = f"{path}." if path else ""
    if not isinstance(item, dict):
        yield path, _value(item)
        for index, part in enumerate(item if isinstance(item, list) else ()):
            if isinstance(part, dict):
                yield from _place(f"{dot}{index}", part)
    elif "op" in item:
        yield path, item["op"]
        for name, value in item["arguments"]:
            yield from _place(f"{dot}{name}", value)
    elif "choice" in item:
        yield path, _value(item)
        for value, content in item["choice"]:
            if content != value:
                yield from _place(f"{dot}{value}", content)
    elif "chain" in item:
        yield path or "space", f"a chain of {', '.join(name for name, _ in item['chain'])}"
        for name, part in item["chain"]:
            yield from _place(f"{dot}{name}", part)
    elif "repeat" in item:
        yield path, f"repeated, depth {_value(item['depth'])}"
        yield from _place(f"{dot}*", item["repeat"])
        if item["first"] is not None:
            yield from _place(f"{dot}0", item["first"])
    elif "graph" in item:
        yield path, f"a graph of {', '.join(name for name, _ in item['graph'])} with output {item['output']}"
        for name, merge in item["graph"]:
            dim = "" if merge["dim"] is None else f" along {merge['dim']}"
            edges = ", ".join(label for label, _, _ in merge["edges"])
            yield f"{dot}{name}", f"{merge['merge']}{dim} of edges {edges}"
            for label, source, part in merge["edges"]:
                place = f"{dot}{name}.{label}"
                yield f"{place}.source", _value(source)
                if part is not None:
                    yield from _place(place, part)
    else:
        yield path, _value(item)


def _value(item: Any) -> str:
    """A literal or a hole in words."""
    if isinstance(item, list):
        return "(" + ", ".join(map(_value, item)) + ")"
    if not isinstance(item, dict):
        return repr(item)
    name = f", name={item['name']!r}" if item.get("name") is not None else ""
    if "choice" in item:
        options = ", ".join(_value(value) for value, _ in item["choice"])
        return f"Choice({options}, default={_value(item['default'])}{name})"
    for kind in ("int", "float"):
        if kind in item:
            low, high = item[kind]
            log = ", log=True" if item["log"] else ""
            return f"{kind.title()}({low!r}, {high!r}{log}, default={item['default']!r}{name})"
    return "Zero()" if "zero" in item else "a part"
