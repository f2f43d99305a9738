"""A search's trials as rows: for pandas, CSV and Parquet.

A row holds what is known of a trial, its metrics and its holes. ``architecture`` (JSON) and the metrics are columns
that the simulator reads, so a search's trials are a table for ``raynas simulate``.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.atomic_write import atomic_write
from raynas.errors import SearchFolderError

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from raynas.report.search_report import SearchReport, TrialReport

#: The columns that every search has, in order. Then come its metrics, and its holes under their paths.
COLUMNS = (
    "trial",
    "name",
    "state",
    "reason",
    "strategy",
    "step",
    "value",
    "steps",
    "seconds",
    "attempts",
    "repeat_of",
    "trial_id",
    "network_id",
    "architecture",
)


def rows(report: SearchReport) -> list[dict[str, Any]]:
    """One row a trial, in the order of their numbers; what a trial does not have is None.

    Metrics are those at the highest rung that a trial reached (``step``), as the search compares them. A metric or hole
    that is named like another column stands under ``metric.NAME`` or ``hole.PATH``.
    """
    metrics: dict[str, str] = {}
    holes: dict[str, str] = {}
    for trial in report.trials:
        for name in trial.metrics:
            metrics.setdefault(name, f"metric.{name}" if name in COLUMNS else name)
        for path in trial.architecture:
            clash = path in COLUMNS or path in metrics
            holes.setdefault(path, f"hole.{path}" if clash else path)
    return [_row(trial, metrics, holes) for trial in report.trials]


def _row(trial: TrialReport, metrics: dict[str, str], holes: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.number,
        "name": trial.name,
        "state": trial.state,
        "reason": trial.reason,
        "strategy": trial.strategy,
        "step": trial.step,
        "value": trial.value,
        "steps": trial.steps,
        "seconds": round(trial.seconds, 3),
        "attempts": trial.attempts,
        "repeat_of": trial.repeat_of,
        "trial_id": trial.trial_id,
        "network_id": trial.network_id,
        "architecture": json.dumps(dict(trial.architecture), ensure_ascii=False),
    }
    row |= {column: trial.metrics.get(name) for name, column in metrics.items()}
    return row | {column: trial.architecture.get(path) for path, column in holes.items()}


def trials_frame(report: SearchReport) -> pandas.DataFrame:
    """The rows as a DataFrame, indexed by the trial's number."""
    import pandas

    found = rows(report)
    columns = list(found[0]) if found else list(COLUMNS)
    frame = pandas.DataFrame(found, columns=columns).set_index("trial")
    whole = [name for name in frame if {type(row[name]) for row in found} == {int, type(None)}]
    return frame.astype(dict.fromkeys(whole, "Int64"))  # a depth of 2 beside a trial without it stays 2


def curves_frame(report: SearchReport) -> pandas.DataFrame:
    """Every measurement: index (trial, step), a column a metric, ``seconds`` of the step."""
    import pandas

    measured = [
        {"trial": trial.number, "step": one.step, **one.metrics, "seconds": one.seconds}
        for trial in report.trials
        for one in trial.curve
    ]
    columns = None if measured else ["trial", "step", "seconds"]
    return pandas.DataFrame(measured, columns=columns).set_index(["trial", "step"])


def write_csv(report: SearchReport, path: Path | None) -> str:
    """The rows as CSV, into a file, and as text."""
    found = rows(report)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]) if found else list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in found)
    if path is not None:
        _write(path, text.getvalue().encode())
    return text.getvalue()


def write_parquet(report: SearchReport, path: Path) -> None:
    """The rows as a Parquet file; a column that mixes kinds of values, or holds tuples, is JSON."""
    import pyarrow.parquet as parquet

    found = rows(report)
    names = list(found[0]) if found else list(COLUMNS)
    buffer = io.BytesIO()
    parquet.write_table(_table({name: [row[name] for row in found] for name in names}), buffer)
    _write(path, buffer.getvalue())


def _table(columns: dict[str, list[Any]]) -> pyarrow.Table:
    import pyarrow

    arrays = {}
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and float in kinds:
            values = [None if value is None else float(value) for value in values]
        elif len(kinds) > 1 or not kinds <= {bool, int, float, str}:
            values = [None if value is None else json.dumps(value) for value in values]
        arrays[name] = pyarrow.array(values) if kinds else pyarrow.nulls(len(values), pyarrow.string())
    return pyarrow.table(arrays)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | bool) else value


def _write(path: Path, content: bytes) -> None:
    try:
        atomic_write(path, content)
    except OSError as error:
        raise SearchFolderError(f"{path} cannot be written ({error.strerror}); give another file") from None
