"""What there is to find: a table's figures by row, ready to be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from raynas.errors import SpecError
from raynas.simulate.candidates import TableSpace
from raynas.simulate.table import Table


@dataclass(frozen=True)
class Landscape:
    """What there is to find, ready to be looked up by row.

    Attributes:
        space: the rows as a space.
        curves: the objective's value at every step, one list a row.
        seconds: what each step takes, one list a row (as long as its curve, or one figure for all steps).
        max_steps: a trial's full budget: the longest curve.
        also: further metrics that a measurement carries: name to one list a row, as ``curves``.
    """

    space: TableSpace
    curves: list[list[float]]
    seconds: list[list[float]]
    max_steps: int
    also: dict[str, list[list[float]]] = field(default_factory=dict)


def make_landscape(
    table: Table, space: TableSpace, metric: str, *, cost: str | None = None, also: Iterable[str] = ()
) -> Landscape:
    """The table's figures by row, ready to be looked up."""
    curves = _lists(table, metric)
    if not any(curves):
        raise SpecError(f"{table.source}: the column {metric!r} has no figures")
    if cost is None:
        cost = "seconds" if "seconds" in table.figures else "1"
    seconds = [[value if value >= 0 else 0.0 for value in row] or [0.0] for row in _lists(table, cost)]
    more = {name: [row or [float("nan")] for row in _lists(table, name)] for name in also}
    rows = [row or [float("nan")] for row in curves]  # a row without a figure fails at its first step
    return Landscape(space, rows, seconds, max(map(len, rows)), more)


def full_value(table: Table, name: str) -> np.ndarray:
    """A column's figure at each row's last step."""
    return np.array([row[-1] if row else np.nan for row in _lists(table, name)])


def _lists(table: Table, name: str) -> list[list[float]]:
    figures, lengths = table.evaluate(name), table.lengths(name)
    return [row[:length] for row, length in zip(figures.tolist(), lengths.tolist(), strict=True)]
