"""Searches that release 0.1 began: they are read, resumed, exported and tracked as they were.

``release_0_1`` holds what that release wrote: searches on digits, on images, with files of a person's own, one with
finalists, one that was interrupted in the middle of a trial; and what its commands printed of them with ``--json``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import raynas
from raynas.cli.app import call
from raynas.journal import read

WRITTEN = Path(__file__).parent / "release_0_1"
#: The folder in which that release wrote, as its files name it.
THERE = "/tmp/raynas-earlier"
NAMES = ("digits", "images", "own", "finalists", "interrupted")


def copied(folder: Path) -> Path:
    """A home with the searches, as if they had been begun in ``folder``."""
    shutil.copytree(WRITTEN, folder, dirs_exist_ok=True)
    for file in folder.rglob("*"):
        if file.suffix in (".jsonl", ".yaml", ".json"):
            file.write_text(file.read_text().replace(THERE, str(folder)))
    return folder / "home"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what only reads."""
    return copied(tmp_path_factory.mktemp("read"))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> dict[str, raynas.SearchResult]:
    """Every search, gone on with."""
    home = copied(tmp_path_factory.mktemp("resumed"))
    more: dict[str, dict[str, Any]] = {"digits": {"trials": 7}, "images": {"trials": 3}, "own": {"trials": 5}}
    more |= {"finalists": {"trials": 5}, "interrupted": {"trials": 4}}
    return {name: raynas.resume(name, home=home, workers=1, **more[name]) for name in NAMES}


def lacking(told: Any, expected: Any, place: str = "") -> list[str]:
    """Where something is missing or another than was expected; keys may be added."""
    if isinstance(expected, dict) and isinstance(told, dict):
        missing = [f"{place}.{key} is missing" for key in expected.keys() - told.keys()]
        pairs = [(told[key], expected[key], f"{place}.{key}") for key in expected.keys() & told.keys()]
        return missing + [line for pair in pairs for line in lacking(*pair)]
    if isinstance(expected, list) and isinstance(told, list) and len(told) == len(expected):
        pairs = [(*pair, f"{place}[{number}]") for number, pair in enumerate(zip(told, expected, strict=True))]
        return [line for pair in pairs for line in lacking(*pair)]
    return [] if told == expected else [f"{place}: {told!r}, not {expected!r}"]


@pytest.mark.parametrize("command", ["status", "best", "show", "trials"])
def test_what_was_told_of_a_search_is_told_still(
    begun: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(begun))
    for name in NAMES:
        expected = json.loads((begun.parent / "expected" / f"{name}-{command}.json").read_text())
        assert call([command, name, *(["0"] if command == "show" else []), "--json"]) == 0
        assert lacking(json.loads(capsys.readouterr().out), expected, f"{name} {command}") == []


def test_searches_go_on_where_they_were(resumed: dict[str, raynas.SearchResult]) -> None:
    trials = {name: found.history.searched for name, found in resumed.items()}
    assert trials == {"digits": 7, "images": 3, "own": 5, "finalists": 5, "interrupted": 4}
    for name, found in resumed.items():
        assert found.status == "finished", name
        assert not found.history.counts["failed"], name
        assert found.history.sessions[-1].started["session"] == 1
        assert found.best is not None
        assert found.best.score is not None


def test_a_trial_under_way_goes_on_from_its_checkpoint(resumed: dict[str, raynas.SearchResult]) -> None:
    events = list(read(resumed["interrupted"].folder / "journal.jsonl"))
    again = next(number for number, event in enumerate(events) if event.get("session") == 1)
    before = {event["trial"]: event["step"] for event in events[:again] if event["event"] == "measured"}
    ended = {event["trial"] for event in events[:again] if event["event"] == "trial_ended"}
    (under_way,) = before.keys() - ended
    after = [event["step"] for event in events[again:] if event["event"] == "measured" and event["trial"] == under_way]
    assert after[0] == before[under_way] + 1
    assert after[-1] == 30


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_built_with_its_weights_and_exported(begun: Path, name: str, tmp_path: Path) -> None:
    found = raynas.load(name, begun)
    record = next(record for record in found.best_trials(20) if record.repeat_of is None)
    network = found.build()
    raynas.export_model(found, tmp_path / "model")
    exported = raynas.load_model(tmp_path / "model")
    shape = {"images": (2, 3, 8, 8), "own": (2, 2)}.get(name, (2, 1, 8, 8))
    inputs = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(inputs), exported(inputs))
    assert record.architecture


@pytest.mark.slow
def test_a_search_is_brought_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copied(tmp_path)
    monkeypatch.setenv("RAYNAS_HOME", str(home))
    store = f"sqlite:///{tmp_path}/mlflow.db"
    assert call(["sync", "finalists", "--tracking-uri", store]) == 0
    import mlflow

    client = mlflow.MlflowClient(store)
    (experiment,) = [each for each in client.search_experiments() if each.name != "Default"]
    assert len(client.search_runs([experiment.experiment_id])) == 1 + 4 + 2  # the search, its trials, the repeats
