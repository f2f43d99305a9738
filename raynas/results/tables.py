"""A search's trials as rows: for pandas, CSV, Parquet and notebooks.

A row holds what ``trial_summary`` says of a trial, its metrics and its holes. ``architecture`` (JSON) and
the metrics are columns that the simulator reads, so a search's trials are a table for ``raynas simulate``.
"""

from __future__ import annotations

import csv
import html
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.atomic_write import atomic_write
from raynas.errors import SearchFolderError

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from raynas.journal import TrialRecord
    from raynas.results.search_view import SearchView

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


def rows(result: SearchView) -> list[dict[str, Any]]:
    """One row a trial, in the order of their numbers; what a trial does not have is None.

    Metrics are those at the highest rung that a trial reached (``step``), as the search compares them. A metric or hole
    that is named like another column stands under ``metric.NAME`` or ``hole.PATH``.
    """
    history = result.history
    metrics: dict[str, str] = {}
    holes: dict[str, str] = {}
    for record in history.trials.values():
        for name in record.score[1] if record.score else ():
            metrics.setdefault(name, f"metric.{name}" if name in COLUMNS else name)
        for path in record.values:
            clash = path in COLUMNS or path in metrics
            holes.setdefault(path, f"hole.{path}" if clash else path)
    return [_row(result, record, metrics, holes) for record in history.trials.values()]


def _row(result: SearchView, record: TrialRecord, metrics: dict[str, str], holes: dict[str, str]) -> dict[str, Any]:
    step, measured = record.score if record.score else (None, {})
    row: dict[str, Any] = {
        "trial": record.number,
        "name": record.name,
        "state": record.state,
        "reason": record.reason,
        "strategy": record.strategy,
        "step": step,
        "value": measured.get(result.objective.metric),
        "steps": record.steps,
        "seconds": round(record.seconds, 3),
        "attempts": record.attempts,
        "repeat_of": record.repeat_of,
        "trial_id": record.trial_id,
        "network_id": record.network_id,
        "architecture": json.dumps(dict(record.values), ensure_ascii=False),
    }
    row |= {column: measured.get(name) for name, column in metrics.items()}
    return row | {column: record.values.get(path) for path, column in holes.items()}


def trials_frame(result: SearchView) -> pandas.DataFrame:
    """The rows as a DataFrame, indexed by the trial's number."""
    import pandas

    found = rows(result)
    columns = list(found[0]) if found else list(COLUMNS)
    frame = pandas.DataFrame(found, columns=columns).set_index("trial")
    whole = [name for name in frame if {type(row[name]) for row in found} == {int, type(None)}]
    return frame.astype(dict.fromkeys(whole, "Int64"))  # a depth of 2 beside a trial without it stays 2


def curves_frame(result: SearchView) -> pandas.DataFrame:
    """Every measurement: index (trial, step), a column a metric, ``seconds`` of the step."""
    import pandas

    measured = [
        {"trial": record.number, "step": one.step, **one.metrics, "seconds": one.seconds}
        for record in result.history.trials.values()
        for one in record.measurements
    ]
    columns = None if measured else ["trial", "step", "seconds"]
    return pandas.DataFrame(measured, columns=columns).set_index(["trial", "step"])


def write_csv(result: SearchView, path: Path | None) -> str:
    """The rows as CSV, into a file, and as text."""
    found = rows(result)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]) if found else list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in found)
    if path is not None:
        _write(path, text.getvalue().encode())
    return text.getvalue()


def write_parquet(result: SearchView, path: Path) -> None:
    """The rows as a Parquet file; a column that mixes kinds of values, or holds tuples, is JSON."""
    import pyarrow.parquet as parquet

    found = rows(result)
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


def steps_of(record: TrialRecord) -> str:
    """The steps at which a trial's value was measured and, where it was trained on since, how many it had."""
    at = record.score[0] if record.score else record.steps
    return str(at) if at == record.steps else f"{at} (of {record.steps})"


def as_html(result: SearchView, count: int = 10) -> str:
    """A search for a notebook: how it stands, and its best trials as a table."""
    metric, default = result.objective.metric, result.default
    best = result.best_trials(count)
    shown = [*best, *([default] if default is not None and default not in best and default.score else [])]
    columns = ("trial", metric, f"{result.history.step_name}s", "seconds", "architecture")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><td>{record.number}</td><td>{record.score[1][metric]:.4f}</td><td>{steps_of(record)}</td>"
        f"<td>{record.seconds:.1f}</td><td style='text-align:left'>{html.escape(record.title)}</td></tr>"
        for record in shown
        if record.score
    )
    trials = len(result.history.trials)
    words = f"<b>{html.escape(result.name)}</b> is {result.status}; {trials} trial{'' if trials == 1 else 's'}"
    words += f"; {html.escape(str(result.objective))}"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f"<div>{words}{table}</div>"
