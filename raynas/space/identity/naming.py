"""Architectures for people: a short name for tables and runs, and a readable picture of the whole network."""

from __future__ import annotations

from collections import Counter
from typing import Any

from raynas.space.template.graph import Concat, Graph
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.structure import Chain
from raynas.space.template.values import same, show
from raynas.space.walk.architecture import Architecture
from raynas.space.walk.fill import Network
from raynas.space.walk.walked import WalkedTemplate

#: The greatest length of a short name.
LENGTH = 60


def short_name(space: WalkedTemplate, architecture: Architecture) -> str:
    """At most 60 characters: what differs from the holes' defaults, as ``stage1.depth=3 act=silu``; else ``default``.

    Paths are cut to their last pieces as far as they stay different; what does not fit is counted at the end (``+4``).
    """
    holes = space.hole_map
    changed = [path for path in architecture if path not in holes or not same(architecture[path], holes[path].default)]
    if not changed:
        return "default"
    ends = _endings(list(holes))
    pieces = [f"{ends.get(path, path)}={show(architecture[path])}" for path in changed]
    name, used = "", 0
    for piece in pieces:
        longer = f"{name} {piece}" if name else piece
        room = LENGTH - (len(f" +{len(pieces) - used - 1}") if used + 1 < len(pieces) else 0)
        if len(longer) > room:
            break
        name, used = longer, used + 1
    if used == len(pieces):
        return name
    if not used:  # one overlong piece: cut it
        tail = f"… +{len(pieces) - 1}" if len(pieces) > 1 else "…"
        return pieces[0][: LENGTH - len(tail)] + tail
    return f"{name} +{len(pieces) - used}"


def _endings(paths: list[str]) -> dict[str, str]:
    """Every path's shortest ending that no other path has (at least two pieces of a path that has them)."""
    counts: Counter[str] = Counter()
    split = {path: path.split(".") for path in paths}
    for pieces in split.values():
        counts.update(".".join(pieces[start:]) for start in range(len(pieces)))
    found = {}
    for path, pieces in split.items():
        endings = [".".join(pieces[start:]) for start in range(len(pieces) - 1, -1, -1)]
        found[path] = next((end for end in endings if counts[end] == 1 and not end.split(".")[0].isdigit()), path)
    return found


def pretty(network: Network) -> str:
    """The network, one line a module, indented by nesting; then the recipe."""
    rows: list[tuple[int, str, str]] = []
    for name, part in network.root.parts:
        _rows(0, name, part, rows)
    for index, (key, value) in enumerate(network.recipe.items()):
        if index == 0:
            rows.append((0, "recipe", ""))
        rows.append((1, key, show(value)))
    width = max(2 * depth + len(name) for depth, name, _ in rows)
    return "\n".join(f"{'  ' * depth + name:<{width}}  {words}".rstrip() for depth, name, words in rows)


def _rows(depth: int, name: str, part: Part | None, rows: list[tuple[int, str, str]]) -> None:
    if isinstance(part, Chain):
        rows.append((depth, name, "" if part.parts else "(nothing)"))
        for child_name, child in part.parts:
            _rows(depth + 1, child_name, child, rows)
    elif isinstance(part, Graph):
        rows.append((depth, name, f"graph, yields {part.output}"))
        for node, merge in part.nodes:
            joined = f"concat, dim {merge.dim}" if isinstance(merge, Concat) else "sum"
            rows.append((depth + 1, node, joined))
            for edge in merge.edges:
                source = "" if edge.label == edge.source else f" from {edge.source}"
                _rows(depth + 2, f"{edge.label}{source}", edge.part, rows)
    else:
        rows.append((depth, name, _part_text(part)))


def _part_text(part: Any) -> str:
    if part is None:
        return "as it is"
    if isinstance(part, Op):
        return f"{part.cls.__name__}({', '.join(f'{name}={show(value)}' for name, value in part.arguments)})"
    return "nothing"
