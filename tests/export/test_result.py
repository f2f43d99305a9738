"""What Python sees of a search: DataFrames, curves, and a table in notebooks."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as parquet

import raynas
from raynas.report import tables


def test_trials(search: raynas.SearchResult) -> None:
    table = search.trials
    assert list(table.index) == [0, 1, 2]
    assert list(table.columns[:6]) == ["name", "state", "reason", "strategy", "step", "value"]
    for number, record in search.history.trials.items():
        assert table.loc[number, "val_accuracy"] == search.history.value(record)
        assert json.loads(table.loc[number, "architecture"]) == record.architecture.to_json()
        assert table.loc[number, "stage1.depth"] == record.values["stage1.depth"]
    assert table["value"].max() == search.history.value(search.best)  # type: ignore[arg-type]


def test_curves(search: raynas.SearchResult) -> None:
    curves = search.curves
    assert list(curves.index) == [(0, 1), (1, 1), (2, 1)]
    measured = search.history.trials[2].measurements[0]
    assert curves.loc[(2, 1), "val_loss"] == measured.metrics["val_loss"]
    assert curves.loc[(2, 1), "seconds"] == measured.seconds


def test_html(search: raynas.SearchResult) -> None:
    shown = search._repr_html_()
    assert "<b>first</b> is finished; 3 trials; val_accuracy, larger is better" in shown
    assert shown.count("<tr>") == 4
    assert f"{search.history.value(search.best):.4f}" in shown  # type: ignore[arg-type]


def test_files_hold_what_the_frame_holds(search: raynas.SearchResult, tmp_path: Path) -> None:
    rows = tables.rows(search.report())
    text = tables.write_csv(search.report(), tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text() == text
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["trial_id"] for row in read] == [row["trial_id"] for row in rows]
    assert [float(row["val_loss"]) for row in read] == [row["val_loss"] for row in rows]
    tables.write_parquet(search.report(), tmp_path / "trials.parquet")
    table = parquet.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [row["val_loss"] for row in table] == [row["val_loss"] for row in rows]
    assert [row["stage1.depth"] for row in table] == [row["stage1.depth"] for row in rows]
    assert not list(tmp_path.glob(".*"))


def test_columns_of_mixed_values(tmp_path: Path) -> None:
    table = tables._table({"a": [1, "x", None], "b": [(1, 2), None, (3,)], "c": [1, 2.5, None], "d": [None] * 3})
    assert table.to_pydict() == {
        "a": ["1", '"x"', None],
        "b": ["[1, 2]", None, "[3]"],
        "c": [1.0, 2.5, None],
        "d": [None] * 3,
    }
