"""Searches in this process on one small Ray: begin, end, resume, refuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import raynas
from raynas import api
from raynas.cli.app import call
from raynas.errors import JournalError, SearchFolderError, SpaceError, SpecError, UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.journal import read
from raynas.space import Architecture, Choice, Space, op
from raynas.storage import own_entries
from raynas.storage.search_folder import FolderLock, SearchFolder
from tests.engine.journals import check_journal, outcome
from tests.tracking.tracking_support import server_that_answers

pytestmark = pytest.mark.usefixtures("ray_session")


def small(sizes: int = 30) -> Space:
    return Space(
        flat=op(nn.Flatten),
        hidden=op(nn.Linear, out_features=Choice(*range(8, 8 + sizes))),
        act=Choice(op(nn.ReLU), op(nn.SiLU)),
        head=op(nn.Linear, out_features=10),
        name="small",
    )


def quick(home: Path, space: Any = None, **settings: Any) -> raynas.SearchResult:
    usual: dict[str, Any] = {"trials": 8, "workers": 1, "seed": 1, "name": "s", "mlflow": False}
    return raynas.search(space or small(), home=home, evaluator=Synthetic(), **{**usual, **settings})


def test_trial_0_is_the_default_and_each_fact_is_in_the_journal(tmp_path: Path) -> None:
    space = small()
    found = quick(tmp_path, space, workers=2)
    assert (found.status, found.reason) == ("finished", "trials")
    assert found.default is not None
    assert found.default.architecture == space.default()
    assert found.best is not None
    assert found.best.score is not None
    check_journal(found.folder / "journal.jsonl", space, trials=8)
    assert "best trial" in repr(found)
    assert json.loads(json.dumps(found.summary()))["trials"]["total"] == 8


def mortal(home: Path, lives: int) -> Synthetic:
    """Its workers die, so often in all, as they let go of one trial to take the next in hand.

    Made in a function, since Ray's workers cannot import a test's module.
    """
    for life in range(lives):
        (home / f"life-{life}").touch()

    class Last(SyntheticEvaluation):
        def __del__(self) -> None:
            for life in home.glob("life-*"):
                life.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

    class Mortal(Synthetic):
        def start(self, space: Space, architecture: Architecture, context: TrialContext) -> SyntheticEvaluation:
            return Last(space.trial_id(architecture), context.max_steps, self.step_seconds)

    return Mortal()


@pytest.mark.parametrize(("workers", "trials"), [(1, 2), (2, 6)])
def test_a_worker_that_is_lost_between_two_trials_is_not_the_next_ones_fault(
    tmp_path: Path, workers: int, trials: int
) -> None:
    found = raynas.search(
        small(), home=tmp_path, evaluator=mortal(tmp_path, 2), workers=workers, trials=trials, seed=1, name="s",
        scheduler="none", mlflow=False,
    )  # fmt: skip
    assert not list(tmp_path.glob("life-*"))
    check_journal(found.folder / "journal.jsonl", small(), trials=trials)
    assert [trial.state for trial in found.history.trials.values()] == ["completed"] * trials


def test_with_one_worker_a_search_is_the_same_each_time(tmp_path: Path) -> None:
    outcomes = []
    for name in ("a", "b"):
        found = quick(tmp_path, name=name, workers=1)
        outcomes.append(outcome(list(read(found.folder / "journal.jsonl"))))
    assert outcomes[0] == outcomes[1]


def test_a_finished_search_of_an_earlier_release_goes_on_with_more_trials_and_with_its_own_ids(tmp_path: Path) -> None:
    space = Space(
        flat=op(nn.Flatten),
        hidden=op(nn.Linear, out_features=Choice(*range(8, 38))),
        drop=op(nn.Dropout, Choice(0.0, 0.1)),
        head=nn.Identity,
    )
    before = space.with_id_rule(1)
    assert space.trial_id(space.default()) != before.trial_id(space.default())
    first = quick(tmp_path, before, workers=1)
    journal = first.folder / "journal.jsonl"
    begun, *events = journal.read_text().splitlines()
    started = json.loads(begun)
    assert started["space"].pop("id_rule") == 1
    journal.write_text("\n".join([json.dumps(started), *events, ""]))  # as that release wrote it
    same = raynas.resume("s", home=tmp_path, space=space, evaluator=Synthetic())
    assert len(same.history.sessions) == 1, "nothing was left to do"
    more = raynas.resume("s", home=tmp_path, space=space, evaluator=Synthetic(), trials=12)
    assert [trial.trial_id for trial in more.history.trials.values()][:8] == [
        trial.trial_id for trial in first.history.trials.values()
    ]
    check_journal(journal, before, trials=12)
    assert more.spec["trials"] == 12
    assert raynas.load("s", tmp_path).spec["trials"] == 12
    started["space"]["id_rule"] = 99
    journal.write_text("\n".join([json.dumps(started), *events, ""]))
    with pytest.raises(SpaceError, match="ids by rule 99 are of another release"):
        raynas.resume("s", home=tmp_path, space=space, evaluator=Synthetic(), trials=20)


def test_a_small_space_is_searched_whole_and_the_end_says_so(tmp_path: Path) -> None:
    found = quick(tmp_path, small(3), trials=50, workers=2)
    assert (found.status, found.reason) == ("finished", "exhausted")
    assert len(found.history.trials) == 6
    again = raynas.resume("s", home=tmp_path, space=small(3), evaluator=Synthetic(), trials=60)
    assert len(again.history.sessions) == 1


def test_the_best_trials_weights_stay_and_no_others(tmp_path: Path) -> None:
    found = quick(tmp_path, keep_best=2, strategy="evolution")
    kept = {int(path.name) for path in (found.folder / "checkpoints").iterdir()}
    assert kept == {trial.number for trial in found.best_trials(2)}
    assert found.recommended is None


def test_an_edited_space_is_refused_and_shows_what_changed(tmp_path: Path) -> None:
    quick(tmp_path)
    with pytest.raises(SpaceError, match=r"has changed since it was begun.*hidden\.out_features"):
        raynas.resume("s", home=tmp_path, space=small(31), evaluator=Synthetic(), trials=20)


def test_an_object_that_was_not_kept_has_to_be_handed_in_again(tmp_path: Path) -> None:
    quick(tmp_path)
    with pytest.raises(SpecError, match=r"raynas\.resume\('s', space=\.\.\.\)"):
        raynas.resume("s", home=tmp_path, trials=20)


OWN_FILES = {
    "net/blocks.py": """
