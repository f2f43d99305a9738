"""ASHA by promotion on a small Ray: trials pause, are called, and end; the journal says so and a resume knows it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.evaluators.synthetic import Synthetic
from raynas.journal import History, read
from tests.engine.journals import check_journal
from tests.engine.test_search import small

pytestmark = pytest.mark.usefixtures("ray_session")

TRIALS = 12


def promoted(home: Path, **settings: Any) -> raynas.SearchResult:
    usual: dict[str, Any] = {"trials": TRIALS, "workers": 2, "seed": 1, "name": "s", "mlflow": False}
    usual |= {"scheduler": "asha_promotion", "strategy": "random", "grace_period": 1, "keep_best": 2}
    return raynas.search(small(), home=home, evaluator=Synthetic(), **{**usual, **settings})


def test_trials_pause_at_rungs_and_the_best_are_called_until_nobody_is_left_to_call(tmp_path: Path) -> None:
    found = promoted(tmp_path)
    assert (found.status, found.reason) == ("finished", "trials")
    events = check_journal(found.folder / "journal.jsonl", small(), trials=TRIALS)
    kinds = Counter(event["event"] for event in events)
    decisions = Counter(event["decision"] for event in events if event["event"] == "measured")
    ends = Counter((event["state"], event["reason"]) for event in events if event["event"] == "trial_ended")
    assert kinds["trial_started"] == TRIALS + kinds["trial_promoted"]
    assert decisions["pause"] == kinds["trial_promoted"] + ends["stopped", "early_stopped"]
    assert ends["completed", "budget"] >= 1
    assert sum(ends.values()) == TRIALS
    kept = {int(path.name) for path in (found.folder / "checkpoints").iterdir()}
    assert kept == {trial.number for trial in found.history.best(2)}


def test_paused_trials_wait_in_the_journal_for_the_next_session(tmp_path: Path) -> None:
    seen: list[Any] = []

    def interrupt(event: dict[str, Any]) -> None:
        if event.get("decision") == "pause":
            seen.append(event)
        if event.get("decision") == "pause" and len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    assert promoted(tmp_path, progress=interrupt).reason == "interrupted"
    journal = tmp_path / "s" / "journal.jsonl"
    before = History.from_events(read(journal))
    assert len(before.paused) >= 3
    assert before.running.keys() >= before.paused.keys()
    folders = {int(path.name) for path in (tmp_path / "s" / "checkpoints").iterdir()}
    assert before.paused.keys() <= folders
    found = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic())
    assert found.reason == "trials"
    check_journal(journal, small(), trials=TRIALS)
    assert not found.history.paused
