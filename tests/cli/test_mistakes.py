"""A person's mistakes: one line that names the thing, the value and the way out; exit code 2; nothing lost or left."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from raynas.cli.app import call
from raynas.journal import Writer
from raynas.registry import find
from raynas.storage.search_folder import FolderLock, SearchFolder

MISTAKES = {
    # what was typed: what the line must hold
    "serch resnet": ("'serch'", "'search'"),
    "search": ("raynas spaces", "--config"),
    "search resnt": ("'resnt'", "'resnet'", "raynas spaces"),
    "search resnet --strategy evolutoin": ("'evolutoin'", "'evolution'"),
    "search resnet --task digit": ("'digit'", "'digits'"),
    "search resnet --evaluator trainig": ("'trainig'", "'training'"),
    "search resnet --scheduler asah": ("'asah'", "'asha'"),
    "search resnet --scheduler asha-promotion": ("'asha-promotion'", "'asha_promotion'"),
    "search resnet --scheduler hyperbrand": ("'hyperbrand'", "'hyperband'"),
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
    "search broken.py:space": ("broken.py", "(line 1)", "SyntaxError"),
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
    "describe here.py:misfit": ("head: Conv2d", "(4, 6, 6)", "kernel_size=9"),
    "describe here.py:no_holes": ("no holes", "Choice"),
    "describe spaces.py:raises": ("could not be made (line ", "ValueError: boom and more"),
    "describe spaces.py:of_two": ("could not be made", "'other'"),
    "describe resnet --seed -1": ("--seed -1", "0 or more"),
    "describe resnet --task images": ("'images'", "data"),
    "describe nothing --trial 1": ("'nothing'", "raynas list"),
    "search resnet --finalists -1": ("--finalists -1", "0 or more"),
    "search resnet --finalists few": ("--finalists 'few'", "whole number"),
    "search resnet --finalists 2 --time 1m": ("finalists 2", "--trials"),
    "search resnet --repeats 2": ("repeats 2", "--finalists"),
    "search resnet --repeats 0 --finalists 2": ("--repeats 0", "1 or more"),
    "search resnet --warm-start=": ("warm_start", "leave it out"),
    "search resnet --data=": ("data '' is empty", "leave it out"),
    "search resnet --metric=": ("metric '' is empty", "leave it out"),
    "search --config named.yaml": ("named.yaml, line 2", "name 2024 is no text", "in quotes"),
    "search --config options.yaml": ("options.yaml, line 2", "task_options 3 is no mapping"),
    "resume nothing --finalists -1": ("--finalists -1", "0 or more"),
    "resume nothing --repeats x": ("--repeats 'x'", "whole number"),
    "search resnet --trial-timeout x": ("--trial-timeout 'x'", "90s"),
    "search resnet --trial-timeout 0": ("--trial-timeout '0'", "more than zero"),
    "search resnet --trial-time x": ("--trial-time 'x'", "90s"),
    "search resnet --trial-time 0": ("--trial-time '0'", "more than zero"),
    "search resnet --cpus-per-trial 1000": ("1000 CPUs", "--cpus-per-trial"),
    "search resnet --gpus-per-trial 1000": ("1000 GPUs", "--gpus-per-trial"),
    "search resnet --cpus-per-trial 0": ("--cpus-per-trial 0", "more than 0"),
    "search resnet --cpus-per-trial x": ("--cpus-per-trial 'x'", "more than 0"),
    "search resnet --gpus-per-trial -1": ("--gpus-per-trial -1", "0 or more"),
    "search resnet --max-concurrent 0": ("--max-concurrent 0", "1 or more"),
    "search resnet --keep-best -1": ("--keep-best -1", "0 or more"),
    "search resnet --device tpu": ("'tpu'", "'cuda'"),
    "search resnet --tracking-uri bogus://x": ("'bogus://x'", "sqlite:///"),
    "search resnet --tracking-uri bogus://ann:s3cret@x": ("'bogus://***@x'",),
    "search resnet --tracking-uri ./mlruns": ("'./mlruns'", "MLFLOW_ALLOW_FILE_STORE=true", "--no-mlflow"),
    "search resnet --tracking-uri http://***@host": ("http://***@host", "without its password", "--no-mlflow"),
    "search mlp --constraint params<500k": ("'params<500k'", "<= and >="),
    "search mlp --constraint params<=lots": ("'lots'", "500k"),
    "search mlp --cost speed": ("'speed'", "path/to/file.py:name"),
    "search mlp --cost nowhere.py:Cost": ("nowhere.py", "check the path"),
    "search resnet --quiet --json": ("--quiet", "--json"),
    "search resnet --name=": ("--name ''", "leave it out"),
    "search resnet --data ~nobody-here/x": ("'~nobody-here/x'", "write it out"),
    "search ~nobody-here/x.py:space": ("'~nobody-here/x.py'", "write it out"),
    "search --config empty": ("'empty'", "cannot be read"),
    "search --config nothing.yaml": ("nothing.yaml", "field: value"),
    "resume nothing --time x": ("--time 'x'", "90s"),
    "resume nothing --workers 0": ("--workers 0", "1 or more"),
    "resume nothing --quiet --json": ("--quiet", "--json"),
    "stop": ("NAME", "raynas stop --help"),
    "stop nothing": ("'nothing'", "raynas list"),
    "status": ("NAME", "raynas status --help"),
    "status ../up": ("'../up'", "letters"),
    "status nothing extra": ("extra", "raynas status --help"),
    "list extra": ("extra", "raynas list --help"),
    "spaces extra": ("extra", "raynas spaces --help"),
    "best nothing --top x": ("--top 'x'", "whole number"),
    "trials nothing": ("'nothing'", "raynas list"),
    "trials nothing --last 0": ("--last 0", "1 or more"),
    "show nothing 0": ("'nothing'", "raynas list"),
    "show nothing": ("TRIAL", "raynas show --help"),
    "show nothing x": ("TRIAL 'x'", "whole number"),
    "show nothing 0 --log -1": ("--log -1", "0 or more"),
    "export nothing": ("--output", "raynas export --help"),
    "export nothing --output model": ("'nothing'", "raynas list"),
    "export nothing --output model --trial x": ("--trial 'x'", "whole number"),
    "evaluate nothing": ("--data", "raynas evaluate --help"),
    "evaluate nothing --data empty": ("'nothing'", "raynas list"),
    "evaluate nothing --data empty --trial x": ("--trial 'x'", "whole number"),
    "delete": ("NAME", "raynas delete --help"),
    "delete nothing": ("'nothing'", "raynas list"),
    "ui nothing": ("'nothing'", "raynas list"),
    "ui --port x": ("--port 'x'", "whole number"),
    "ui --port 0": ("--port 0", "1 or more"),
    "sync": ("NAME", "raynas sync --help"),
    "sync nothing": ("'nothing'", "raynas list"),
    "simulate": ("--table FILE", "--from-search NAME"),
    "simulate --table ok.csv": ("--metric COLUMN",),
    "simulate --table nowhere.csv --metric acc": ("nowhere.csv", "Parquet or CSV"),
    "simulate --table nothing.yaml --metric acc": ("nothing.yaml", "cannot be read"),
    "simulate --table heads.csv --metric acc": ("heads.csv", "no rows"),
    "simulate --table torn.parquet --metric acc": ("torn.parquet", "cannot be read"),
    "simulate --table empty --metric acc": ("'empty'", "Parquet or CSV"),
    "simulate --table ok.csv --metric nope": ("'nope'", "a, b, acc"),
    "simulate --table ok.csv --metric acc --mode max --holes a,zz": ("'zz'", "a, b, acc"),
    "simulate --table ok.csv --metric acc --mode max --holes 6x5": ("6x5", "columns"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b": ("--strategy",),
    "simulate --table ok.csv --metric acc --holes a,b --mode up": ("--mode 'up'", "min or max"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --strategy evolutoin": ("'evolutoin'", "'evolution'"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --strategy random --scheduler asah": (
        "'asah'",
        "'asha'",
    ),
    "simulate --table ok.csv --metric acc --mode max --strategy random --scheduler hyperband --reduction-factor 1": (
        "--reduction-factor",
        "2",
    ),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --set foo": ("--set 'foo'", "evolution.population=30"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --set a.b=[1": ("'[1'", "a number"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --workers x": ("--workers 'x'", "1 or more"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --seeds 0": ("--seeds 0", "1 or more"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --trials 0": ("--trials 0", "1 or more"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --budget-seconds x": (
        "--budget-seconds 'x'",
        "more than 0",
    ),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --noise x": ("--noise 'x'", "0 or more"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --failures 2": ("failures 2", "0 to 1"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --within -1": ("--within -1", "0 or more"),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --proposal-seconds x": ("--proposal-seconds 'x'",),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --strategy random --out no/x.parquet": (
        "--out 'no/x.parquet'",
    ),
    "simulate --table ok.csv --metric acc --mode max --holes a,b --strategy random --plot no/x.png": (
        "--plot 'no/x.png'",
    ),
    "simulate --table ok.csv --metric acc --mode max --space resnt": ("'resnt'", "'resnet'"),
    "simulate --from-search nothing": ("'nothing'", "raynas list"),
}

#: Mistakes that are found while Ray starts beside: here it is there already, or each would start one.
LATE_MISTAKES = {
    "search mlp --constraint param<=500k": ("'param<=500k'", "did you mean 'params'", "flops, params", "--cost"),
    "search mlp --constraint params<=1k --constraint params>=2k": (
        "'params<=1k'",
        "'params>=2k'",
        "no number keeps both",
    ),
    "search mlp --constraint params<=10": ("networks drawn none has params<=10; the smallest has", "--constraint"),
    "search mlp --cost here.py:number": ("here.py:number", "is no raynas.costs.CostModel"),
    "search mlp --cost costs.py:Twice": ("costs.py:Twice", "flops is given by 'analytic' already"),
    "search mlp --cost costs.py:Broken": ("costs.py:Broken", "ZeroDivisionError"),
    "search mlp --cost costs.py:Nameless": ("costs.py:Nameless", "('latency_ms',)"),
    "search mlp --evaluator here.py:number": ("here.py:number", "int", "docs/own/evaluator.md"),
    "search mlp --evaluator loops.py:no_yield": ("'no_yield'", "does not yield"),
    "search mlp --evaluator loops.py:of_one": ("'of_one'", "def of_one(model, trial)"),
    "search mlp --evaluator loops.py:loop --trial-time 5s": ("trial_time", "training loop 'loop'", "give epochs"),
    "search here.py:narrow --evaluator loops.py:loop": ("output has shape (9,)", "needs (10,)"),
    "search here.py:number": ("'", "int", "Space"),
    "search here.py:no_holes": ("no holes", "Choice"),
    "search here.py:misfit --name bad": ("head: Conv2d", "(4, 6, 6)", "kernel_size=9"),
    "search resnet --warm-start nothing": ("warm start", "'nothing'", "raynas list", "FILE.parquet"),
    "search resnet --warm-start nowhere.parquet": ("warm start", "nowhere.parquet", "no such file"),
    "search resnet --warm-start torn.parquet": ("warm start", "torn.parquet", "no Parquet file"),
    "search resnet --warm-start ../up": ("warm start", "up", "no such file"),
    "search resnet --metric nothing --mode max": ("'nothing'", "val_accuracy"),
    "search resnet --grace-period 9 --epochs 3": ("grace period 9", "3"),
    "search resnet --data nowhere": ("nowhere", "CLASS/NAME.jpg"),
    "search resnet --data empty": ("no images", "CLASS/NAME.jpg"),
    "search resnet --data torn.parquet": ("torn.parquet", "Parquet"),
    "search resnet --data empty --task digits": ("'digits'", "'data'"),
    "search resnet --strategy strategies.py:nothing": ("'nothing'", "strategies.py"),
}

#: Mistakes with a search that is there (``first``), one whose journal is damaged (``torn``), and files.
WITH_A_SEARCH = {
    "search mlp --name first": ("'first' exists", "raynas resume first"),
    "search resnet --name other --warm-start first": ("warm start 'first'", "none of its 1 architectures", "'resnet'"),
    "search mlp --name other --warm-start first --metric val_loss": ("no value of metric 'val_loss'", "val_accuracy"),
    "search mlp --name other --warm-start torn": ("warm start", "torn"),
    "resume first --repeats 2": ("repeats 2", "--finalists"),
    "stop first": ("'first' is not running", "raynas status first"),
    "show first 99": ("no trial 99", "0 to 0"),
    "describe first --trial 99": ("no trial 99", "0 to 0"),
    "export first --trial 99 --output model": ("no trial 99", "0 to 0"),
    "export first --trial 0 --output model": ("trial 0", "kept"),
    "export first --output here.py": ("here.py", "folder"),
    "export first --output full": ("not empty", "--force"),
    "evaluate first --data empty": ("kept no weights", "keep_best"),
    "evaluate first --data empty --trial 99": ("no trial 99", "0 to 0"),
    "evaluate first --data empty --trial 0": ("trial 0", "kept"),
    "trials first --csv no/x.csv": ("no/x.csv", "another file"),
    "trials first --csv empty": ("empty", "another file"),
    "trials first --parquet no/x.parquet": ("no/x.parquet", "another file"),
    "delete first": ("'first'", "--yes"),
    "sync first --tracking-uri bogus://x": ("'bogus://x'",),
    "simulate --from-search first --strategy random --metric nope": ("'nope'", "val_accuracy"),
    "status torn": ("torn/journal.jsonl", "line 1", "from a copy"),
    "resume torn": ("torn/journal.jsonl", "line 1", "from a copy"),
    "best torn": ("torn/journal.jsonl", "line 1", "from a copy"),
    "delete torn": ("'torn'", "--yes"),
}

FILES = {
    "here.py": """