from torch import nn

class Mine(nn.Module):
    def __init__(self, in_features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x):
        return self.layers(x)
""",
    "net/model.py": """
from torch import nn
from raynas.space import Choice, Space, op
from .blocks import Mine

def space(task):
    return Space(flat=op(nn.Flatten), mine=op(Mine, width=Choice(8, 16, 24)))
""",
    "tasks/model.py": """
from raynas.tasks.digits import Digits

class Task(Digits):
    default_epochs = 1
""",
}


def test_files_are_searched_from_their_copies(tmp_path: Path) -> None:
    """Two of one name, and one with a relative import; in a folder whose name has to be quoted in addresses."""
    code, home = tmp_path / "code", tmp_path / "my runs #1 50%41?"
    for name, text in OWN_FILES.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    settings: dict[str, Any] = {"home": home, "name": "s", "workers": 1, "mlflow": False}
    references = {"space": f"{code}/net/model.py:space", "task": f"{code}/tasks/model.py:Task"}
    found = raynas.search(**references, strategy="random", trials=2, **settings)
    assert [trial.state for trial in found.history.trials.values()] == ["completed"] * 2
    copies = {path.parent.name + "/" + path.name: path.read_text() for path in found.folder.glob("source/**/*.py")}
    assert sorted(copies.values()) == sorted(OWN_FILES.values())
    shutil.rmtree(code)
    more = raynas.resume("s", home=home, trials=3)
    assert [trial.state for trial in more.history.trials.values()] == ["completed"] * 3
    assert more.build(0).mine.layers[0].out_features in (8, 16, 24)


MENDED_TASK = """
import os
from raynas.tasks.digits import Digits

