"""The search space of a table, and the architecture of each row.

A built-in space or a file's reads the table's notation if its module has a function ``parse(text)``; JSON (hole path to
value) and one column a hole are understood for every space. A table that no space speaks gets a space of its own: from
columns that are named as its holes, from strings of digits (``6x5``: six holes of five values), or its rows as one
choice.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raynas.errors import SpaceError, SpecError
from raynas.registry import find
from raynas.simulate.candidates import TableSpace
from raynas.simulate.table import ARCHITECTURE, Table
from raynas.space import Architecture, Choice, Space, op

#: Reads a space's own notation.
Parse = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class TableTask:
    """What a space's function needs of a task, where only a table stands behind it: CIFAR-10's shapes unless given."""

    input_shape: tuple[int, ...] = (3, 32, 32)
    num_classes: int = 10


def named_space(reference: str, task: Any = None) -> tuple[Space, Parse | None]:
    """A space by entry point or ``path/file.py:name``, and how its notation is read (None: it has none).

    Raises:
        UserError: nothing has that name, or it is no space.
    """
    made = find("raynas.spaces", reference)
    parse = getattr(sys.modules.get(getattr(made, "__module__", None) or ""), "parse", None)
    space = made
    if callable(made) and not isinstance(made, Space):
        space = made(task or TableTask()) if inspect.signature(made).parameters else made()
    if not isinstance(space, Space):
        raise SpaceError(f"search space {reference!r} is a {type(space).__name__}; it must be a raynas.space.Space")
    return space, parse


def space_of_table(
    table: Table, space: Space | str | None = None, *, holes: str | None = None, parse: Parse | None = None
) -> TableSpace:
    """The table's rows as a space.

    Args:
        table: measured architectures.
        space: their space, or its name; None: the table gets one of its own.
        holes: for a table without a known space: ``"6x5"``, or the names of its hole columns (``"depth,width"``).
        parse: reads the space's notation in the column ``architecture``.

    Raises:
        SpecError, SpaceError: the rows cannot be read as architectures of the space.
    """
    if space is not None and holes is not None:
        raise SpecError("a table's space is given twice: by its name and by its holes; give one of them")
    if space is None:
        return _own_space(table, holes)
    if isinstance(space, str):
        space, parse = named_space(space)
    return TableSpace(space, [Architecture(values) for values in _fillings(table, space, parse)])


def _fillings(table: Table, space: Space, parse: Parse | None) -> list[Mapping[str, Any]]:
    if ARCHITECTURE in table.columns:
        return [_filling(text, row, parse) for row, text in enumerate(table.columns[ARCHITECTURE])]
    paths = [path for path, _ in space.holes() if path in table.columns]
    if not paths:
        known = ", ".join(path for path, _ in space.holes())
        raise SpecError(
            f"{table.source} has neither a column 'architecture' nor columns named as the space's holes ({known})"
        )
    columns = [(path, table.columns[path]) for path in paths]
    return [{path: column[row] for path, column in columns if column[row] is not None} for row in range(len(table))]


def _filling(text: Any, row: int, parse: Parse | None) -> Mapping[str, Any]:
    if isinstance(text, Mapping):
        return text
    if parse is not None:
        try:
            return parse(str(text))
        except ValueError as error:
            if not str(text).startswith("{"):
                raise SpecError(f"row {row} of the table: {error}") from None
    try:
        values = json.loads(str(text))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise SpecError(
            f"row {row} of the table: the architecture {str(text)!r} is not JSON (hole path to value), and the "
            "space has no notation of its own (a function 'parse' beside it); or leave out the space and give the holes"
        )
    return values


def _own_space(table: Table, holes: str | None) -> TableSpace:
    grid = re.fullmatch(r"(\d+)x(\d+)", holes) if holes else None
    if grid:
        columns: dict[str, Sequence[Any]] = _digits(table, int(grid[1]), int(grid[2]))
        options: dict[str, Sequence[Any]] = {name: range(int(grid[2])) for name in columns}
    elif holes:
        names = [name.strip() for name in holes.split(",")]
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise SpecError(f"{table.source} has no column {missing[0]!r}; there are: {', '.join(table.columns)}")
        columns = {name: table.columns[name] for name in names}
        options = {name: _different(values) for name, values in columns.items()}
    else:
        columns = {"row": _row_labels(table)}
        options = {"row": list(dict.fromkeys(columns["row"]))}
    named = {f"hole{index}" if not name.isidentifier() else name: name for index, name in enumerate(columns)}
    template = _values_only({hole: options[name] for hole, name in named.items()})
    fillings = [{hole: columns[name][row] for hole, name in named.items()} for row in range(len(table))]
    return TableSpace(template, [Architecture(values) for values in fillings], by_network=False)


def _values_only(options: Mapping[str, Sequence[Any]]) -> Space:
    """A space of named choices between values; its network is a stand-in and says nothing."""
    from torch import nn

    recipe = {f"hole{index}": Choice(*values, name=name) for index, (name, values) in enumerate(options.items())}
    return Space(recipe=recipe, name="table", network=op(nn.Identity))


def _digits(table: Table, holes: int, size: int) -> dict[str, Sequence[Any]]:
    texts = [str(text) for text in table.columns.get(ARCHITECTURE, ())]
    if holes < 1 or not 1 <= size <= 10:
        raise SpecError(f"holes {holes}x{size}: give at least one hole, of 1 to 10 values, as in 6x5")
    for row, text in enumerate(texts or [""]):
        if len(text) != holes or any(not digit.isdigit() or int(digit) >= size for digit in text):
            raise SpecError(
                f"holes {holes}x{size}: the architecture of row {row}, {text!r}, is not {holes} digits from 0 to "
                f"{size - 1}; name the columns of holes instead, as in depth,width"
            )
    return {f"hole{index}": [int(text[index]) for text in texts] for index in range(holes)}


def _different(values: Sequence[Any]) -> list[Any]:
    found = list(dict.fromkeys(values))
    try:
        return sorted(found)
    except TypeError:
        return found


def _row_labels(table: Table) -> list[str]:
    """A name for each row: its architecture where that is text and not too long, else its number."""
    texts = table.columns.get(ARCHITECTURE, [])
    if texts and all(isinstance(text, str) and len(text) <= 200 for text in texts) and len(set(texts)) == len(texts):
        return list(texts)
    return [str(row) for row in range(len(table))]
