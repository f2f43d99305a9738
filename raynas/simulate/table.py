"""A table of measured architectures: one row each, in columns. The simulator's stand-in for training.

A table is Parquet (or CSV): ``architecture`` in the space's own notation (or JSON, hole path to value), or one column a
hole; figures as plain columns, or as lists where there is one a step (a learning curve). A finished search's journal is
one, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raynas.errors import SpecError
from raynas.journal.history import TrialRecord
from raynas.searchers.ranking import tells_nothing
from raynas.simulate.expression import evaluate
from raynas.suggestions import did_you_mean

#: The column that says which architecture a row is of.
ARCHITECTURE = "architecture"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of measured architectures.

    Attributes:
        columns: name to one value a row (numbers, strings, or lists of numbers).
        source: where it comes from, for messages.
    """

    columns: Mapping[str, Sequence[Any]]
    source: str = "the table"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @cached_property
    def figures(self) -> dict[str, np.ndarray]:
        """The numeric columns, each of shape ``(rows, steps)``: one step, or curves padded with NaN to the longest."""
        found = {name: _figures(values) for name, values in self.columns.items() if name != ARCHITECTURE}
        return {name: values for name, values in found.items() if values is not None}

    def evaluate(self, expression: str) -> np.ndarray:
        """A column, or arithmetic over columns: shape ``(rows, steps)``. Raises SpecError."""
        if expression not in self.figures and expression.isidentifier():
            hint = did_you_mean(expression, self.figures, f"there are: {', '.join(self.figures)}")
            raise SpecError(f"{self.source} has no column {expression!r} of figures; {hint}")
        return evaluate(expression, self.figures)

    def lengths(self, expression: str) -> np.ndarray:
        """How many steps each row has of a column, NaN in the middle or at the end of its list included."""
        values = self.columns.get(expression)
        if values is not None and any(isinstance(value, (list, tuple, np.ndarray)) for value in values):
            return np.array([0 if value is None else len(value) for value in values])
        figures = self.evaluate(expression)
        return np.where(np.isnan(figures), 0, np.arange(1, figures.shape[1] + 1)).max(axis=1)

    def keep(self, rows: Sequence[int]) -> Table:
        """The table of some of its rows."""
        return Table({name: [values[row] for row in rows] for name, values in self.columns.items()}, self.source)


def read_table(path: str | Path) -> Table:
    """Reads a Parquet or CSV file.

    Raises:
        SpecError: there is no such file, it cannot be read, or it has no rows.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    path = Path(path)
    if not path.is_file():
        raise SpecError(f"table {str(path)!r}: there is no such file; give a Parquet or CSV file")
    try:
        read = pyarrow.csv.read_csv if path.suffix == ".csv" else pyarrow.parquet.read_table
        table = read(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SpecError(f"table {str(path)!r} cannot be read as Parquet or CSV: {error}") from None
    if table.num_rows == 0:
        raise SpecError(f"table {str(path)!r} has no rows")
    return Table({name: table[name].to_pylist() for name in table.column_names}, str(path))


def table_of_history(trials: Iterable[TrialRecord], metrics: Iterable[str], source: str) -> Table:
    """A search's trials as a table: curves of all metrics, and seconds per step.

    A trial that was stopped early has a shorter curve: in the simulator a trial that would go on from there ends there.
    A trial that failed by its architecture's fault fails there as well: NaN follows what it had measured. Other trials
    that measured nothing are left out.
    """
    known = list(trials)
    if not any(trial.measurements for trial in known):
        raise SpecError(f"{source} has no measured trial, so there is nothing to simulate with")
    kept = [(trial, _failed_by_itself(trial)) for trial in known]
    kept = [(trial, failed) for trial, failed in kept if trial.measurements or failed]
    columns: dict[str, list[Any]] = {
        ARCHITECTURE: [json.dumps(dict(trial.values)) for trial, _ in kept],
        "seconds": [_seconds(trial, failed) for trial, failed in kept],
    }
    for metric in metrics:
        columns[metric] = [
            [measured.metrics.get(metric, np.nan) for measured in trial.measurements] + [np.nan] * failed
            for trial, failed in kept
        ]
    return Table(columns, source)


def _failed_by_itself(trial: TrialRecord) -> bool:
    return trial.state == "failed" and not tells_nothing(trial)


def _seconds(trial: TrialRecord, failed: bool) -> list[float]:
    """What each step took; one that failed is taken to last as long as the step before it."""
    took = [measured.seconds for measured in trial.measurements]
    return took + (took[-1:] or [0.0]) * failed


def _figures(values: Sequence[Any]) -> np.ndarray | None:
    """A column as figures of shape ``(rows, steps)``; None where it holds something else."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if any(isinstance(value, (list, tuple)) for value in known):
        try:
            curves = [np.asarray([] if value is None else value, dtype=float) for value in values]
        except (TypeError, ValueError):
            return None
        padded = np.full((len(values), max(1, max(map(len, curves)))), np.nan)
        for row, curve in enumerate(curves):
            padded[row, : len(curve)] = curve
        return padded
    if not all(isinstance(value, (int, float)) for value in known):
        return None
    return np.array([[np.nan if value is None else float(value)] for value in values])