class Task(Digits):
    default_epochs = 1
    measured = 0

    def metrics(self, outputs, targets):
        Task.measured += 1
        if {broken} and os.getpid() != {driver}:
            raise ValueError("no such column")
        return super().metrics(outputs, targets)
"""


def test_a_mended_task_is_taken_once_all_trials_have_failed(tmp_path: Path) -> None:
    path = tmp_path / "code" / "task.py"
    path.parent.mkdir()
    # The checks before the search pass: its first measurement in a process does.
    path.write_text(MENDED_TASK.format(broken="Task.measured > 1", driver=os.getpid()))
    settings: dict[str, Any] = {"home": tmp_path, "name": "s", "workers": 1, "mlflow": False, "scheduler": "none"}
    found = raynas.search("mlp", task=f"{path}:Task", trials=3, epochs=2, seed=1, **settings)
    assert (found.status, found.reason, found.history.counts["failed"]) == ("failed", "all_failed", 3)
    assert "the first 3 trials all failed; trial 0 with ValueError: no such column" in found.message

    path.write_text(MENDED_TASK.format(broken=False, driver=0))
    same = raynas.resume("s", home=tmp_path)
    assert (len(same.history.sessions), same.status, same.changed_files) == (1, "failed", (path,))
    mended = raynas.resume("s", home=tmp_path, take_new_files=True)
    assert (mended.status, mended.reason, mended.changed_files) == ("finished", "trials", ())
    started = mended.history.sessions[-1].started
    assert (started["files"], started["void"]) == ({"changed": [str(path)], "taken": True}, [0, 1, 2])
    states = [trial.state for trial in mended.history.trials.values()]
    assert states == ["failed"] * 3 + ["completed"] * 3
    first = mended.history.trials[3]
    assert first is mended.default
    assert (first.trial_id, first.title) == (found.history.trials[0].trial_id, "default: the hand-made network")
    assert raynas.load("s", tmp_path).best is not None
    more = raynas.resume("s", home=tmp_path, trials=4)
    assert [trial.state for trial in more.history.trials.values()] == [*states, "completed"]

    path.write_text(MENDED_TASK.format(broken="False and False", driver=0))
    with pytest.raises(SpecError, match="4 trials of search 's' were measured with its files"):
        raynas.resume("s", home=tmp_path, trials=6, take_new_files=True)
    kept = raynas.resume("s", home=tmp_path, trials=5)
    assert kept.history.sessions[-1].started["files"] == {"changed": [str(path)], "taken": False}


def test_a_strategy_of_ones_own_is_kept_with_the_search(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from raynas.searchers.random import RandomSearcher\n\n\nclass Mine(RandomSearcher):\n    pass\n")
    found = quick(tmp_path / "home", strategy=f"{path}:Mine")
    path.unlink()
    more = raynas.resume("s", home=tmp_path / "home", space=small(), evaluator=Synthetic(), trials=10)
    assert len(more.history.ended) == 10
    assert found.spec["strategy"] == f"{path}:Mine"


def test_names_and_folders(tmp_path: Path) -> None:
    quick(tmp_path)
    with pytest.raises(SearchFolderError, match=r"search 's' exists .* raynas resume s"):
        quick(tmp_path)
    (tmp_path / "tt").mkdir()
    (tmp_path / "tt" / "journal.jsonl").write_bytes((tmp_path / "s" / "journal.jsonl").read_bytes())
    with pytest.raises(SearchFolderError, match=r"'ttt' not found .*did you mean 'tt'"):
        raynas.load("ttt", tmp_path)
    with pytest.raises(SearchFolderError, match="cannot be a folder's name"):
        quick(tmp_path, name="../s")
    with pytest.raises(SearchFolderError, match="not running"):
        api.stop("s", tmp_path)
    with FolderLock(SearchFolder(tmp_path, "s")), pytest.raises(SearchFolderError, match="is being run by process"):
        raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic(), trials=20)
    assert [found.name for found in raynas.listing(tmp_path)] == ["s", "tt"]
    assert own_entries.foreign(tmp_path / "s") == []


def test_what_cannot_begin_takes_nothing_with_it(tmp_path: Path) -> None:
    """No room for the workers: that is known once Ray is there, after the folder was made."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious.txt").write_text("mine")
    with pytest.raises(SearchFolderError, match="is no search, so it is left alone"):
        quick(tmp_path, name="data", workers=64)
    assert (tmp_path / "data" / "precious.txt").read_text() == "mine"
    with pytest.raises(UserError, match="lower --workers"):
        quick(tmp_path, workers=64)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_stop_while_a_resume_is_set_up_ends_it_before_its_first_trial(tmp_path: Path) -> None:
    folder = quick(tmp_path, trials=2).folder

    def asked_to_stop(task: Any) -> Space:
        (folder / "stop").write_text("asked by another process\n")
        return small()

    stopped = raynas.resume("s", home=tmp_path, space=asked_to_stop, evaluator=Synthetic(), trials=6)
    assert (stopped.status, stopped.reason, len(stopped.history.trials)) == ("interrupted", "interrupted", 2)
    assert not (folder / "stop").exists()
    (folder / "stop").touch()  # left by a stop that came too late
    more = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic())
    assert (more.reason, len(more.history.ended)) == ("trials", 6)


