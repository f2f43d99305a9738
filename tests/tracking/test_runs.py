"""The mapping from the journal's words to MLflow's."""

from __future__ import annotations

import json

import pytest
from tracking_support import JournalMaker

from raynas.journal import History, read
from raynas.journal.history import MeasurementRecord
from raynas.tracking import note, resolve_tracking_uri, runs
from raynas.tracking.batches import batches
from raynas.tracking.keys import OWN_METRICS, Keys, SearchKeys, clean_key
from raynas.tracking.uri import artifact_folder, sqlite_path


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
    assert clean_key(name) == key


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


def test_names_that_become_one_key_stay_apart_in_all_trials():
    """A name has one key in all trials, whatever else is measured with it; the objective's is the plain one."""
    keys = SearchKeys()
    keys.metrics("损失")
    first = [point.key for point in runs.points(MeasurementRecord(1, {"精度": 0.9, "损失": 0.3}, 1.0), keys.metrics)]
    second = [point.key for point in runs.points(MeasurementRecord(1, {"精度": 0.9}, 1.0), keys.metrics)]
    assert first == ["seconds", "___2", "__"]
    assert second == ["seconds", "___2"]
    assert keys.metrics.changed == {"__": "损失", "___2": "精度"}
    alone = [point.key for point in runs.points(MeasurementRecord(1, {"seconds": 1.0, "flops": 2.0}, 1.0))]
    assert alone == ["seconds", "seconds_2", "flops_2"]  # those of our own are ours
    assert Keys(OWN_METRICS)("flops") == "flops_2"
    paths = Keys()
    assert [runs.params({"a(1)": 1}, paths), runs.params({"a[1]": 2}, paths)] == [{"a_1_": "1"}, {"a_1__2": "2"}]
    assert runs.spec_params({"options": {"a[1]": 1, "a(1)": 2}}) == {"options.a_1_": "1", "options.a_1__2": "2"}


@pytest.mark.parametrize(
    ("params", "metrics", "tags", "value", "requests"),
    [
        (100, 900, 8, "x", 2),
        (250, 1_200, 120, "x", 5),
        (100, 0, 0, "字" * 6_000, 5),
        (0, 0, 3, "", 1),
        (0, 0, 0, "", 0),
    ],
)
def test_requests_keep_to_all_limits(params: int, metrics: int, tags: int, value: str, requests: int):
    """MLflow's own checks are the judges."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.validation import _validate_batch_log_api_req, _validate_batch_log_limits

    points = [runs.MetricPoint(f"m{number}", 0.5, 1_700_000_000_000, number) for number in range(metrics)]
    given = {f"p{n}": value for n in range(params)}, points, {f"t{n}": value for n in range(tags)}
    made = list(batches(*given))
    for batch in made:
        entities = (
            [Metric(*point) for point in batch.metrics],
            [Param(*pair) for pair in batch.params.items()],
            [RunTag(*pair) for pair in batch.tags.items()],
        )
        _validate_batch_log_limits(*entities)
        _validate_batch_log_api_req(json.dumps([[dict(entity) for entity in kind] for kind in entities]))
    assert len(made) == requests
    assert {key: text for batch in made for key, text in batch.params.items()} == given[0]
    assert [point for batch in made for point in batch.metrics] == points
    assert {key: text for batch in made for key, text in batch.tags.items()} == given[2]


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
