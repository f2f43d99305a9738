"""``raynas evaluate``: the networks that a search kept, on images that it never saw; and a budget of time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from brightness import make_folder
from test_commands import documented, keys

import raynas
from raynas.cli.app import call
from raynas.errors import TaskError, UserError
from raynas.evaluators.synthetic import Synthetic
from raynas.report import documents
from raynas.report.search_report import TrialReport
from raynas.results.result import SearchResult
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.images import ImageClassification


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``mine`` and ``other`` images, and a search on the first, whose trials had half a second each."""
    folder = tmp_path_factory.mktemp("images")
    make_folder(folder / "mine", {"dark": 80, "bright": 180}, 60, seed=0, noise=40)
    make_folder(folder / "other", {"dark": 80, "bright": 180}, 30, seed=1, noise=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYNAS_CACHE", str(folder / "cache"))
        limits = {"trials": 3, "trial_time": 0.6, "epochs": 3, "workers": 1, "keep_best": 2}
        raynas.search(
            "resnet", data=str(folder / "mine"), name="photos", seed=1, home=folder / "runs", mlflow=False, **limits
        )
    return folder


def searched(folder: Path) -> SearchResult:
    return SearchResult(SearchFolder(folder / "runs", "photos"))


@pytest.fixture(autouse=True)
def _home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(folder / "runs"))
    monkeypatch.setenv("RAYNAS_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)


def test_a_budget_of_time_gives_every_network_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = searched(folder)
    assert found.spec["trial_time"] == 0.6
    assert [trial.state for trial in found.history.trials.values() if trial.steps == 3]
    for trial in found.history.trials.values():
        # Time in training alone; validation comes on top, and the batch under way is finished.
        trained = [len(found.curves.loc[trial.number]), trial.steps]
        assert trained[0] == trained[1] <= 3
        images = found.curves.loc[trial.number]["images_per_second"]
        assert (images > 0).all()
        assert trial.seconds >= 0.2 * trial.steps
    assert call(["trials", "photos"]) == 0
    assert "steps" in capsys.readouterr().out.splitlines()[0]


def test_a_budget_of_time_is_for_what_knows_time(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trial_time is a budget of time, which Synthetic does not know"):
        raynas.search("mlp", evaluator=Synthetic(), trial_time="5s", home=tmp_path)


def test_what_the_data_are_is_said_and_kept(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--trials", "1", "--epochs", "1", "--no-mlflow", "--workers", "1", "--name", "said"]
    assert call(["search", "resnet", "--data", "mine", *options]) == 0
    shown = capfd.readouterr().out
    assert (
        "data: 120 images in 2 classes (bright: 60, dark: 60), 10x10 grey; 24 to validate with (20% of each class)"
        in shown
    )
    assert "strategy: " in shown


def test_the_kept_networks_on_other_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["evaluate", "photos", "--data", "other", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = searched(folder)
    best = found.best
    assert best is not None
    assert [trial["trial"] for trial in document["trials"]][:1] == [best.number]
    assert len(document["trials"]) == 2
    of_a_trial = {f"trials[].{key}" for key in documents.trial(TrialReport.of(best, found.history))}
    printed = {key for key in keys(document) if ".per_class." not in key}
    assert printed == documented("raynas evaluate NAME --data PATH --json") | of_a_trial
    for trial in document["trials"]:
        there = trial["evaluated"]
        assert there["images"] == 60
        assert there["seen"] == 0
        assert there["low"] <= there["accuracy"] <= there["high"]
        assert set(there["per_class"]) == {"bright", "dark"}
    assert call(["evaluate", "photos", "--data", "other"]) == 0
    shown = capsys.readouterr().out
    assert "60 images of other" in shown
    assert f"{document['trials'][0]['evaluated']['accuracy']:.4f}" in shown
    assert "flatter" not in shown


def test_images_of_the_search_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = searched(folder)
    best = found.best
    assert best is not None
    there = found.evaluate(folder / "mine", best.number)[best.number]
    assert (there.images, there.seen) == (120, 120)
    assert call(["evaluate", "photos", "--data", "mine", "--trial", str(best.number)]) == 0
    assert "120 of these images are among those of the search" in capsys.readouterr().out


def test_a_task_handed_in_from_python(folder: Path, tmp_path: Path) -> None:
    task = ImageClassification(folder / "mine")
    limits = {"trials": 2, "epochs": 1, "workers": 1, "seed": 0, "mlflow": False}
    found = raynas.search("resnet", task=task, home=tmp_path, name="handed", **limits)
    assert [trial.state for trial in found.history.trials.values()] == ["completed", "completed"]
    more = raynas.resume("handed", trials=3, home=tmp_path, task=ImageClassification(folder / "mine"))
    assert [trial.state for trial in more.history.trials.values()][2] in ("completed", "stopped")
    with pytest.raises(UserError, match=r"hand it in again: raynas.resume\('handed', task=...\)"):
        more.evaluate(folder / "other")
    assert more.evaluate(folder / "other", 0, task=task)[0].images == 60


def test_a_class_that_was_never_taught(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "other", tmp_path / "strange")
    (tmp_path / "strange" / "dark").rename(tmp_path / "strange" / "grey")
    with pytest.raises(TaskError, match="class 'grey', which the network was never taught"):
        searched(folder).evaluate(tmp_path / "strange")
