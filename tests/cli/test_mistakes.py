"""A person's mistakes: one line that names the thing, the value and the way out; exit code 2; nothing lost or left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raynas.cli.app import call

MISTAKES = {
    # what was typed: what the line must hold
    "serch resnet": ("'serch'", "'search'"),
    "search": ("raynas spaces", "--config"),
    "search resnt": ("'resnt'", "'resnet'", "raynas spaces"),
    "search resnet --strategy evolutoin": ("'evolutoin'", "'evolution'"),
    "search resnet --task digit": ("'digit'", "'digits'"),
    "search resnet --scheduler asah": ("'asah'", "'asha'"),
    "search resnet --trials 0": ("--trials 0", "1 or more"),
    "search resnet --trials many": ("--trials 'many'", "whole number"),
    "search resnet --trials -3": ("--trials -3", "1 or more"),
    "search resnet --time 0": ("--time '0'",),
    "search resnet --time -5m": ("--time '-5m'",),
    "search resnet --time 5x": ("--time '5x'", "5m"),
    "search resnet --time soon": ("--time 'soon'", "5m"),
    "search resnet --epochs 0": ("--epochs 0", "1 or more"),
    "search resnet --workers 0": ("--workers 0", "1 or more"),
    "search resnet --grace-period 0": ("--grace-period 0", "1 or more"),
    "search resnet --reduction-factor 1": ("--reduction-factor 1", "2 or more"),
    "search resnet --mode up": ("'up'", "'min'", "'max'"),
    "search resnet --seed -1": ("--seed -1", "0 or more"),
    "search resnet --name a/b": ("'a/b'", "letters"),
    "search resnet --bogus 1": ("--bogus", "raynas search --help"),
    "search nowhere.py:space": ("nowhere.py", "check the path"),
    "search here.py": ("here.py:NAME",),
    "search here.py:spade": ("'spade'", "'space'"),
    "search here.py:number": ("'", "int", "Space"),
    "search here.py:no_holes": ("no holes", "Choice"),
    "search here.py:misfit --name bad": ("head: Conv2d", "(4, 6, 6)", "kernel_size=9"),
    "search broken.py:space": ("broken.py", "SyntaxError"),
    "search --config nowhere.yaml": ("nowhere.yaml", "cannot be read"),
    "search --config torn.yaml": ("torn.yaml, line 3", "not YAML"),
    "search --config list.yaml": ("list.yaml", "field: value"),
    "search --config typo.yaml": ("typo.yaml, line 2", "'trails'", "'trials'"),
    "search --config zero.yaml": ("zero.yaml, line 2", "trials 0", "1 or more"),
    "search --config word.yaml": ("word.yaml, line 2", "trials 'ten'", "whole number"),
    "search --config spaceless.yaml": ("space", "raynas spaces"),
    "resume nothing": ("'nothing'", "raynas list"),
    "resume": ("NAME", "raynas resume --help"),
    "resume nothing --trials 0": ("--trials 0", "1 or more"),
    "status nothing": ("'nothing'", "raynas list"),
    "best nothing": ("'nothing'", "raynas list"),
    "best nothing --top 0": ("--top 0", "1 or more"),
    "describe resnt": ("'resnt'", "'resnet'"),
    "describe resnet --task digit": ("'digit'", "'digits'"),
    "describe here.py:no_holes": ("no holes", "Choice"),
}

FILES = {
    "here.py": """
from torch import nn
from raynas.space import Choice, Space, op
number = 3
space = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=10, bias=Choice(True, False)))
no_holes = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=10))
misfit = Space(
    stem=op(nn.Conv2d, out_channels=Choice(4, 8), kernel_size=3),
    head=op(nn.Conv2d, out_channels=10, kernel_size=9),
)
""",
    "broken.py": "def space(:\n",
    "torn.yaml": "space: resnet\ntrials: [1\n",
    "list.yaml": "- resnet\n- 5\n",
    "typo.yaml": "space: resnet\ntrails: 5\n",
    "zero.yaml": "space: resnet\ntrials: 0\n",
    "word.yaml": "space: resnet\ntrials: ten\n",
    "spaceless.yaml": "trials: 5\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the mistakes name, to work in."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "runs"))
    return tmp_path


def line_of(output: str) -> str:
    """The one line of an error."""
    lines = output.splitlines()
    assert len(lines) == 1, output
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_one_line(typed: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(typed.split()) == 2
    line = line_of(capfd.readouterr().err)
    for words in MISTAKES[typed]:
        assert words in line
    assert not (folder / "runs").exists(), "a mistake leaves nothing behind"


def test_a_home_that_is_a_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "runs").write_text("not a folder", encoding="utf-8")
    assert call(["search", "mlp", "--name", "first"]) == 2
    line = line_of(capfd.readouterr().err)
    assert "cannot be written" in line
    assert "RAYNAS_HOME" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "runs").mkdir(mode=0o500)
    assert call(["search", "mlp", "--name", "first"]) == 2
    assert "RAYNAS_HOME" in line_of(capfd.readouterr().err)
