"""A warm start in real searches: from a search or a file, kept in the journal, refused where nothing of it fits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from torch import nn

import raynas
from raynas.errors import SearchFolderError, SpecError, UserError
from raynas.evaluators.synthetic import Synthetic
from raynas.journal import History, read
from raynas.report.tables import write_parquet
from raynas.space import Choice, Space, op
from raynas.spec.settings import ResolvedSpec
from raynas.spec.warm_start import read_warm_start
from tests.engine.journals import check_journal
from tests.engine.test_search import quick, small

pytestmark = pytest.mark.usefixtures("ray_session")


def asked(source: Any, **more: Any) -> ResolvedSpec:
    settings = {
        "space": "small",
        "name": "s",
        "task": "digits",
        "metric": "score",
        "mode": "max",
        "epochs": 9,
        "seed": 0,
    }
    return ResolvedSpec(warm_start=str(source), **{**settings, **more})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> raynas.SearchResult:
    home = tmp_path_factory.mktemp("home")
    return quick(home, name="first", strategy="random", trials=10)


@pytest.mark.parametrize("strategy", ["evolution", "auto"])
def test_it_outlives_its_source_and_replays(tmp_path: Path, source: raynas.SearchResult, strategy: str) -> None:
    shutil.copytree(source.folder, tmp_path / "first")
    found = quick(tmp_path, strategy=strategy, warm_start="first", trials=6)
    shutil.rmtree(tmp_path / "first")
    assert "begins with 10 of 10 measurements of first" in found.history.sessions[0].started["explanation"]
    best = source.best
    assert best is not None
    assert (found.history.trials[1].trial_id, found.history.trials[1].strategy) == (best.trial_id, "warm start")
    known = {record.trial_id for record in source.history.trials.values()}
    assert not known & {record.trial_id for number, record in found.history.trials.items() if number > 1}
    more = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic(), trials=9)
    events = check_journal(more.folder / "journal.jsonl", small(), trials=9)
    assert min(History.from_events(events).for_searchers.trials) == -10
    assert more.best is not None
    assert more.best.number >= 0


def test_a_file_says_the_same_as_the_search(tmp_path: Path, source: raynas.SearchResult) -> None:
    path = tmp_path / "trials.parquet"
    write_parquet(source.report(), path)
    of_file, of_search = (
        read_warm_start(asked(reference), small(), source.folder.parent) for reference in (path, "first")
    )
    assert of_file is not None
    assert of_search is not None
    assert of_file["trials"] == of_search["trials"]
    found = quick(tmp_path, warm_start=str(path), trials=3)
    assert found.spec["warm_start"] == str(path)
    assert next(read(found.folder / "journal.jsonl"))["warm_start"]["trials"] == of_file["trials"]


def test_a_rung_is_a_share_of_the_budget(tmp_path: Path, source: raynas.SearchResult) -> None:
    found = read_warm_start(asked("first", epochs=27), small(), source.folder.parent)
    assert found is not None
    assert {(one["rung"], one["completed"]) for one in found["trials"]} == {(9, False), (27, True)}


def test_of_a_table_of_ones_own_what_fits_is_taken_and_equals_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    fits, other = '{"hidden.out_features": 9, "act": "relu"}', '{"hidden.out_features": 99, "act": "relu"}'
    rows = {"architecture": [fits, fits, other, fits], "score": [0.5, 0.7, 0.9, float("nan")]}
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    found = read_warm_start(asked(path), small(), tmp_path)
    assert found is not None
    assert (found["measurements"], found["fitting"]) == (3, 1 + 1)
    [one] = found["trials"]
    assert (one["metrics"], one["rung"], one["completed"]) == ({"score": pytest.approx(0.6)}, 9, True)


def test_mistakes_are_one_line_and_leave_nothing(tmp_path: Path, source: raynas.SearchResult) -> None:
    shutil.copytree(source.folder, tmp_path / "first")
    write_parquet(source.report(), tmp_path / "good.parquet")
    (tmp_path / "torn.parquet").write_text("no Parquet")
    wrong = {"columns": {"a": [1]}, "text": {"architecture": ["relu"], "score": [0.5]}}
    for name, columns in wrong.items():
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / f"{name}.parquet")
    cases: list[tuple[str, dict[str, Any], type[UserError], str]] = [
        ("firts", {}, SearchFolderError, "did you mean 'first'? (raynas list shows them); or give a Parquet file"),
        (str(tmp_path / "none.parquet"), {}, SpecError, "there is no such file"),
        (str(tmp_path / "torn.parquet"), {}, SpecError, "is no Parquet file"),
        (str(tmp_path / "columns.parquet"), {}, SpecError, "no column 'architecture'"),
        (str(tmp_path / "text.parquet"), {}, SpecError, "'relu' is not a JSON object"),
        ("first", {"metric": "loss"}, SpecError, "no value of metric 'loss'; it has: score"),
        (str(tmp_path / "good.parquet"), {"metric": "loss"}, SpecError, "no value of metric 'loss'; it has: "),
    ]
    for reference, more, kind, message in cases:
        with pytest.raises(kind) as raised:
            read_warm_start(asked(reference, **more), small(), tmp_path)
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)
    other = Space(flat=op(nn.Flatten), wide=op(nn.Linear, out_features=Choice(90, 99)), name="small")
    with pytest.raises(SpecError, match=r"none of its 10 architectures is of space '<small>' \(.*out_features"):
        quick(tmp_path, other, warm_start="first")
    assert not (tmp_path / "s").exists()
