"""Real searches by ``auto``, on digits and on CIFAR-10: killed without warning, resumed, every proposal recomputed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raynas.journal import History
from raynas.results.components import resumed_components
from raynas.results.result import SearchResult
from raynas.storage.search_folder import SearchFolder
from tests.engine.journals import check_journal
from tests.engine.processes import kill_twice
from tests.simulate.tables import data

pytestmark = pytest.mark.slow

TRIALS = 10


def words_for(images: str) -> tuple[str, ...]:
    """What is searched there, in trials of a few seconds."""
    if images == "digits":
        return ("--epochs", "3")
    return ("--data", str(data(f"{images}/train.parquet")), "--epochs", "3", "--trial-time", "3s")


@pytest.mark.parametrize("images", ["digits", "cifar10"])
def test_auto_goes_on_with_the_same_proposals(tmp_path: Path, images: str) -> None:
    rng, folder = random.Random(images), SearchFolder(tmp_path, "s")
    begin = ("search", "resnet", "--trials", str(TRIALS), "--name", "s", "--seed", "7", "--no-mlflow")
    kill_twice(tmp_path, (*begin, *words_for(images)), folder, lambda: rng.randint(5, 9))
    events = check_journal(folder.journal, resumed_components(SearchResult(folder)).space, trials=TRIALS)
    history = History.from_events(events)
    assert len(history.sessions) == 3
    assert history.counts["failed"] == 0
    assert any(trial.origin.get("kind") == "predictor" for trial in history.trials.values())