from torch import nn
from raynas.space import Choice, Space, op
number = 3
space = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=10, bias=Choice(True, False)))
no_holes = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=10))
narrow = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=9, bias=Choice(True, False)))
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
    "named.yaml": "space: resnet\nname: 2024\n",
    "options.yaml": "space: resnet\ntask_options: 3\n",
    "nothing.yaml": "",
    "spaces.py": "def raises(task):\n    raise ValueError('boom\\nand more')\n\ndef of_two(one, other):\n    pass\n",
    "strategies.py": "number = 3\n",
    "loops.py": "def loop(model, trial):\n    yield {}\n\ndef no_yield(model, trial):\n    pass\n\n"
    "def of_one(model):\n    yield {}\n",
    "costs.py": """from raynas.costs import CostModel

class Twice(CostModel):
    metrics = ("flops",)
    def measure(self, network, input_shape, dtype=None):
        return {"flops": 1}

class Broken(Twice):
    metrics = ("share",)
    def measure(self, network, input_shape, dtype=None):
        return {"share": 1 / 0}

class Nameless(Twice):
    metrics = "share"
""",
    "ok.csv": "a,b,acc\n1,2,0.5\n2,2,0.6\n1,3,0.7\n",
    "heads.csv": "a,b,acc\n",
    "torn.parquet": "PAR1 and no more",
    "full/file": "",
    "empty/": "",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the mistakes name, to work in."""
    for name, text in FILES.items():
        path = tmp_path / name
        (path if name.endswith("/") else path.parent).mkdir(exist_ok=True)
        if not name.endswith("/"):
            path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "runs"))
    return tmp_path


@pytest.fixture
def searches(folder: Path) -> Path:
    """A home with a search of one trial, and one whose journal is damaged in the middle."""
    runs = folder / "runs"
    for name in ("first", "torn"):
        (runs / name).mkdir(parents=True)
    (runs / "torn" / "journal.jsonl").write_text("no journal\nat all\n", encoding="utf-8")
    space = find("raynas.spaces", "mlp")(find("raynas.tasks", "digits")())
    default = space.default()
    spec = {"space": "mlp", "task": "digits", "strategy": "random", "scheduler": "none", "seed": 0, "epochs": 1}
    spec |= {"name": "first", "trials": 1, "time": None, "workers": None, "metric": "val_accuracy", "mode": "max"}
    with Writer(runs / "first" / "journal.jsonl") as journal:
        journal.write(
            "search_started",
            name="first",
            search_id="0" * 32,
            spec=spec,
            seed=0,
            space={"reference": "mlp", "fingerprint": space.fingerprint, "description": space.description()},
            task={"reference": "digits"},
            objective={"metric": "val_accuracy", "mode": "max"},
            versions={},
            machine={},
        )
        limits = {"trials": 1, "seconds": None}
        journal.write(
            "session_started", session=0, pid=1, host="here", limits=limits, workers=1, changes={}, versions={}
        )
        journal.write(
            "trial_proposed",
            trial=0,
            architecture=default.to_json(),
            trial_id=space.trial_id(default),
            network_id=space.network_id(default),
            name="default",
            strategy="default",
            origin={},
            session=0,
        )
        journal.write("trial_started", trial=0, attempt=0, session=0)
        measured = {"step": 1, "metrics": {"val_accuracy": 0.5}, "seconds": 1.0, "rung": 1}
        journal.write("measured", trial=0, attempt=0, **measured, decision="stop", stop_reason="budget")
        journal.write("trial_ended", trial=0, state="completed", reason="budget", error=None, steps=1, seconds=1.0)
        journal.write("session_ended", session=0, reason="trials", message="")
    return runs


def line_of(output: str) -> str:
    """The one line of an error."""
    lines = output.splitlines()
    assert len(lines) == 1, output
    assert lines[0].startswith("error: ")
    return lines[0]


def check_mistake(typed: str, expected: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """It is told in one line, with these words, and nothing else is printed."""
    assert call(typed.split()) == 2
    output = capfd.readouterr()
    line = line_of(output.err)
    for words in expected:
        assert words in line
    assert not output.out


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_one_line(typed: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_mistake(typed, MISTAKES[typed], capfd)
    assert not (folder / "runs").exists(), "a mistake leaves nothing behind"


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("typed", LATE_MISTAKES)
def test_a_mistake_that_is_found_late_is_one_line(typed: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_mistake(typed, LATE_MISTAKES[typed], capfd)
    assert not (folder / "runs").exists(), "a mistake leaves nothing behind"


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("typed", WITH_A_SEARCH)
def test_a_mistake_with_a_search_leaves_it_as_it_was(
    typed: str, searches: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    journals = {path: path.read_bytes() for path in searches.glob("*/journal.jsonl")}
    check_mistake(typed, WITH_A_SEARCH[typed], capfd)
    assert {path: path.read_bytes() for path in searches.glob("*/journal.jsonl")} == journals


@pytest.mark.parametrize("typed", ["resume first --trials 2", "delete first --yes", "search mlp --name first"])
def test_a_second_process(typed: str, searches: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FolderLock(SearchFolder(searches, "first")):
        assert call(typed.split()) == 2
        assert "'first'" in line_of(capfd.readouterr().err)
        assert call(["status", "first"]) == 0
        assert "first is running" in capfd.readouterr().out


def test_a_damaged_search_does_not_hide_the_others(searches: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "--json"]) == 0
    output = capfd.readouterr()
    assert [entry["name"] for entry in json.loads(output.out)] == ["first"]
    assert output.err.startswith("search 'torn' is left out: journal ")
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize("typed", ["search mlp --name first", "search mlp --data empty", "search mlp --data ~/data"])
def test_a_user_without_a_home_folder(
    typed: str, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run under any number, with no HOME and no entry in /etc/passwd."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "RAYNAS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert call(typed.split()) == 2
    assert "set HOME" in line_of(capfd.readouterr().err)


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
