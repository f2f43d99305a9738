"""A search's folder: what it may be made in, and what is removed of it. Nothing of a person's own ever is."""

from __future__ import annotations

from pathlib import Path

import pytest

import raynas
from raynas.atomic_write import atomic_write
from raynas.cli.app import call
from raynas.errors import SearchFolderError
from raynas.spec.components import free_name
from raynas.storage.search_folder import FolderLock, SearchFolder
from tests.engine.journals import a_search


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("inside", ["precious.txt", "lock", "checkpoints/best.pt", ""])
def test_a_folder_that_is_no_search_is_refused_and_stays(
    home: Path, inside: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "data" / inside).parent.mkdir(parents=True, exist_ok=True)
    if inside:
        (home / "data" / inside).write_text("mine")
        (home / "data" / "more.txt").write_text("mine")
    else:
        (home / "data").symlink_to(home / "elsewhere")
    assert call(["search", "mlp", "--name", "data"]) == 2
    line = capfd.readouterr().err
    assert line.count("\n") == 1
    assert f"{home / 'data'} exists and is no search" in line
    assert "--name" in line
    assert (home / "data").is_symlink() if not inside else (home / "data" / inside).read_text() == "mine"


@pytest.mark.parametrize("name", ["mlartifacts", "mlflow.db", "MLflow.db", "mlflow.db-wal", "mlflow.db.lock"])
def test_names_of_mlflows_store_are_reserved(home: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(["search", "mlp", "--name", name]) == 2
    assert f"search name {name!r} is kept for MLflow's store" in capfd.readouterr().err
    assert not list(home.iterdir())


def test_what_a_search_killed_at_its_start_left_is_taken_over(home: Path) -> None:
    folder = SearchFolder(home, "s")
    for name in ("lock", "spec.yaml", "source/old.py"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).touch()
    folder.journal.write_bytes(b'{"v":1,"seq"')
    folder.create()
    with FolderLock(folder):
        folder.remove_remains()
    assert [path.name for path in folder.path.iterdir()] == ["lock"]


def test_delete_removes_what_raynas_made_and_nothing_else(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = a_search(home, "s")
    outside = home.parent / f"{home.name}-outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("mine")
    mine = [folder.path / name for name in ("notes.txt", "checkpoints/best.pt", "results/table.csv", "logs/my.log")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (folder.path / "link").symlink_to(outside)
    (folder.checkpoints / "000002").symlink_to(outside)
    assert call(["delete", "s", "--yes"]) == 0
    said = capfd.readouterr().out
    assert "deleted s: 1 trial" in said
    assert "since RayNAS did not make it: checkpoints/000002, checkpoints/best.pt, link and 3 more" in said
    left = {path for path in folder.path.rglob("*") if not path.is_dir() or path.is_symlink()}
    assert left == {*mine, folder.path / "link", folder.checkpoints / "000002"}
    assert (outside / "precious.txt").read_text() == "mine"
    assert call(["search", "mlp", "--name", "s"]) == 2, "what is left is no search"


def test_delete_of_a_search_leaves_nothing_where_all_is_raynas_own(home: Path) -> None:
    folder = a_search(home, "s")
    assert call(["delete", "s", "--yes"]) == 0
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "left",
    ["spec.yaml", "tracker.json", "checkpoints/000001/step-000002.safetensors", "stages/a-b/step-000001.safetensors"],
)
def test_what_a_killed_process_was_writing_goes_with_its_search(home: Path, left: str) -> None:
    folder = a_search(home, "s")
    (folder.path / left).parent.mkdir(parents=True, exist_ok=True)

    def killed(source: object, target: object) -> None:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.replace", killed)
        patch.setattr(Path, "unlink", lambda path: None)
        with pytest.raises(SystemExit):
            atomic_write(folder.path / left, b"half")
    assert list((folder.path / left).parent.glob("*.tmp"))
    assert call(["delete", "s", "--yes"]) == 0
    assert not folder.path.exists()


def test_a_deletion_that_was_cut_off_is_gone_on_with(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = a_search(home, "s")
    folder.journal.unlink()
    assert call(["delete", "s"]) == 0
    assert "deleted what was left of s" in capfd.readouterr().out
    assert not folder.path.exists()


def test_a_search_whose_journal_is_damaged_can_be_deleted(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = a_search(home, "s")
    folder.journal.write_text("no journal\nat all\n")
    assert call(["status", "s"]) == 2
    assert call(["delete", "s", "--yes"]) == 0
    assert "deleted s: a journal that cannot be read" in capfd.readouterr().out
    assert not folder.path.exists()


def test_a_linked_search_is_not_followed(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = a_search(home, "real")
    (home / "s").symlink_to(folder.path)
    assert call(["delete", "s", "--yes"]) == 2
    assert "is a symbolic link" in capfd.readouterr().err
    assert folder.has_begun()


def test_the_stop_flag_is_cleared_when_the_lock_is_taken_and_a_removed_folder_is_noticed(home: Path) -> None:
    folder = a_search(home, "s")
    with FolderLock(folder):
        assert not folder.stop.exists()
        folder.remove()
        folder.create()
        with FolderLock(folder):  # another folder, and another lock
            assert folder.never_began()


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("space.py:réseau", "reseau-1"),
        ("space.py:" + "very_long_name_" * 8, ("very_long_name_" * 8)[:79] + "-1"),
        ("space.py:空间", "search-1"),
        ("<my space>", "my-space-1"),
    ],
)
def test_a_made_up_name_can_be_a_folders(home: Path, space: str, name: str) -> None:
    assert free_name(space, home) == name
    SearchFolder(home, name).create()
    assert free_name(space, home) == f"{name[:-1]}2"


def test_a_search_whose_trials_all_failed_is_not_finished(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also one that an earlier release ended as having made all its trials."""
    a_search(home, "s", trials=6, state="failed")
    assert call(["status", "s"]) == 0
    said = capfd.readouterr().out
    assert "s is failed: its trials all failed" in said
    assert "6 of 6 trials (6 failed)" in said
    assert "raynas resume s --take-new-files" in said
    assert call(["resume", "s"]) == 1
    assert "its trials all failed; mend the reason, then: raynas resume s --take-new-files" in capfd.readouterr().out
    a_search(home, "good", trials=2)
    assert call(["resume", "good"]) == 0
    assert "nothing is left to do" in capfd.readouterr().out
    assert call(["resume", "good", "--take-new-files", "--trials", "4"]) == 2
    assert "2 trials of search 'good' were measured" in capfd.readouterr().err


def test_void_trials_count_for_nothing(home: Path) -> None:
    history = raynas.load(a_search(home, "s", trials=6, state="failed").name, home).history
    begun = {"event": "session_started", "seq": 99, "time": 1.0, "session": 1}
    history.apply({**begun, "void": list(range(6))})
    assert (history.searched, history.default, history.all_failed) == (0, None, False)
    seen = history.for_searchers
    assert (len(seen.trials), seen.seen, seen.for_searchers) == (0, set(), seen)
    proposed = {"trial_id": "0" * 16, "network_id": "0" * 16, "architecture": {}, "strategy": "default"}
    history.apply({**proposed, "event": "trial_proposed", "trial": 6, "seq": 100, "time": 2.0})
    assert history.default is history.trials[6]
    assert list(seen.trials) == [6]


def test_a_link_to_nowhere_cannot_be_removed_as_a_search(home: Path) -> None:
    (home / "s").symlink_to(home / "nowhere")
    with pytest.raises(SearchFolderError, match="symbolic link"):
        SearchFolder(home, "s").remove()
