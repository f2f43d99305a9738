"""What the README and docs show, run as printed: a newcomer copies it, so it has to work.

Blocks marked ``bash`` and ``python`` are run, in order, in one folder, as one reader would; a block whose first line is
``# file.py`` or ``# file.yaml`` is a file to be saved. Blocks marked ``console`` and ``text`` are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "cluster").glob("*.md"))]
RUN = {"bash", "python"}
#: Seconds that a block may take: for one that hangs.
PATIENCE = 1_800
#: From this heading on the README needs nothing of what is above it: a part by itself.
OWN = "## A search space of your own"
#: What a newcomer reads first; with all that follows up to ``OWN`` it is run once more among the slow tests.
TOUR = "## Your own images"
SLOW = {"README.md: all", "README.md: own", "export.md", "evaluator.md", "data.md"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page as (language, text)."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def parts() -> Iterator[Any]:
    """Pages, and pieces of the README, that have something to run."""
    for page in PAGES:
        whole = page.read_text(encoding="utf-8")
        pieces = {page.name: whole}
        if page is README:
            before, heading, own = whole.partition(OWN)
            pieces = {"README.md": before.partition(TOUR)[0], "README.md: all": before, "README.md: own": heading + own}
        for name, text in pieces.items():
            found = BLOCK.findall(text)
            if RUN & {language for language, _ in found}:
                yield pytest.param(found, id=name, marks=(pytest.mark.slow,) if name in SLOW else ())


def run_block(language: str, text: str, folder: Path, environment: dict[str, str]) -> None:
    """Saves or runs one block.

    Raises:
        AssertionError: it ended with an error, whose output is shown.
    """
    named = FILE.match(text)
    if named:
        (folder / named[1]).write_text(text, encoding="utf-8")
        return
    if language == "bash":
        command = ["bash", "-euo", "pipefail", "-c", text]
    elif language == "python":
        script = folder / "block.py"
        script.write_text(text, encoding="utf-8")
        command = [sys.executable, str(script)]
    else:
        return
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("printed", list(parts()))
def test_blocks_run_as_printed(printed: list[tuple[str, str]], tmp_path: Path) -> None:
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    environment.pop("RAYNAS_HOME", None)
    for language, text in printed:
        run_block(language, text, tmp_path, environment)


def test_searches_that_run_here_have_budgets_in_trials() -> None:
    """With a budget in time a page would say other things on a slower machine, or nothing."""
    for page in PAGES:
        for language, text in blocks(page):
            if language not in RUN | {"yaml"}:
                continue
            searches = re.findall(
                r"^raynas (?:search|resume) .*$|^.*raynas\.(?:search|resume)\(.*$", text, re.MULTILINE
            )
            timed = [line for line in searches if re.search(r"--(trial-)?time|seconds=|trial_time=", line)]
            timed += re.findall(r"^(?:trial_)?time: .*$", text, re.MULTILINE)
            assert all("--dry-run" in line for line in timed), f"{page.name}: {timed}"


@pytest.mark.parametrize("file", ["my_space.py", "my_task.py", "my_training.py", "my_searcher.py"])
def test_ones_own_takes_less_than_25_lines(file: str) -> None:
    own = next(text for _, text in blocks(README) if text.startswith(f"# {file}"))
    assert len(own.splitlines()) < 25


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_every_block_says_what_it_is() -> None:
    for page in PAGES:
        bare = re.findall(r"^```(\w*)\n.*?^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert all(bare), f"{page.name}: a code block without a language"