def test_a_search_that_was_killed_before_it_wrote_its_end_gets_one(tmp_path: Path) -> None:
    journal = quick(tmp_path, trials=2).folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b"session_ended" in lines[-1]
    journal.write_bytes(b"".join(lines[:-1]))
    killed = raynas.load("s", tmp_path)
    assert (killed.status, killed.reason) == ("interrupted", None)
    ended = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic())
    assert (ended.status, ended.reason, len(ended.history.trials)) == ("finished", "trials", 2)
    again = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic())
    assert len(again.history.sessions) == 2, "there is nothing left to do now"


def test_a_resume_without_finalists(tmp_path: Path) -> None:
    quick(tmp_path, trials=3, finalists=1, repeats=1)
    more = raynas.resume("s", home=tmp_path, space=small(), evaluator=Synthetic(), trials=5, finalists=0)
    assert (len(more.history.trials), len(more.history.repeats)) == (6, 1)
    assert (more.spec["finalists"], more.spec["repeats"]) == (0, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "evolutoin"}, "strategy 'evolutoin' not found; did you mean 'evolution'?"),
        ({"scheduler": "ashas"}, "scheduler 'ashas' not found; did you mean 'asha'?"),
        ({"task": "digit"}, "task 'digit' not found; did you mean 'digits'?"),
        ({"trials": 0}, "trials 0 is too small; give 1 or more"),
        ({"seconds": 0}, "leaves nothing to search in"),
        ({"grace_period": 99, "epochs": 3}, "grace period 99 is not between 1 and the budget of 3 steps"),
        ({"strategy_options": {"size": 3}}, "does not take these options"),
        ({"strategy": "evolution", "strategy_options": {"population": 0}}, "population"),
        ({"trails": 3}, "field 'trails' is unknown; did you mean 'trials'?"),
        ({"workers": 64}, "lower --workers"),
        ({"cpus_per_trial": 64, "workers": None}, "which no machine here has"),
        ({"device": "tpu"}, "device 'tpu' is none of"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        quick(tmp_path, **{"strategy": "evolution", **settings})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "s" / "journal.jsonl").exists()


