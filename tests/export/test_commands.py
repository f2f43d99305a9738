"""``raynas export``, ``trials``, ``describe --trial`` and ``delete``, as a person types them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import raynas
from raynas.cli.app import call

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(home))
    monkeypatch.chdir(tmp_path)


def documented(heading: str) -> set[str]:
    section = PAGE.read_text(encoding="utf-8").split(f"## `{heading}`")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def keys(document: object, prefix: str = "") -> set[str]:
    if isinstance(document, list):
        return set().union(*(keys(item, f"{prefix}[]") for item in document)) if document else set()
    if not isinstance(document, dict) or prefix.rpartition(".")[2] in {
        "architecture",
        "metrics",
        "arguments",
        "recipe",
    }:
        return set()
    found = set()
    for key, value in document.items():
        path = f"{prefix}.{key}" if prefix else key
        found |= {path} | keys(value, path)
    return found


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["export", "first", "--output", "model/"]) == 0
    shown = capsys.readouterr().out
    assert "bit for bit" in shown
    assert "python model/model.py IMAGE.png" in shown
    assert (tmp_path / "model" / "model.py").is_file()
    assert call(["export", "first", "-o", "model", "--force", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert keys(document) == documented("raynas export NAME --output FOLDER --json")
    assert document["about"] == json.loads((tmp_path / "model" / "architecture.json").read_text())


def test_trials(search: raynas.SearchResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["trials", "first"]) == 0
    shown = capsys.readouterr().out
    assert all(record.name[:20] in shown for record in search.history.trials.values())
    assert call(["trials", "first", "--json", "--last", "2"]) == 0
    assert [trial["trial"] for trial in json.loads(capsys.readouterr().out)] == [1, 2]
    assert call(["trials", "first", "--csv", "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert call(["trials", "first", "--csv", "t.csv", "--parquet", "t.parquet"]) == 0
    assert capsys.readouterr().out.count("3 trials of first written to t.") == 2
    assert (tmp_path / "t.csv").is_file()
    assert (tmp_path / "t.parquet").is_file()


def test_describe_a_trial(search: raynas.SearchResult, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["describe", "first", "--trial", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    parameters = sum(parameter.numel() for parameter in search.build(2, weights=False).parameters())
    assert lines[0].startswith("trial 2 of first")
    assert lines[1].split() == ["block", "output", "parameters", "FLOPs"]
    assert lines[-1].split()[:3] == ["in", "all", f"{parameters:,}"]
    assert any(line.startswith("├─ stage1") for line in lines)
    assert call(["describe", "first", "--trial", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert keys(document) == documented("raynas describe NAME --trial N --json")
    assert document["parameters"] == parameters
    tops = [block for block in document["blocks"] if "." not in block["path"]]
    assert sum(block["flops"] for block in tops) == document["flops"]


def test_delete(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(home / "first", home / "second")
    assert call(["delete", "second"]) == 2  # nobody to ask
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text: False)
    assert call(["delete", "second"]) == 0
    assert "nothing was deleted" in capsys.readouterr().out
    assert (home / "second").is_dir()
    assert call(["delete", "second", "--yes"]) == 0
    assert "deleted second: 3 trials" in capsys.readouterr().out
    assert not (home / "second").exists()
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


MISTAKES = {
    "export first": ("--output",),
    "export firs -o model": ("'firs'", "'first'"),
    "export first -o taken": ("taken is not empty", "--force"),
    "export first -o file": ("file is a file", "--output"),
    "export first -o file/in": ("file", "--output"),
    "export first -o model --trial 9": ("no trial 9", "0 to 2"),
    "export first -o model --trial x": ("--trial 'x'", "whole number"),
    "export first -o model --format sorce": ("export format 'sorce' not found", "did you mean 'source'?"),
    "export first -o model --format tensorflow": ("'tensorflow' not found", "source", "torch_export"),
    "trials firs": ("'firs'", "'first'"),
    "trials first --csv nowhere/t.csv": ("nowhere/t.csv", "cannot be written"),
    "trials first --parquet nowhere/t": ("nowhere/t", "cannot be written"),
    "trials first --last 0": ("--last 0", "1 or more"),
    "describe first --trial 9": ("no trial 9", "0 to 2"),
    "describe firs --trial 1": ("'firs'", "'first'"),
    "delete firs": ("'firs'", "'first'"),
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_mistakes(typed: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(path for path in tmp_path.rglob("*"))
    assert call(typed.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert all(words in shown.err for words in MISTAKES[typed]), shown.err
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_running_search_is_not_deleted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from raynas.storage.search_folder import FolderLock, SearchFolder

    with FolderLock(SearchFolder(home, "first")):
        assert call(["delete", "first", "--yes"]) == 2
    assert "is being run by" in capsys.readouterr().err
    assert (home / "first").is_dir()
