"""Settings that a person gets wrong: each with one line that names the file, the line, the field and the way out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest

from raynas.durations import format_duration, parse_duration
from raynas.errors import SpecError
from raynas.spec.reading import make_spec, read_spec, write_spec
from raynas.spec.settings import SearchSpec, Settings, setting_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: resnet\ntrails: 3\n", "line 2: field 'trails' is unknown; did you mean 'trials'?"),
        ("space: resnet\ntrials: many\n", "line 2: trials 'many' is not a whole number"),
        ("space: resnet\n\ntrials: 0\n", "line 3: trials 0 is too small; give 1 or more"),
        ("space: resnet\ntime: soon\n", "line 2: time 'soon' is not a length of time"),
        ("space: resnet\ntime: 0\n", "line 2: time 0 leaves nothing to search in"),
        ("space: resnet\n\ntrial_time: soon\n", "line 3: trial_time 'soon' is not a length of time"),
        ("space: resnet\nmode: best\n", "line 2: mode 'best' is none of 'min' or 'max'"),
        ("space: [resnet\n", "not YAML"),
        ("- resnet\n", "line 1: settings are 'field: value' lines"),
        ("", "line 1: settings are 'field: value' lines"),
        ("space: resnet\nworkers: 1.5\n", "line 2: workers 1.5 is not a whole number"),
        ("space: resnet\ntracking_uri: htp:/x\n", "line 2: tracking_uri 'htp:/x': not the address of an MLflow store"),
    ],
)
def test_a_wrong_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as raised:
        read_spec(path, {})
    assert str(path) in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path / "none.yaml", {})


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("space: resnet\ntrials: 3\ntime: 5m\n")
    spec = read_spec(path, {"trials": 7, "seed": None})
    assert (spec.space, spec.trials, spec.time) == ("resnet", 7, 300.0)


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "settings").mkdir()
    (tmp_path / "nas.py").touch()
    path = folder / "search.yaml"
    path.write_text(
        "space: ../nas.py:space\ntask: ../nas.py:Task\nstrategy: evolution\ndata: images\nwarm_start: ./old.parquet\n"
        "tracking_uri: sqlite:///store.db\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = read_spec(Path("settings/search.yaml"), {})
    assert (spec.space, spec.task) == (f"{tmp_path}/nas.py:space", f"{tmp_path}/nas.py:Task")
    assert (spec.strategy, spec.data, spec.warm_start) == ("evolution", f"{folder}/images", f"{folder}/old.parquet")
    assert spec.tracking_uri == f"sqlite:///{folder}/store.db"
    typed = read_spec(path, {"data": "images", "warm_start": "old", "tracking_uri": "./mlruns"})
    assert (typed.data, typed.warm_start, typed.tracking_uri) == ("images", "old", "./mlruns"), "what is typed stays"
    path.write_text("task: digits\nspace: nas.py:space\ntracking_uri: ./mlruns\nwarm_start: first\n")
    with pytest.raises(SpecError, match=rf"line 2: space 'nas.py:space': there is no file {folder}/nas.py; .*relative"):
        read_spec(path, {})
    known = read_spec(path, {"space": "mlp"})
    assert (known.tracking_uri, known.warm_start, known.task) == (f"{folder}/mlruns", "first", "digits")


def test_a_spec_written_is_a_spec_that_can_be_read(tmp_path: Path) -> None:
    spec = make_spec({"space": "mlp", "trials": 3, "strategy_options": {"population": 10}, "time": "1h"})
    write_spec(tmp_path / "spec.yaml", spec)
    assert read_spec(tmp_path / "spec.yaml", {}) == spec


def test_no_space_is_said() -> None:
    with pytest.raises(SpecError, match="field 'space' is missing"):
        read_spec(None, {})


def test_a_metrics_name_says_nothing_of_its_direction() -> None:
    assert SearchSpec(space="mlp", metric="val_loss").mode is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), (45, 45), ("1.5h", 5400)],
)
def test_lengths_of_time(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "-3", "0", "nan", "inf", "m5", "5m 3s"])
def test_not_lengths_of_time(text: str) -> None:
    with pytest.raises(SpecError, match="time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m00s"), (200, "3m20s"), (7_500, "2h05m"), (90_000, "1d01h")]
)
def test_lengths_of_time_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_no_finalists_after_all(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("space: mlp\nfinalists: 3\nrepeats: 2\n")
    assert read_spec(path, {"finalists": 0}).repeats is None
    assert read_spec(path, {}).repeats == 2


def test_the_keywords_of_a_search_are_the_settings_that_are_declared() -> None:
    declared, keywords = get_type_hints(SearchSpec), get_type_hints(Settings)
    assert {"time" if name == "seconds" else name for name in keywords} == declared.keys() - {
        "space",
        "task",
        "evaluator",
    }
    plain = (int, float, bool, str)
    for name, hint in keywords.items():
        kind = declared["time" if name == "seconds" else name]
        options = () if get_origin(kind) is dict else (kind, *get_args(kind))
        inner = next((option for option in options if option in plain), None)
        if inner is not None:
            assert inner in get_args(hint), f"{name}: {hint} beside {kind}"


def test_every_setting_that_a_command_takes_says_what_it_is() -> None:
    for each in fields(SearchSpec):
        setting = setting_of(each.name)
        assert setting.help.endswith((".", ")")), each.name
        assert not setting.option or setting.metavar or each.name == "mlflow", each.name
