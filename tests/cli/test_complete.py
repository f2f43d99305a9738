"""What a shell is offered after the Tab key, asked as its completion script asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raynas.journal import Writer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two searches that have begun."""
    home = tmp_path_factory.mktemp("home")
    for name in ("first", "second"):
        (home / name).mkdir()
        with Writer(home / name / "journal.jsonl") as journal:
            fields = {"spec": {}, "seed": 0, "space": {}, "task": {}, "objective": {}, "versions": {}, "machine": {}}
            journal.write("search_started", name=name, search_id="0" * 32, **fields)
    return home


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("raynas res", {"resume"}),
        ("raynas resume f", {"first"}),
        ("raynas evaluate ", {"first", "second"}),
        ("raynas search res", {"resnet"}),
        ("raynas search my_space.py", set()),
        ("raynas search resnet --strategy pre", {"predictor"}),
        ("raynas search resnet --task dig", {"digits"}),
        ("raynas search resnet --scheduler no", {"none"}),
        ("raynas search resnet --trial-ti", {"--trial-time", "--trial-timeout"}),
        ("raynas describe sec", {"second"}),
        ("raynas export first --format so", {"source"}),
    ],
)
def test_what_is_offered(home: Path, typed: str, offered: set[str]) -> None:
    words = typed.split(" ")
    asked = {"_RAYNAS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "raynas"],
        env={**os.environ, **asked, "RAYNAS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered


def test_the_script_for_a_shell() -> None:
    asked = (
        f"'{sys.executable}' -m raynas --show-completion; exit $?"  # the shell above the command is what is detected
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert "complete -o default" in done.stdout
