"""A mended file is said, and taken where no figure would be mixed with another: the driver's side, without Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import raynas
from raynas.cli.progress.lines import remarks
from raynas.engine import renewal
from raynas.engine.session import Session
from raynas.errors import SpecError
from raynas.journal import Writer
from raynas.results.components import resumed_components
from raynas.spec.components import make_rule, make_searcher
from raynas.spec.references import Source, keep_copy
from raynas.storage.search_folder import SearchFolder
from tests.engine.journals import a_search

TASK = "from raynas.tasks.digits import Digits\n\n\nclass Task(Digits):\n    mark = {!r}\n"


def of_a_file(home: Path, task: Path, state: str) -> SearchFolder:
    """A search of three trials, all in one state, whose task is a file."""
    folder = a_search(home, "s", trials=3, state=state)
    first, *rest = folder.journal.read_text().splitlines()
    event = json.loads(first)
    event["spec"]["task"] = event["task"]["reference"] = f"{task}:Task"
    folder.journal.write_text("\n".join([json.dumps(event), *rest, ""]))
    task.write_text(TASK.format("old"))
    keep_copy(Source("raynas.tasks", f"{task}:Task"), folder.source)
    return folder


def test_a_mended_task_is_taken_once_all_trials_have_failed(tmp_path: Path) -> None:
    task = tmp_path / "task.py"
    folder = of_a_file(tmp_path, task, "failed")
    result = raynas.load("s", tmp_path)
    assert (renewal.changed_files(result), resumed_components(result).task.mark) == ([], "old")
    task.write_text(TASK.format("mended"))
    assert (renewal.changed_files(result), resumed_components(result).task.mark) == ([task], "old")
    components = renewal.take(result, renewal.renewed_components(result))
    assert (renewal.changed_files(result), resumed_components(result).task.mark) == ([], "mended")

    spec, history = replace(result.spec, strategy="random"), result.history
    with Writer(folder.journal) as writer:
        session = Session(
            folder, number=1, space=components.space, searcher=make_searcher(spec, components.space, folder),
            rule=make_rule(spec, folder), objective=result.objective, strategy="random", history=history,
            writer=writer, trials=3, keep_best=3, cost=lambda architecture: {},
        )  # fmt: skip
        begun = {"pid": 1, "host": "here", "limits": {"trials": 3, "seconds": None}, "workers": 1, "changes": {}}
        files = {"changed": [str(task)], "taken": True}
        session.record("session_started", session=1, versions={}, files=files, void=renewal.voided(result), **begun)
        session.replay()
        while (trial := session.next_trial()) is not None:
            session.started(trial.number)
            session.measured(trial.number, 1, {"val_accuracy": 0.5}, 1.0)
        session.end(session.stop_reason or "")
    again = raynas.load("s", tmp_path)
    assert (again.status, again.reason) == ("finished", "trials")
    assert [trial.state for trial in again.history.trials.values()] == ["failed"] * 3 + ["completed"] * 3
    assert again.default is again.history.trials[3]
    assert again.default.title == "default: the hand-made network"
    assert remarks(again.history.sessions[-1].started) == [f"new files are taken: {task}"]


def test_new_files_are_refused_where_figures_would_be_mixed(tmp_path: Path) -> None:
    task = tmp_path / "task.py"
    of_a_file(tmp_path, task, "completed")
    task.write_text(TASK.format("mended"))
    with pytest.raises(SpecError, match="3 trials of search 's' were measured with its files as they were"):
        renewal.renewed_components(raynas.load("s", tmp_path))