def test_a_metric_that_nobody_measures_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"metric 'accuracy' is not measured; did you mean 'val_accuracy'\?"):
        raynas.search("mlp", metric="accuracy", home=tmp_path, name="s", mlflow=False)
    assert not (tmp_path / "s").exists()


def test_a_plan_measures_and_writes_nothing(tmp_path: Path) -> None:
    plan = api.plan("mlp", trials=9, epochs=9, workers=1, home=tmp_path, scheduler="asha", grace_period=1)
    assert plan.trials == 9
    assert plan.limit == "trials"
    assert plan.steps_per_trial == pytest.approx(1 + 2 / 3 + 6 / 9)
    assert plan.seconds == pytest.approx(9 * plan.steps_per_trial * plan.step_seconds)
    assert not list(tmp_path.iterdir())


def test_a_file_that_holds_something_else_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text("number = 3\n\n\nclass Foo:\n    pass\n\n\ndef broken():\n    raise ValueError('no data')\n")
    for settings, message in (
        ({"strategy": f"{path}:Foo"}, "is no strategy: a class with a method 'propose' is needed"),
        ({"scheduler": f"{path}:Foo"}, "is no scheduler: a class with a method 'record' is needed"),
        ({"task": f"{path}:number"}, "is a int; a raynas.tasks.task.Task is needed"),
        ({"task": f"{path}:broken"}, "could not be made: ValueError: no data"),
    ):
        with pytest.raises(UserError) as raised:
            quick(tmp_path, **settings)
        assert message in str(raised.value)


def test_a_journal_without_a_beginning_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "journal.jsonl").write_bytes(b'{"v":1,"seq"\n')
    with pytest.raises(JournalError, match="does not begin with a search"):
        raynas.load("s", tmp_path)


def test_not_a_space_and_a_space_without_holes(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="has no holes"):
        quick(tmp_path, Space(flat=op(nn.Flatten)))
    with pytest.raises(SpaceError, match="must be a raynas.space.Space"):
        quick(tmp_path, 17)


def test_a_password_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by a search, not by one that an earlier release began with it; where it is needed again it is asked for."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    events: list[dict[str, Any]] = []
    with server_that_answers(401, b"You are not authenticated.") as server:
        shown, address = (server.replace("//", f"//{user}@") for user in ("***", "ann:s3cret"))
        found = quick(tmp_path, trials=2, mlflow=True, tracking_uri=address, progress=events.append)
        assert f"{shown} refused (401): " in found.tracking_message
        assert f"{shown} refused (401): " in found.summary()["mlflow"]["problem"]
        monkeypatch.setenv("RAYNAS_HOME", str(tmp_path))
        assert call(["status", "s"]) == 0
        assert f"MLflow {shown} refused (401): " in " ".join(capsys.readouterr().out.split())
        assert found.spec["tracking_uri"] == events[0]["spec"]["tracking_uri"] == shown
        again: dict[str, Any] = {"home": tmp_path, "space": small(), "evaluator": Synthetic()}
        assert api.resume("s", **again).reason == "trials"  # nothing is left to do, and nothing is asked
        with pytest.raises(UserError, match=r"is kept without its password; give it again.*, with --no-mlflow$"):
            api.resume("s", trials=3, **again)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert tmp_path / "s" / "tracker.log" in files
        assert not [path for path in files if b"s3cret" in path.read_bytes()]
        for name in ("journal.jsonl", "spec.yaml"):  # as an earlier release left them
            file = tmp_path / "s" / name
            file.write_text(file.read_text().replace(shown, address))
        resumed = api.resume("s", trials=3, **again)
        assert (resumed.status, len(resumed.history.trials)) == ("finished", 3)
        assert f"{shown} refused (401): " in resumed.tracking_message
    with_it = [path.name for path in tmp_path.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert with_it == ["journal.jsonl"]
    assert (tmp_path / "s" / "journal.jsonl").read_text().count("s3cret") == 1  # in the line that it had already
