"""Every ``--json``: strict JSON whose keys are those of docs/json.md, neither more nor fewer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raynas.cli.app import call
from raynas.journal import read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"

#: Objects whose keys depend on the space or the task.
FREE = {"architecture", "metrics"}


def documented(heading: str) -> dict[str, str]:
    """Key to type, from the tables under a heading; the keys of a trial stand in a table of their own."""
    section = PAGE.read_text(encoding="utf-8").split(f"## `{heading}`")[1].split("\n## ")[0]
    section = section.split("A trial is an object:")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section, re.MULTILINE))


def trial_keys() -> set[str]:
    section = PAGE.read_text(encoding="utf-8").split("A trial is an object:")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def printed(document: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a document, in the words of docs/json.md."""
    if isinstance(document, list):
        for item in document:
            yield from printed(item, f"{prefix}[]")
    elif isinstance(document, dict) and prefix.rpartition(".")[2] not in FREE:
        for key, value in document.items():
            path = f"{prefix}.{key}" if prefix else key
            yield path
            yield from printed(value, path)


def raynas(*arguments: str, home: Path, code: int = 0) -> str:
    """Runs the command as a person does, and gives what it printed; what only reads runs in this process."""
    if arguments[0] not in ("search", "resume"):
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setenv("RAYNAS_HOME", str(home))
            assert call(list(arguments)) == code
        return out.getvalue()
    done = subprocess.run(
        [sys.executable, "-m", "raynas", *arguments],
        env={**os.environ, "RAYNAS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one small finished search, ``first``, whose trials can afford little."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "little.yaml").write_text("space: mlp\naffordable_flops: 4_000\n")
    budget = ("--trials", "3", "--epochs", "2", "--workers", "1", "--config", str(folder / "little.yaml"))
    shown = raynas("search", "mlp", "--name", "first", "--strategy", "random", "--seed", "1", *budget, home=folder)
    assert "first is finished: all its trials are made; 3 of 3 trials" in shown
    assert "trial 0 " in shown
    assert "far beyond what a trial can afford (more than 4 x 4 kFLOPs)" in " ".join(shown.split())
    assert "raynas resume first --trials 6" in shown
    assert "in all, one trial at a time; val_accuracy, larger is better" in shown
    assert "the best by val_accuracy, larger is better:" in shown
    return folder


def with_trials(keys: set[str], document: Any, *places: str) -> set[str]:
    """The documented keys, with a trial's in each place that holds one."""
    for place in places:
        value = document[place.removesuffix("[]")]
        if value:
            keys = keys | {f"{place}.{key}" for key in trial_keys()}
    return keys


def test_status(home: Path) -> None:
    document = strict(raynas("status", "first", "--json", home=home))
    keys = set(documented("raynas status NAME --json"))
    assert set(printed(document)) == with_trials(keys, document, "best", "default")
    assert document["trials"]["total"] == document["trials"]["limit"] == 3
    events = read(home / "first" / "journal.jsonl")
    proposed = [event for event in events if event["event"] == "trial_proposed"]
    refused = sum(event.get("refused", 0) for event in proposed)
    assert document["trials"]["refused"] == refused > 0
    assert document["trials"]["beyond"] == 0
    assert proposed[0]["flops"] > 16_000 >= max(event["flops"] for event in proposed[1:])
    line = f"{refused} drawn architectures were far beyond what a trial can afford (more than 4 x 4 kFLOPs), "
    assert line in " ".join(raynas("status", "first", home=home).split())
    assert document["status"] == "finished"


def test_list(home: Path, tmp_path: Path) -> None:
    entries = strict(raynas("list", "--json", home=home))
    assert entries == [strict(raynas("status", "first", "--json", home=home))]
    assert strict(raynas("list", "--json", home=tmp_path)) == []


def test_best(home: Path) -> None:
    document = strict(raynas("best", "first", "--json", "--top", "2", home=home))
    keys = set(documented("raynas best NAME --json"))
    assert set(printed(document)) == with_trials(keys, document, "best[]", "default")
    assert 1 <= len(document["best"]) <= 2
    values = [(trial["step"], trial["value"]) for trial in document["best"]]
    assert values == sorted(values, reverse=True)


def test_spaces(home: Path) -> None:
    document = strict(raynas("spaces", "--json", home=home))
    assert set(printed(document)) == set(documented("raynas spaces --json"))
    assert {"mlp", "resnet"} <= {entry["name"] for entry in document}
    assert all(entry["size"] == "inf" or int(entry["size"]) > 1 for entry in document)


def test_a_plan(tmp_path: Path) -> None:
    plan = strict(raynas("search", "mlp", "--dry-run", "--trials", "4", "--json", home=tmp_path))
    assert plan.keys() == documented("raynas search --dry-run --json").keys()
    assert (plan["trials"], plan["limit"], plan["size"]) == (4, "trials", "inf")
    assert plan["sample"].keys() > {"layers.depth"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("space", ["mlp", "resnet"])
def test_describe(space: str, home: Path) -> None:
    document = strict(raynas("describe", space, "--json", home=home))
    assert set(printed(document)) == set(documented("raynas describe SPACE --json"))
    paths = {hole["path"] for hole in document["holes"]}
    for filling in (document["default"], document["sample"]):
        assert filling["architecture"].keys() <= paths
        assert filling["parameters"] > 0
        assert filling["flops"] > 0


def test_tables_say_the_same(home: Path) -> None:
    document = strict(raynas("best", "first", "--json", home=home))
    shown = raynas("best", "first", home=home)
    assert f"{document['best'][0]['value']:.4f}" in shown
    assert document["best"][0]["network_id"] in shown
    assert "default: the hand-made network" in shown
    assert "first" in raynas("list", home=home)
    assert "first is finished" in raynas("status", "first", home=home)
    assert "parameters" in raynas("describe", "mlp", home=home)


def test_a_finished_search_has_nothing_left_to_do(home: Path) -> None:
    assert "nothing is left to do" in raynas("resume", "first", home=home)


def test_more_trials_go_on_from_where_it_was(home: Path) -> None:
    def measured() -> dict[int, Any]:
        best = strict(raynas("best", "first", "--json", "--top", "9", home=home))["best"]
        return {trial["trial"]: trial for trial in best}

    before = measured()
    shown = raynas("resume", "first", "--trials", "4", home=home)
    assert "3 ended before, 0 to go on where they were" in shown
    after = strict(raynas("status", "first", "--json", home=home))
    assert after["trials"]["total"] == 4
    assert after["sessions"] == 2
    assert before.items() <= measured().items()
