"""A search fits itself to its time. What is measured is given here, so that every machine decides the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import raynas
from raynas import api, costs
from raynas.engine.cluster import Slots
from raynas.engine.dry_run import Plan
from raynas.engine.time_plan import budget
from raynas.engine.time_plan.speed import affordable_flops
from raynas.errors import SpecError, TaskError, UserError
from raynas.evaluators.timing import Pace, SpeedLine, seconds_of
from raynas.evaluators.training import Training

CLASSES, A_CLASS = 2, 100


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures, most of them of 120 x 100 pixels."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(CLASSES * A_CLASS):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(exist_ok=True)
        size = (40, 30) if number < 10 else (120, 100)
        noise = rng.integers(256, size=(*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png", compress_level=0)
    return root


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path_factory.getbasetemp() / "decoded"))
    monkeypatch.setattr("raynas.api._require_room", lambda spec: None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, int]]]:
    """Makes this a machine of a given speed; gives what was measured: (shape of a picture, batch size)."""

    def of(flops_a_second: float, *, workers: int = 2, overhead: float = 0.0) -> list[tuple[Any, int]]:
        measured: list[tuple[Any, int]] = []

        def pace(
            self: Training, space: Any, architecture: Any, context: Any, *, at_once: int = 1, batch_size: int = 0
        ) -> Pace:
            size = batch_size or self.recipe.batch_size
            measured.append((self.task.input_shape, size))
            flops = costs.cost(space.network(architecture), self.task.input_shape).flops
            seconds = (3 * flops / flops_a_second + overhead) * (1 + 4 / size)
            return Pace(flops, seconds / context.threads**0.5, size)

        def slots(spec: dict[str, Any]) -> Slots:
            return Slots(min(spec["workers"] or workers, workers), spec["cpus_per_trial"], 0, "cpu")

        monkeypatch.setattr(Training, "pace", pace)
        monkeypatch.setattr(Training, "decide", lambda self, *given: {"precision": "fp32"})
        for where in ("raynas.engine.time_plan.plan", "raynas.engine.dry_run"):
            monkeypatch.setattr(f"{where}.slots_here", slots)
        return measured

    return of


def planned(photos: Path, **settings: Any) -> Plan:
    """What a search would do; the check before it, one real step, is made elsewhere."""
    return api.plan("resnet", data=str(photos), **settings)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "check_here", lambda parts, spec: None)


@pytest.mark.usefixtures("unchecked")
def test_slower_machines_have_smaller_pictures_and_a_budget_of_time(photos: Path, machine: Any) -> None:
    found = {}
    for speed in (9e8, 1e10, 1e11, 1e14):
        measured = machine(speed)
        plan = planned(photos, seconds="10m")
        side = plan.spec["task_options"].get("size", [64, 64])[0]
        found[speed] = side, plan.spec["trial_time"], plan.spec["epochs"], plan.trials
        assert (3, 224, 224) not in [shape for shape, _ in measured]  # never larger than the pictures
        assert plan.trials >= budget.LEAST_TRIALS
        assert plan.lines[0].startswith(f"about {plan.trials} trials of ")
        assert f"pictures at {side}x{side}" in plan.lines[0]
    sides, times, epochs, _ = zip(*found.values(), strict=True)
    assert list(sides) == sorted(sides)
    assert sides[0] == 32
    assert sides[-1] == 100  # the pictures' own
    assert times[0] is not None
    assert epochs[0] == budget.STEPS
    assert times[-1] is None  # an epoch is short
    assert epochs[-1] == 81  # three times the task's own


@pytest.mark.usefixtures("unchecked")
def test_more_time_gives_more_and_longer_trials_with_larger_pictures(photos: Path, machine: Any) -> None:
    machine(6e9)
    short, long = planned(photos, seconds="10m"), planned(photos, seconds="8h")
    assert long.trials > 2 * short.trials
    assert long.spec["task_options"]["size"] > short.spec["task_options"]["size"]
    wide, deep = (planned(photos, seconds="10m", effort=effort) for effort in ("wide", "deep"))
    assert wide.trials > short.trials > deep.trials >= budget.LEAST_TRIALS
    assert wide.spec["trial_time"] < short.spec["trial_time"] < deep.spec["trial_time"]


@pytest.mark.usefixtures("unchecked")
def test_what_a_person_has_decided_stays(photos: Path, machine: Any) -> None:
    measured = machine(2e9)
    assert planned(photos, seconds="10m", epochs=3, image_size=40).spec["task_options"]["size"] == 40
    assert not measured or all(shape == (3, 40, 40) for shape, _ in measured)
    measured.clear()
    plan = planned(photos, seconds="10m", image_size=40, trial_time="20s", batch_size=16)
    assert (plan.spec["trial_time"], plan.spec["batch_size"], plan.spec["image_size"]) == (20, 16, None)
    assert {shape for shape, _ in measured} == {(3, 40, 40)}
    assert plan.spec["affordable_flops"] > 0
    unlimited = planned(photos, trials=4)
    assert (unlimited.spec["trial_time"], unlimited.spec["affordable_flops"], unlimited.lines) == (None, None, ())


@pytest.mark.usefixtures("unchecked")
def test_a_trial_can_afford_what_lets_it_see_the_data(photos: Path, machine: Any) -> None:
    machine(1e9, overhead=1e-4)
    plan = planned(photos, seconds="10m")
    samples = budget.least_samples(160, plan.spec["batch_size"] or 64, 27)
    fastest = plan.spec["trial_time"] / samples  # a sample
    assert 3 * plan.spec["affordable_flops"] / 1e9 == pytest.approx(fastest, rel=0.3)


@pytest.mark.usefixtures("unchecked")
def test_many_cores_are_shared_by_fewer_trials(photos: Path, machine: Any) -> None:
    machine(1e9, workers=64)
    many = planned(photos, seconds="3m")
    assert many.spec["cpus_per_trial"] > 1
    assert planned(photos, seconds="3m", workers=64).spec["cpus_per_trial"] == 1  # as was said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seconds": "1s"}, "time 1s is too short for one trial.*give --time"),
        ({"seconds": "1m", "trial_time": "5m"}, "does not fit into 1m00s"),
        ({"seconds": "10m", "effort": "wide", "epochs": 3}, "leave out --effort or --epochs"),
        ({"seconds": "10m", "effort": "deep", "trial_time": "9s"}, "leave out --effort or --trial-time"),
        ({"trials": 3, "effort": "deep"}, "give --time as well"),
        ({"seconds": "10m", "effort": "huge"}, "'huge' is none of 'normal', 'wide' or 'deep'"),
        ({"seconds": "10m", "image_size": 101}, "larger than the pictures, which are from 30x40 to 100x120"),
        ({"seconds": "10m", "image_size": 32, "task_options": {"size": 32}}, "leave one of them out"),
        ({"seconds": "10m", "image_size": 32, "data": None}, "for pictures of your own"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would(
    photos: Path, machine: Any, settings: dict[str, Any], words: str
) -> None:
    machine(1e8)
    with pytest.raises(UserError, match=words) as caught:
        api.plan("resnet", **{"data": str(photos), **settings})
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, SpecError | TaskError)


WANTS_LARGE = """
from raynas.blocks import ClassifierHead, ConvNormAct
from raynas.space import Choice, Space, op
from torch import nn

