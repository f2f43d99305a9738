"""The tracker against SQLite: what the journal says is what the store has, however often and whenever it is written."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tracking_support import JournalMaker, all_runs, artifacts_of, client, compare, search_lock, trial_runs

from raynas.errors import UserError
from raynas.journal import read
from raynas.tracking import sync
from raynas.tracking.position import load_position, written_to
from raynas.tracking.ui import find_experiment


def rows(home: Path) -> list[tuple]:
    """Everything that the store holds of runs, in order."""
    database = sqlite3.connect(home / "mlflow.db")
    tables = ["runs", "metrics", "latest_metrics", "params", "tags", "experiment_tags", "datasets", "inputs"]
    return sorted((table, *map(str, row)) for table in tables for row in database.execute(f"SELECT * FROM {table}"))


def test_a_whole_search(home: Path, uri: str):
    folder = JournalMaker(home / "first").whole(12).folder
    report = sync(folder)
    assert report.events == len(list(read(folder / "journal.jsonl")))
    assert not report.refused
    compare(uri, folder)
    (parent,) = [run for run in all_runs(uri, "first") if run.data.tags["raynas.kind"] == "search"]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["strategy_options.population"] == "10"
    assert parent.inputs.dataset_inputs[0].dataset.name == "digits"
    artifacts = artifacts_of(parent)
    assert (artifacts / "journal.jsonl").read_bytes() == (folder / "journal.jsonl").read_bytes()
    assert (artifacts / "spec.yaml").exists()
    assert "raynas resume first" in parent.data.tags["mlflow.note.content"]
    sizes = {run.data.metrics["parameters"] for run in trial_runs(uri, "first").values()}
    proposed = [event for event in read(folder / "journal.jsonl") if event["event"] == "trial_proposed"]
    assert sizes == {event["params"] for event in proposed}


def test_writing_again_changes_nothing(home: Path, uri: str):
    folder = JournalMaker(home / "again").killed_and_resumed(8).folder
    sync(folder)
    first = rows(home)
    sync(folder)
    assert rows(home) == first
    (folder / "tracker.json").unlink()
    sync(folder)
    assert rows(home) == first
    (folder / "tracker.json").write_text("{torn", encoding="utf-8")
    sync(folder)
    assert rows(home) == first


def test_in_pieces_as_a_search_goes_on(home: Path, uri: str):
    maker = JournalMaker(home / "pieces", seed=3)
    maker.begin()
    with search_lock(maker.folder):
        done, under_way, waiting = maker.propose(), maker.propose(), maker.propose()
        maker.start(done)
        maker.run(done)
        maker.start(under_way)
        maker.measure(under_way, 1)
        sync(maker.folder)
        statuses = {number: run.info.status for number, run in trial_runs(uri, "pieces").items()}
        assert statuses[under_way] == statuses[waiting] == "RUNNING"
        assert statuses[done] in {"FINISHED", "FAILED"}
        made = {number: run.info.run_id for number, run in trial_runs(uri, "pieces").items()}
    sync(maker.folder)  # the search was killed: nobody holds its lock
    assert {trial_runs(uri, "pieces")[number].info.status for number in (under_way, waiting)} == {"KILLED"}
    assert {run.info.status for run in all_runs(uri, "pieces") if run.data.tags["raynas.kind"] == "search"} == {
        "KILLED"
    }
    compare(uri, maker.folder)
    with search_lock(maker.folder):  # resumed: one of the two is in hand again
        maker.begin()
        maker.start(under_way, attempt=1)
        maker.measure(under_way, 2)
        sync(maker.folder)
        now = trial_runs(uri, "pieces")
        assert {number: run.info.run_id for number, run in now.items()} == made
        assert now[under_way].info.status == "RUNNING"
        assert now[waiting].info.status == "KILLED"
        maker.run(under_way, first_step=3)
        maker.start(waiting, attempt=1)
        maker.run(waiting)
        maker.end("interrupted")
    sync(maker.folder)
    assert {number: run.info.run_id for number, run in trial_runs(uri, "pieces").items()} == made
    compare(uri, maker.folder)


def test_killed_at_random_moments(home: Path, uri: str):
    """A real process, killed in the middle of its writing, again and again: in the end all is there, and once."""
    folder = JournalMaker(home / "killed", seed=11).killed_and_resumed(30).folder
    seed = int(os.environ.get("RAYNAS_TEST_SEED", time.time_ns() % 100_000))
    print(f"RAYNAS_TEST_SEED={seed}")
    rng = random.Random(seed)
    killed = 0
    for _ in range(12):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                from raynas.tracking import follow

                follow.BATCH = 7  # many positions to be saved, many batches to be cut off
                sync(folder)
                code = 0
            finally:
                os._exit(code)
        time.sleep(rng.uniform(0.02, 0.6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    assert killed
    sync(folder)
    compare(uri, folder)
    database = sqlite3.connect(home / "mlflow.db")
    assert database.execute("SELECT COUNT(*) FROM runs").fetchone() == (31,)


def test_long_values_and_long_lists_keep_to_the_limits(home: Path, uri: str):
    maker = JournalMaker(home / "long")
    maker.begin()
    wide = {f"cell.{number}.operation": "conv" for number in range(250)}
    odd = {"a": "x" * 20_000, "b" * 400: 1, "Überhöhe [m]": 0.5, "..": "dots", "nul": "a\x00b", "edge//twice": [1, 2]}
    for architecture in (wide, odd):
        trial = maker.propose(architecture, name="n" * 300)
        maker.start(trial)
        maker.measure(trial, 1, "budget", **{f"metric {n}": n / 7 for n in range(1_200)}, inf=float("inf"))
        maker.finish(trial, "completed", "budget", 1)
    maker.end()
    assert sync(maker.folder).refused == ()
    first, second = trial_runs(uri, "long")[0], trial_runs(uri, "long")[1]
    assert first.data.params == wide
    assert len(second.data.params) == len(odd)
    assert len(second.data.params["a"]) == 6_000
    assert len(first.data.metrics) == 1_200 + 5
    location = artifacts_of(second)
    assert json.loads((location / "architecture.json").read_text())["architecture"] == odd


def test_metrics_whose_names_mlflow_does_not_allow_keep_apart(home: Path, uri: str):
    maker = JournalMaker(home / "names")
    maker.begin()
    for order in ({"精度": 0.9, "损失": 0.3}, {"损失": 0.2, "精度": 0.8}):
        trial = maker.propose({f"hole{n}": n for n in range(100)})
        maker.start(trial)
        # Its tags are written with its metrics and parameters, and all count towards MLflow's 1,000.
        maker.measure(trial, 1, **order, **{f"metric{n}": 0.5 for n in range(890)})
        maker.finish(trial, "failed", "exception", 1, {"type": "ValueError", "message": "no", "traceback": "Trace …"})
    maker.end()
    assert sync(maker.folder).refused == ()
    found = trial_runs(uri, "names")
    keys = ("__", "___2")
    assert [[found[n].data.metrics[key] for key in keys] for n in (0, 1)] == [[0.9, 0.3], [0.8, 0.2]]
    assert all(len(run.data.params) == 100 and run.data.tags["raynas.error"] for run in found.values())
    (parent,) = [run for run in all_runs(uri, "names") if run.data.tags["raynas.kind"] == "search"]
    assert json.loads(parent.data.tags["raynas.metric_names"]) == {"__": "精度", "___2": "损失"}


def test_what_was_refused_is_kept_and_written_later(home: Path, uri: str):
    """Its experiment is deleted under the hands of a tracker, which goes on, and is restored after the search."""
    from raynas.tracking.store import open_store
    from raynas.tracking.tracker import Tracker

    maker = JournalMaker(home / "back", seed=3, steps=6)
    store = open_store(uri)
    tracker = Tracker(maker.folder, store, None)
    maker.begin()
    trial = maker.propose()
    maker.start(trial)
    maker.measure(trial, 1)
    tracker.take(read(maker.folder / "journal.jsonl"))
    tracker.flush(live=True)
    experiment = client(uri).get_experiment_by_name("back").experiment_id
    client(uri).delete_experiment(experiment)
    maker.run(trial, first_step=2)
    later = maker.propose()
    maker.run(later)
    maker.end()
    seen = tracker.position.seq
    tracker.take(event for event in read(maker.folder / "journal.jsonl") if event["seq"] > seen)
    tracker.flush(live=True)
    refused = {line.partition(":")[0] for line in tracker.refused}
    assert refused == {f"trial {trial}", f"trial {later}", "the search's run"}
    with pytest.raises(UserError, match="was deleted in MLflow; restore it"):
        tracker.close()
    position = load_position(maker.folder)
    assert position is not None
    assert not position.closed
    assert str(position.trouble).startswith("MLflow refused trial 0, and ")
    assert position.refused.keys() >= refused
    with pytest.raises(UserError, match="was deleted in MLflow; restore it"):
        sync(maker.folder)
    client(uri).restore_experiment(experiment)
    report = sync(maker.folder)
    assert report.refused == ()
    assert str(report).startswith(f"{report.events} events are in MLflow")
    compare(uri, maker.folder)
    position = load_position(maker.folder)
    assert position is not None
    assert position.trouble is None


def test_a_place_of_artifacts_that_cannot_be_used_holds_up_nothing_else(home: Path, uri: str):
    (home / "mlartifacts").write_text("in the way", encoding="utf-8")
    maker = JournalMaker(home / "plain").whole(3)
    report = sync(maker.folder)
    refused = {line.partition(":")[0] for line in report.refused}
    assert refused == {"trial 0", "trial 1", "trial 2", "spec.yaml", "journal.jsonl"}
    assert "events are in MLflow" not in str(report)
    compare(uri, maker.folder)  # all but the artifacts
    assert {line.partition(":")[0] for line in sync(maker.folder).refused} == refused
    (home / "mlartifacts").unlink()
    assert sync(maker.folder).refused == ()
    compare(uri, maker.folder)
    assert len(list((home / "mlartifacts").rglob("architecture.json"))) == 3


def test_a_password_of_an_earlier_release_goes_no_further(home: Path, uri: str):
    maker = JournalMaker(home / "old", uri="postgresql://ann:s3cret@db/ml").whole(2)
    (maker.folder / "tracker.json").write_text('{"tracking_uri": "postgresql://ann:s3cret@db/ml", "seq": 3}')
    sync(maker.folder, uri)
    written = [*home.glob("mlflow.db*"), maker.folder / "tracker.json", *(home / "mlartifacts").rglob("*.*")]
    assert {path.name for path in written} >= {"spec.yaml", "journal.jsonl"}
    assert not [path.name for path in written if path.is_file() and b"s3cret" in path.read_bytes()]
    redacted = {path.name for path in written if path.is_file() and b"***@db/ml" in path.read_bytes()}
    assert redacted == {"spec.yaml", "journal.jsonl"}
    compare(uri, maker.folder)


def test_a_copied_folder_is_another_search(home: Path, uri: str):
    first = JournalMaker(home / "first", seed=4).whole(3).folder
    sync(first)
    mine = trial_runs(uri, "first")
    second = Path(shutil.copytree(first, home / "second"))
    with pytest.raises(UserError, match="'second' is not in MLflow yet"):
        find_experiment(home, "second")
    before = rows(home)
    maker = JournalMaker(second, seed=5, fresh=False)
    maker.session, maker.trials = 0, 3
    maker.begin()
    maker.run(maker.propose())
    maker.end()
    report = sync(second)
    assert find_experiment(home, "second") == (uri, report.experiment_id)
    assert set(before) <= set(rows(home))  # nothing of the original's has changed
    compare(uri, first)
    compare(uri, second, experiment="second")
    (parent,) = [run for run in all_runs(uri, "second") if run.data.tags["raynas.kind"] == "search"]
    assert parent.data.tags["raynas.copy_of"] == mine[0].data.tags["raynas.search_id"]
    (second / "tracker.json").unlink()
    once = rows(home)
    assert [sync(second).experiment_id, rows(home)] == [report.experiment_id, once]
    # A folder that was moved goes on as the same search, be it the copy or the original.
    for folder, name in ((second, "second"), (first, "first")):
        kept = {number: run.info.run_id for number, run in trial_runs(uri, name).items()}
        moved = folder.rename(home / f"{name}-moved")
        sync(moved)
        assert {number: run.info.run_id for number, run in trial_runs(uri, name).items()} == kept
    assert len(client(uri).search_experiments()) == 3  # with MLflow's own


def test_a_copy_of_an_earlier_releases_search(home: Path, uri: str):
    """Nothing says which folder its runs are from: the one that has its name."""
    first = JournalMaker(home / "first", seed=4).whole(2).folder
    sync(first)
    with sqlite3.connect(home / "mlflow.db") as database:
        assert database.execute("DELETE FROM experiment_tags WHERE key = 'raynas.folder'").rowcount == 1
    second = Path(shutil.copytree(first, home / "second"))
    before = set(rows(home))
    sync(second)
    assert before <= set(rows(home))
    compare(uri, second, experiment="second")


def test_a_home_that_was_moved_takes_store_and_artifacts_along(tmp_path: Path, empty_store: Path):
    old, new = tmp_path / "old home", tmp_path / "new home"
    old.mkdir()
    shutil.copy(empty_store, old / "mlflow.db")
    maker = JournalMaker(old / "first", seed=6)
    maker.begin()
    maker.run(maker.propose())
    maker.writer.close()
    report = sync(maker.folder)
    old.rename(new)
    folder = new / "first"
    assert written_to(folder, load_position(folder)) == f"sqlite:///{new / 'mlflow.db'}"
    assert find_experiment(new, "first") == (f"sqlite:///{new / 'mlflow.db'}", report.experiment_id)
    again = JournalMaker(folder, seed=7, fresh=False)
    again.session, again.trials = 0, 1
    again.begin()
    again.run(again.propose())
    again.end()
    sync(folder)
    assert not old.exists()
    compare(f"sqlite:///{new / 'mlflow.db'}", folder)
    for run in all_runs(f"sqlite:///{new / 'mlflow.db'}", "first"):
        place = Path(unquote(urlsplit(run.info.artifact_uri).path))
        assert place.is_relative_to(new / "mlartifacts")
        assert any(place.iterdir())


def test_searches_of_one_name_in_one_store(tmp_path: Path, home: Path, uri: str):
    first = JournalMaker(home / "same", seed=1).whole(2).folder
    other = JournalMaker(tmp_path / "elsewhere" / "same", seed=2).whole(3).folder
    sync(first)
    sync(other, uri)
    search_id = next(iter(read(other / "journal.jsonl")))["search_id"]
    compare(uri, first)
    compare(uri, other, experiment=f"same ({search_id[:8]})")


def test_a_store_that_has_lost_everything_is_filled_again(home: Path, uri: str, empty_store: Path, tmp_path: Path):
    folder = JournalMaker(home / "lost").whole(4).folder
    sync(folder)
    fresh = tmp_path / "other.db"
    fresh.write_bytes(empty_store.read_bytes())
    old = load_position(folder)
    assert old is not None
    other = f"sqlite:///{fresh}"
    position = json.loads((folder / "tracker.json").read_text())
    (folder / "tracker.json").write_text(json.dumps({**position, "tracking_uri": other}), encoding="utf-8")
    sync(folder, other)
    compare(other, folder)
    sync(folder)  # back to the first: its position is another store's by now
    compare(uri, folder)


def test_a_run_that_was_made_twice_is_one_again(home: Path, uri: str):
    """A request that was given up may be done later all the same."""
    maker = JournalMaker(home / "double", seed=5)
    maker.whole(3)
    sync(maker.folder)
    mlflow, run = client(uri), trial_runs(uri, "double")[1]
    mlflow.create_run(run.info.experiment_id, tags=dict(run.data.tags), run_name=run.info.run_name)
    sync(maker.folder)
    assert trial_runs(uri, "double")[1].info.run_id == run.info.run_id
    compare(uri, maker.folder)


def test_numbers_given_out_anew_after_a_power_cut(home: Path, uri: str):
    maker = JournalMaker(home / "cut", seed=6)
    maker.begin()
    journal = maker.folder / "journal.jsonl"
    trial = maker.propose()
    maker.run(trial)
    kept = journal.stat().st_size
    maker.run(maker.propose())
    maker.writer.close()
    sync(maker.folder)
    os.truncate(journal, kept)
    again = JournalMaker(maker.folder, seed=7, fresh=False)
    again.session, again.trials = 0, 1
    again.begin()
    again.run(again.propose())
    again.end()
    again.writer.close()
    sync(maker.folder)
    compare(uri, maker.folder, best=False)  # points of the search's own run cannot be taken back


def test_a_run_in_the_bin_is_left_there(home: Path, uri: str):
    maker = JournalMaker(home / "bin")
    maker.whole(3)
    sync(maker.folder)
    client(uri).delete_run(trial_runs(uri, "bin")[2].info.run_id)
    (maker.folder / "tracker.json").unlink()
    sync(maker.folder)
    assert sorted(trial_runs(uri, "bin")) == [0, 1]


def test_a_deleted_experiment_is_said_in_one_line(home: Path, uri: str):
    folder = JournalMaker(home / "gone").whole(1).folder
    experiment = sync(folder).experiment_id
    client(uri).delete_experiment(experiment)
    with pytest.raises(UserError, match="was deleted in MLflow; restore it"):
        sync(folder)


def test_an_address_that_mlflow_does_not_know(home: Path):
    folder = JournalMaker(home / "odd").whole(1).folder
    with pytest.raises(UserError, match="cannot use the tracking URI 'nosuch://x'"):
        sync(folder, "nosuch://x")
