"""The mapping from the journal's words to MLflow's."""

from __future__ import annotations

import json

import pytest
from tracking_support import JournalMaker

from raynas.journal import History, read
from raynas.tracking import note, resolve_tracking_uri, runs
from raynas.tracking.uri import artifact_folder, public_uri, sqlite_path


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("stage1.0.kernel", "stage1.0.kernel"),
        ("a/b c:d-e_f", "a/b c:d-e_f"),
        ("größe[2]", "gr__e_2_"),
        ("a//b/", "a/b"),
        ("..", "_"),
        ("", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_keys(name: str, key: str):
    assert runs.clean_key(name) == key


def test_values_that_differ_stay_apart():
    assert [runs.value_text(value) for value in (0, 0.0, False, None, "relu", [3, 5], "")] == [
        "0",
        "0.0",
        "false",
        "null",
        "relu",
        "[3, 5]",
        "",
    ]


def test_paths_that_become_one_key_stay_apart():
    assert runs.params({"a[1]": 1, "a(1)": 2, "a_1_": 3}) == {"a_1_": "1", "a_1__2": "2", "a_1__3": "3"}


def test_settings_of_a_search():
    spec = {"space": "resnet", "strategy_options": {"population": 10, "x": None}, "time": None, "seed": 0}
    assert runs.spec_params(spec) == {"space": "resnet", "strategy_options.population": "10", "seed": "0"}


@pytest.mark.parametrize(
    ("reason", "live", "status"),
    [
        (None, True, "RUNNING"),
        (None, False, "KILLED"),
        ("trials", False, "FINISHED"),
        ("time", False, "FINISHED"),
        ("exhausted", False, "FINISHED"),
        ("interrupted", False, "KILLED"),
        ("all_failed", False, "FAILED"),
        ("error", False, "FAILED"),
    ],
)
def test_status_of_a_search(reason: str | None, live: bool, status: str):
    assert runs.search_status(reason, live) == status


@pytest.mark.parametrize(("mode", "ascending"), [("max", False), ("min", True)])
def test_the_saved_view(tmp_path, mode: str, ascending: bool):
    folder = JournalMaker(tmp_path / "view", mode=mode).whole(5).folder
    history = History.from_events(read(folder / "journal.jsonl"))
    envelope = json.loads(note.saved_view(history))
    view = json.loads(envelope["state"])
    assert view["orderByKey"] == "metrics.`score`"
    assert view["orderByAsc"] is ascending
    assert view["selectedColumns"][:3] == ["metrics.`score`", "metrics.`parameters`", "tags.`raynas.state`"]
    assert "params.`stage1.depth`" in view["selectedColumns"]
    assert view.items() <= envelope.items()  # older releases read the bare state
    assert len(note.saved_view(history)) < 20_000


def test_the_description_of_a_search(tmp_path):
    folder = JournalMaker(tmp_path / "told").whole(8).folder
    text = note.description(History.from_events(read(folder / "journal.jsonl")), folder, live=False)
    assert "Search **told**: space `resnet` (about 10^14 architectures)" in text
    assert "| trial " in text
    assert f"export RAYNAS_HOME={tmp_path}" in text
    assert "raynas resume told" in text


def test_addresses(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert resolve_tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    odd = tmp_path / "50%41?" / "mlflow.db"
    assert resolve_tracking_uri(odd.parent) == f"sqlite+pysqlite:///{tmp_path}/50%2541%3F/mlflow.db"
    assert sqlite_path(resolve_tracking_uri(odd.parent)) == odd
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_tracking_uri(tmp_path) == "http://server:5000"
    assert resolve_tracking_uri(tmp_path, "http://other") == "http://other"
    assert artifact_folder("http://other") is None
    assert artifact_folder(f"sqlite:///{tmp_path}/mlflow.db") == tmp_path / "mlartifacts"
    assert public_uri("postgresql://me:secret@host/db") == "postgresql://***@host/db"