def space(task):
    if min(task.input_shape[1:]) < 64:
        raise ValueError("too small")
    stem = op(ConvNormAct, out_channels=Choice(8, 16), kernel_size=3, stride=2)
    return Space(stem=stem, head=op(ClassifierHead, num_classes=2))
"""


@pytest.mark.usefixtures("unchecked")
def test_a_space_may_refuse_small_pictures(photos: Path, machine: Any, tmp_path: Path) -> None:
    machine(1e9)
    (tmp_path / "mine.py").write_text(WANTS_LARGE)
    plan = api.plan(f"{tmp_path / 'mine.py'}:space", data=str(photos), seconds="10m")
    assert plan.spec["task_options"]["size"][0] >= 64


@pytest.mark.usefixtures("unchecked")
def test_where_nothing_can_be_measured_the_check_says_why(
    photos: Path, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(1e9)

    def broken(*given: Any, **named: Any) -> Pace:
        raise ZeroDivisionError

    monkeypatch.setattr(Training, "pace", broken)
    settings = {"data": str(photos), "seconds": "9m"}
    spec, *_, fitted = api._prepare("resnet", None, None, None, Path("home"), settings)
    assert fitted is None
    assert (spec["epochs"], spec["trial_time"]) == (27, None)  # the task's own


def test_too_little_time_for_many_trials_is_said(photos: Path, machine: Any, unchecked: None) -> None:
    machine(1e8)
    plan = planned(photos, seconds="1m")
    assert plan.trials < budget.LEAST_TRIALS
    assert f"for {budget.LEAST_TRIALS} trials give --time" in plan.lines[1]


def test_a_search_keeps_what_it_decided_and_a_resumed_one_measures_nothing(
    photos: Path, machine: Any, ray_session: None
) -> None:
    """A real search, cut short by its limit on trials."""
    machine(1e9)
    found = raynas.search("resnet", data=str(photos), seconds="5m", trials=1, trial_time="0.5s", mlflow=False, seed=1)
    begun = json.loads((found.folder / "journal.jsonl").read_text().splitlines()[0])
    assert begun["plan"]["trials"] == 1
    assert begun["plan"]["lines"][0].startswith("about 1 trial of 0.5 s of training each")
    assert begun["spec"]["affordable_flops"] > 0
    measured = machine(1e12)
    again = raynas.resume(found.name, trials=2)
    assert len(again.history.ended) == 2
    assert not measured
    for key in ("affordable_flops", "batch_size", "trial_time", "epochs", "task_options"):
        assert again.spec[key] == found.spec[key]
    height, width = again.spec["task_options"]["size"]
    assert raynas.load(found.name).build(0)(__import__("torch").zeros(1, 3, height, width)).shape == (1, CLASSES)


def test_speed_is_a_line_through_what_was_measured() -> None:
    paces = [Pace(flops, 1e-4 + flops * 1e-9, 32) for flops in (1e6, 3e6, 2e7)]
    line = SpeedLine.through(paces[:2])
    assert line.seconds(2e7) == pytest.approx(paces[2].train_seconds)
    assert line.affordable(line.seconds(5e6)) == pytest.approx(5e6)
    alone = SpeedLine.through(paces[2:])
    assert (alone.overhead, alone.seconds(2e7)) == (0, pytest.approx(paces[2].train_seconds))
    flat = SpeedLine.through([Pace(1e6, 1e-3, 32), Pace(1e7, 1e-3, 32)])  # scatter hides the slope
    assert flat.affordable(1e-3) > 0


def test_what_is_faster_than_it_has_to_be_shows_what_is_affordable() -> None:
    """Two networks much slower than 0.33 ms lie on a line that says next to nothing; a small one was measured, too."""
    slow = [Pace(40e6, 1.08e-3, 64), Pace(11e6, 0.95e-3, 64)]
    assert affordable_flops(slow, 0.33e-3) < 5e6
    assert affordable_flops([*slow, Pace(2.4e6, 0.08e-3, 64)], 0.33e-3) == pytest.approx(2.4e6 * 0.33 / 0.08, rel=0.01)


def test_all_that_run_at_once_are_timed_and_what_fails_is_raised() -> None:
    steps: list[int] = []

    def step_of() -> Callable[[], None]:
        def step() -> None:
            steps.append(1)

        return step

    assert seconds_of(step_of, threads=1, at_once=2, device="cpu") >= 0
    assert steps

    def broken() -> None:
        raise ValueError("no such operation")

    with pytest.raises(ValueError, match="no such operation"):
        seconds_of(lambda: broken, threads=1, at_once=2, device="cpu")


def test_shares_of_time() -> None:
    assert budget.wanted_trials(600) == 30
    assert budget.wanted_trials(60, "deep") == budget.LEAST_TRIALS
    assert budget.trial_budget(600, 2, 30, 1.0) == 40
    assert budget.trial_budget(600, 64, 30, 1.0) == 600  # one round is all that there is
    assert budget.trial_budget(600, 8, 30, 1.0) == 150  # four, and not 160 s
    assert budget.epochs_that_fit(1.0, 100, 9, 27) == 27
    assert budget.epochs_that_fit(1.0, 20, 9, 27) == 9
    assert budget.epochs_that_fit(1.0, 100, 9, None) == 9
    assert budget.epochs_that_fit(1.0, 8, 9, 27) is None
    assert [budget.rounded(each) for each in (0.57, 50.6, 123, 1_000)] == [0.5, 50, 120, 990]
