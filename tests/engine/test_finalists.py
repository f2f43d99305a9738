"""Finalists in real searches on one small Ray: trained again on top of the trials, resumed, reported, weights kept."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import raynas
from raynas.errors import SpecError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.journal import History, read
from raynas.journal.finalists import finalists
from raynas.space import Architecture, Space
from tests.engine.journals import check_journal
from tests.engine.test_search import small

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"

pytestmark = pytest.mark.usefixtures("ray_session")


def noisy() -> Synthetic:
    """What is measured depends on the trial's seed, as in training.

    Made in a function, since Ray's workers cannot import a test's module.
    """

    class Noisy(Synthetic):
        def start(self, space: Space, architecture: Architecture, context: TrialContext) -> SyntheticEvaluation:
            evaluation = super().start(space, architecture, context)
            evaluation.quality += random.Random(context.seed).gauss(0, 0.1)
            return evaluation

    return Noisy()


def search(home: Path, **settings: Any) -> raynas.SearchResult:
    usual: dict[str, Any] = {"trials": 7, "workers": 2, "seed": 1, "name": "s", "mlflow": False}
    usual |= {"strategy": "evolution", "scheduler": "asha"}
    return raynas.search(small(), home=home, evaluator=noisy(), **{**usual, **settings})


def resume(home: Path, **settings: Any) -> raynas.SearchResult:
    return raynas.resume("s", home=home, space=small(), evaluator=noisy(), **settings)


def test_finalists_come_on_top_of_the_trials_with_the_full_budget_and_other_seeds(tmp_path: Path) -> None:
    found = search(tmp_path, finalists=2, repeats=3, keep_best=2)
    assert (found.status, found.reason) == ("finished", "trials")
    check_journal(found.folder / "journal.jsonl", small(), trials=13)
    history = found.history
    assert history.repeats == set(range(7, 13))
    assert {history.trials[number].state for number in history.repeats} == {"completed"}
    assert history.counts["stopped"] > 0
    assert found.spec["repeats"] == 3
    first, second = found.finalists
    assert first.mean > second.mean
    assert len(set(first.values)) == 3
    assert first.interval is not None
    assert first.interval[0] < first.mean < first.interval[1]
    assert found.best is not None
    assert found.best.number < 7
    recommended = found.recommended
    assert recommended is not None
    assert (recommended.by, recommended.finalist) == ("finalists", first)
    kept = {int(path.name) for path in (found.folder / "checkpoints").iterdir()}
    assert kept >= {recommended.trial.number, *(record.number for record in found.best_trials(2))}
    assert len(kept) == 4
    summary = found.summary()
    section = PAGE.read_text(encoding="utf-8").split("## Recommendations")[1].split("\n## ")[0]
    assert summary["recommended"]["trial"]["trial"] == recommended.trial.number
    assert summary["recommended"]["trial"]["network_id"] == first.original.network_id
    recommendation, finalist = re.findall(r"(?:^\| .*\n)+", section, re.MULTILINE)
    assert set(re.findall(r"^\| `(\w+)`", recommendation, re.MULTILINE)) == set(summary["recommended"])
    assert set(re.findall(r"^\| `(\w+)`", finalist, re.MULTILINE)) == set(summary["recommended"]["finalist"])
    assert (summary["trials"]["total"], summary["trials"]["repeats"], summary["trials"]["limit"]) == (13, 6, 7)
    assert len(found.trials["repeat_of"].dropna()) == 6


def test_a_finished_search_gets_finalists_and_then_more_trials(tmp_path: Path) -> None:
    begun = search(tmp_path, workers=1)
    assert (begun.finalists, begun.recommended) == ([], None)
    again = resume(tmp_path, finalists=1)
    assert (again.history.searched, len(again.history.repeats), again.spec["repeats"]) == (7, 3, 3)
    assert len(resume(tmp_path).history.sessions) == 2, "nothing was left to do"
    more = resume(tmp_path, finalists=2, repeats=4)
    assert len(more.history.repeats) == 8
    last = resume(tmp_path, trials=9)
    assert last.history.searched == 9
    events = check_journal(last.folder / "journal.jsonl", small(), trials=len(last.history.trials))
    assert [event["limits"]["trials"] for event in events if event["event"] == "session_started"] == [7, 7, 7, 9]
    proposed = [event for event in events if event["event"] == "trial_proposed"]
    assert [event["trial"] for event in proposed if "repeat_of" not in event][-2:] == [15, 16]


def test_paused_trials_end_before_finalists_begin(tmp_path: Path) -> None:
    found = search(tmp_path, scheduler="asha_promotion", grace_period=1, finalists=2, repeats=2)
    assert (found.status, found.history.searched, len(found.history.repeats)) == ("finished", 7, 4)
    events = check_journal(found.folder / "journal.jsonl", small(), trials=11)
    repeats = [place for place, event in enumerate(events) if event.get("repeat_of") is not None]
    searched = [place for place, event in enumerate(events) if event["event"] == "trial_ended" and event["trial"] < 7]
    assert max(searched) < min(repeats)
    assert {found.history.trials[number].state for number in found.history.repeats} == {"completed"}
    assert not any(event.get("decision") == "pause" for event in events[min(repeats) :])


def test_a_space_that_is_exhausted_has_finalists_too(tmp_path: Path) -> None:
    found = raynas.search(
        small(2), home=tmp_path, evaluator=noisy(), name="s", seed=1, workers=2, trials=30, mlflow=False,
        finalists=2, repeats=1,
    )  # fmt: skip
    assert (found.reason, found.history.searched, len(found.history.repeats)) == ("exhausted", 4, 2)
    assert [one.interval for one in found.finalists] == [None, None]


def test_what_the_strategy_recommends_is_journalled_and_its_weights_are_kept(tmp_path: Path) -> None:
    found = search(tmp_path, strategy="predictor", trials=14, keep_best=1, scheduler="none", workers=1)
    recommended = found.recommended
    assert recommended is not None
    assert recommended.by == "posterior"
    assert found.history.sessions[-1].recommended == {"trial": recommended.trial.number}
    kept = {int(path.name) for path in (found.folder / "checkpoints").iterdir()}
    assert found.best is not None
    assert kept == {recommended.trial.number, found.best.number}
    check_journal(found.folder / "journal.jsonl", small(), trials=14)


def test_the_report_names_finalists_and_what_is_recommended(tmp_path: Path) -> None:
    from raynas.cli.render import winner

    found = search(tmp_path, finalists=2, repeats=2)
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    winner.print_finalists(console, found.report())
    winner.print_recommendation(console, found.report())
    text = console.export_text()
    for one in found.finalists:
        assert f"trial {one.original.number}" in text
        assert f"{one.mean:.4f}" in text
    assert "recommended: trial" in text
    assert "raynas export s --trial" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeats": 3}, "repeats 3 repeats nothing; say of how many networks: --finalists"),
        ({"finalists": 3, "trials": None, "seconds": 5}, "finalists 3 are trained after the last trial"),
        ({"finalists": -1}, "finalists -1 is too small"),
        ({"finalists": 2, "repeats": 0}, "repeats 0 is too small; give 1 or more"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        search(tmp_path, **settings)
    assert message in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_journal_reads_back_the_same_finalists(tmp_path: Path) -> None:
    found = search(tmp_path, finalists=1, repeats=2)
    again = History.from_events(read(found.folder / "journal.jsonl"))
    assert [(one.original.number, one.values) for one in finalists(again)] == [
        (one.original.number, one.values) for one in found.finalists
    ]
