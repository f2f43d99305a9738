"""``raynas simulate``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from raynas.cli.app import call
from tests.simulate.tables import curves, grid


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "grid.parquet"
    pyarrow.parquet.write_table(pyarrow.table(dict(grid().columns)), path)
    return str(path)


@pytest.fixture
def curve_table(tmp_path: Path) -> str:
    path = tmp_path / "curves.parquet"
    pyarrow.parquet.write_table(pyarrow.table(dict(curves().columns)), path)
    return str(path)


BASIC = ["--holes", "3x3", "--metric", "value", "--mode", "max", "--seeds", "4", "--processes", "1"]


def simulated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert call(["simulate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_the_figures_by_strategy_and_evaluations(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--table",
        table,
        *BASIC,
        "--strategy",
        "random",
        "--strategy",
        "evolution",
        "--trials",
        "27",
        "--at",
        "5,27",
    ]
    found = simulated(capsys, *words)
    assert set(found["strategies"]) == {"random", "evolution"}
    entry = found["strategies"]["random"]["27"]
    assert (entry["mean"], entry["std"], entry["optimum_rate"]) == (26.0, 0.0, 1.0)
    assert entry["quantiles"] == {"0.05": 26.0, "0.25": 26.0, "0.5": 26.0, "0.75": 26.0, "0.95": 26.0}
    assert found["strategies"] == found["workers"]["1"]
    assert found["objective"] == {"metric": "value", "mode": "max"}
    assert (found["rows"], found["networks"], found["optimum"], found["seeds"]) == (27, 27, 26.0, 4)
    assert [(pair["a"], pair["b"]) for pair in found["comparison"]] == [("random", "evolution")]
    again = simulated(capsys, *words)
    for result in (found, again):
        del result["proposal_ms"]
    assert found == again


def test_without_a_budget_a_run_has_100_trials_or_the_whole_space(
    table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = simulated(capsys, "--table", table, *BASIC, "--strategy", "random")
    assert found["trials"] == 100
    assert found["end"]["1"]["random"]["evaluations"] == 27


def test_several_workers_and_schedulers_over_curves(curve_table: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(
        capsys, "--table", curve_table, *BASIC, "--strategy", "random", "--scheduler", "none", "--scheduler", "asha",
        "--trials", "27", "--workers", "1,8", "--within", "2",
    )  # fmt: skip
    assert set(found["workers"]) == {"1", "8"}
    assert set(found["strategies"]) == {"random+none", "random+asha"}
    ends = found["end"]["1"]
    assert ends["random+asha"]["seconds"] < ends["random+none"]["seconds"] / 1.5
    assert found["end"]["8"]["random+none"]["seconds"] < ends["random+none"]["seconds"] / 4
    assert found["target"]["value"] == 24.0


def test_tables_trajectories_and_a_plot(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "t.parquet", tmp_path / "t.svg"
    words = ["--table", table, *BASIC, "--strategy", "random", "--trials", "10", "--report", "value:min"]
    assert call(["simulate", *words, "--out", str(out), "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "best value after so many evaluations" in printed
    assert "until 26.000 was reached" in printed
    rows = pyarrow.parquet.read_table(out)
    assert rows.num_rows == 40
    assert {"strategy", "workers", "seed", "evaluation", "row", "ended", "incumbent", "incumbent:value"} <= set(
        rows.column_names
    )
    assert plot.read_text().startswith("<?xml")


def test_options_reach_the_strategy(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--table", table, *BASIC, "--strategy", "evolution", "--trials", "20", "--at", "6,8,10,12"]
    small = simulated(capsys, *base, "--set", "evolution.population=3", "--set", "evolution.sample=3")
    usual = simulated(capsys, *base)
    assert small["strategies"] != usual["strategies"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "value", "--strategy", "random"], "--table FILE, or --from-search NAME"),
        (["--table", "TABLE", "--strategy", "random"], "--metric COLUMN"),
        (["--table", "TABLE", "--metric", "valeu", "--strategy", "random"], "did you mean 'value'"),
        (["--table", "TABLE", *BASIC, "--trials", "5"], "no strategy is named"),
        (["--table", "TABLE", *BASIC, "--strategy", "randon", "--trials", "5"], "did you mean 'random'"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--trials", "5", "--workers", "1,x"], "--workers 'x'"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--trials", "5", "--mode", "most"], "--mode 'most'"),
        (["--table", "TABLE", "--metric", "value", "--strategy", "random"], "--mode max or --mode min"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--report", "value:most"], "value:min"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--trials", "5", "--set", "a=1"], "--set 'a=1'"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--trials", "5", "--set", "random.a=1"], "does not take"),
        (["--table", "TABLE", *BASIC, "--strategy", "random", "--trials", "5", "--noise", "-1"], "noise"),
        (["--table", "TABLE", *BASIC, "--space", "mlp", "--strategy", "random", "--trials", "5"], "given twice"),
        (["--table", "none.parquet", *BASIC, "--strategy", "random", "--trials", "5"], "no such file"),
        (["--from-search", "nobody", "--strategy", "random", "--trials", "5"], "nobody"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str],
    message: str,
    table: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "runs"))
    assert call(["simulate", *(table if word == "TABLE" else word for word in words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err


def test_every_key_is_documented(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    section = page.split("## `raynas simulate --json`")[1].split("\n## ")[0]
    keys = set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))
    found = simulated(
        capsys, "--table", table, *BASIC, "--strategy", "random", "--strategy", "evolution", "--trials", "5"
    )
    entry = found["end"]["1"]["random"]
    keys_of_a_summary = set(found["strategies"]["random"]["5"])
    assert (
        set(found)
        | {f"target.{key}" for key in found["target"]}
        | {f"comparison[].{key}" for key in found["comparison"][0]}
        | keys_of_a_summary
        == keys
    )
    assert set(entry) == keys_of_a_summary | {"evaluations", "seconds"}
    assert set(found["target"]["seconds"]["1"]["random"]) == {"share", "quantiles"}


def test_a_finished_search_is_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "runs"
    monkeypatch.setenv("RAYNAS_HOME", str(home))
    journal_of_a_search(home / "first" / "journal.jsonl")
    found = simulated(
        capsys, "--from-search", "first", "--strategy", "random", "--trials", "50", "--seeds", "3", "--processes", "1"
    )
    assert found["objective"] == {"metric": "val_accuracy", "mode": "max"}
    assert found["rows"] == 6
    # The trial that was stopped early is a row like any other, but is no candidate for the best at the full budget.
    assert found["optimum"] == 0.75
    assert found["end"]["1"]["random"]["evaluations"] == found["networks"]
    assert found["strategies"]["random"]["50"]["mean"] == 0.75


def journal_of_a_search(path: Path) -> None:
    """Six trials of ``mlp`` on digits, three epochs each; trial 2 stops after the first."""
    from raynas.journal import Writer
    from raynas.spec import references as sources

    task = sources.make_task(sources.source_of("raynas.tasks", "digits"))
    space = sources.make_space(sources.source_of("raynas.spaces", "mlp"), task)
    path.parent.mkdir(parents=True)
    writer = Writer(path)
    spec = {
        "space": "mlp",
        "task": "digits",
        "strategy": "random",
        "scheduler": "asha",
        "epochs": 3,
        "trials": 6,
        "time": None,
    }
    objective = {"metric": "val_accuracy", "mode": "max"}
    writer.write(
        "search_started", name="first", search_id="0" * 32, spec=spec, seed=0, space={"reference": "mlp"},
        task={"reference": "digits"}, objective=objective, versions={}, machine={},
    )  # fmt: skip
    for number in range(6):
        architecture = space.sample(random.Random(number))
        writer.write(
            "trial_proposed", trial=number, architecture=architecture.to_json(), trial_id=space.trial_id(architecture),
            network_id=space.network_id(architecture), name="", strategy="random", origin={}, session=0,
        )  # fmt: skip
        for step in range(1, 2 if number == 2 else 4):
            value = 0.99 if number == 2 else (number + step) / (10 + (number == 5) * (2 / 3))
            stop = "early_stopped" if number == 2 else "budget" if step == 3 else None
            writer.write(
                "measured", trial=number, attempt=0, step=step, metrics={"val_accuracy": value, "val_loss": 1 - value},
                seconds=0.5, rung=step, decision="stop" if stop else "continue", stop_reason=stop,
            )  # fmt: skip
    writer.close()
