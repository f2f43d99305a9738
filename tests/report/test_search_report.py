"""A report is a plain value with every fact in it, and everything that is shown of a search draws from it alone."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import raynas
from raynas.cli.render import tables as terminal
from raynas.cli.render.finalist_training import finalist_training
from raynas.journal import read
from raynas.report import documents, notebook, tables
from raynas.report.search_report import SearchReport

#: Searches that release 0.1 wrote.
WRITTEN = Path(__file__).resolve().parents[1] / "earlier" / "release_0_1" / "home"


def searched(name: str, folder: Path) -> raynas.SearchResult:
    shutil.copytree(WRITTEN / name, folder / name)
    return raynas.load(name, folder)


@pytest.mark.parametrize("name", ["finalists", "interrupted"])
def test_its_facts_are_those_of_the_journal(name: str, tmp_path: Path) -> None:
    found = searched(name, tmp_path)
    report, events = found.report(), list(read(found.folder / "journal.jsonl"))
    proposed = [event for event in events if event["event"] == "trial_proposed"]
    ended = [event["trial"] for event in events if event["event"] == "trial_ended"]
    assert [trial.number for trial in report.trials] == [event["trial"] for event in proposed]
    assert [dict(trial.architecture) for trial in report.trials] == [event["architecture"] for event in proposed]
    for trial in report.trials:
        measured = [event for event in events if event["event"] == "measured" and event["trial"] == trial.number]
        assert [one.metrics for one in trial.curve] == [event["metrics"] for event in measured]
        rungs = [event for event in measured if event["rung"] is not None]
        if rungs:
            assert (trial.step, trial.metrics) == (rungs[-1]["step"], rungs[-1]["metrics"])
            assert trial.value == rungs[-1]["metrics"][report.objective.metric]
    assert list(report.ended) == ended
    counts = report.counts
    assert counts.total == counts.completed + counts.stopped + counts.failed + counts.open == len(proposed)
    assert counts.repeats == sum(event.get("repeat_of") is not None for event in proposed)
    assert (counts.running, counts.unfinished) == (0, len(proposed) - len(ended))
    order = [(trial.step, report.objective.sign * trial.value) for trial in report.ranking]
    assert order == sorted(order, reverse=True)
    assert len(order) == sum(trial.step is not None and trial.repeat_of is None for trial in report.trials)
    assert report.elapsed_seconds == pytest.approx(sum(one.seconds for one in found.history.sessions))


def test_what_finalists_and_recommendation_say(tmp_path: Path) -> None:
    report = searched("finalists", tmp_path).report()
    assert report.finalists
    for one in report.finalists:
        repeats = [report.trials[number] for number in one.repeats]
        assert [trial.repeat_of for trial in repeats] == [one.trial.number] * len(repeats)
        assert list(one.values) == [trial.value for trial in repeats]
        assert one.mean == pytest.approx(sum(one.values) / len(one.values))
    assert report.recommended is not None
    first = report.finalists[0]
    assert report.recommended.finalist is first
    assert report.recommended.trial.number in {first.trial.number, *first.repeats}


def shown(report: SearchReport, capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    """All that is drawn from a report."""
    capsys.readouterr()
    terminal.print_best(report, 3)
    terminal.print_list([report])
    written = [documents.status(report), documents.best(report, 3)]
    written += [documents.whole_trial(trial, []) for trial in report.trials]
    folder.mkdir()
    tables.write_parquet(report, folder / "trials.parquet")
    return [
        capsys.readouterr().out,
        documents.dumps(written),
        tables.write_csv(report, None),
        tables.trials_frame(report).to_json(),
        tables.curves_frame(report).to_json(),
        (folder / "trials.parquet").read_bytes().hex(),
        notebook.as_html(report),
        str(finalist_training(report)),
    ]


def test_it_is_all_that_renderers_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = searched("finalists", tmp_path)
    report = found.report()
    before = shown(report, capsys, tmp_path / "before")
    shutil.rmtree(found.folder)
    assert shown(pickle.loads(pickle.dumps(report)), capsys, tmp_path / "after") == before
    assert found.summary()["trials"] == json.loads(before[1])[0]["trials"]


def test_it_does_not_change(tmp_path: Path) -> None:
    found = searched("interrupted", tmp_path)
    report = found.report()
    with pytest.raises(FrozenInstanceError):
        report.name = "other"  # type: ignore[misc]
    before = replace(report)
    found.history.apply({"event": "session_started", "session": 9, "limits": {}, "workers": 1})
    found.history.apply({"event": "trial_started", "trial": next(iter(found.history.running)), "attempt": 7})
    assert report == before
    assert found.report() != before
