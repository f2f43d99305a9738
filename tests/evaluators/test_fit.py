"""Training from Python, budgets in seconds, and averaged weights."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.evaluators.evaluator import State, TrialContext
from raynas.evaluators.fit import fit
from raynas.evaluators.loop import TrainingEvaluation, any_of
from raynas.evaluators.recipe import Recipe
from raynas.tasks.digits import Digits
from raynas.tasks.task import Data

DIGITS = Digits()
FEW = Data(*(getattr(DIGITS.data, name)[:200] for name in Data.__dataclass_fields__))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def test_a_plain_module_is_trained_from_python() -> None:
    heard = []
    threads = torch.get_num_threads()
    done = fit(network(), DIGITS, epochs=4, seed=3, progress=heard.append, lr=0.1)
    assert [measurement.step for measurement in done.measurements] == [1, 2, 3, 4]
    assert heard == done.measurements
    assert done.measurements[-1].metrics["val_accuracy"] > 0.85
    data = DIGITS.data
    with torch.no_grad():
        outputs = done.model.eval()(DIGITS.prepare(data.valid_inputs))
    assert DIGITS.metrics(outputs, data.valid_targets)["accuracy"] == done.measurements[-1].metrics["val_accuracy"]
    assert torch.get_num_threads() == threads
    with pytest.raises(UserError, match="not both"):
        fit(network(), DIGITS, epochs=1, seconds=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """The clock of training, which goes on by a hundredth of a second each time that it is read; without reading it."""
    seconds = [0.0]

    def read() -> float:
        seconds[0] += 0.01
        return seconds[0]

    monkeypatch.setattr("raynas.evaluators.loop.time", SimpleNamespace(perf_counter=read))
    return lambda: seconds[0]


def test_a_budget_in_seconds_ends_there_and_anneals_to_its_end(now: Callable[[], float]) -> None:
    done = fit(network(), DIGITS, seconds=1.0, steps=4, lr=0.1, schedule="wsd")
    assert len(done.measurements) == 4
    assert 1.0 <= now() < 1.5
    trained = [measurement.metrics["lr"] for measurement in done.measurements]
    assert trained[1] == pytest.approx(0.1)  # still level at a half of the budget
    assert trained[3] < 0.05
    assert all(measurement.metrics["images_per_second"] > 0 for measurement in done.measurements)


def test_a_budget_in_seconds_goes_on_after_a_stop(now: Callable[[], float]) -> None:
    context = TrialContext(0, 0, 4, step_seconds=0.2)

    def fresh() -> TrainingEvaluation:
        return TrainingEvaluation(network(), DIGITS, FEW, Recipe(batch_size=32), context)

    first = fresh()
    steps = [measurement.step for measurement in first.measurements(lambda: now() > 0.5)]
    second = fresh()
    second.load(State({k: v.clone() for k, v in first.state().tensors.items()}, dict(first.state().values)))
    assert second.seen == first.seen > 0
    steps += [measurement.step for measurement in second.measurements()]
    assert steps == [1, 2, 3, 4]
    assert 0.8 <= second.past_seconds < 1.0  # nothing is counted twice


def test_a_step_without_time_for_a_batch_still_has_one() -> None:
    context = TrialContext(0, 0, 3, step_seconds=1e-6)
    evaluation = TrainingEvaluation(network(), DIGITS, FEW, Recipe(batch_size=32), context)
    assert [measurement.step for measurement in evaluation.measurements()] == [1, 2, 3]
    assert evaluation.seen == 3


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"step_seconds": 1e-6, "rungs": (2, 4)}, [500, 1_000, 500, 1_000]),
        ({"step_seconds": 1e-6}, [1_000] * 4),
        ({"rungs": (2, 4)}, [1_000] * 4),
    ],
)
def test_between_the_rungs_of_a_budget_of_time_a_glance_is_enough(budget: dict[str, Any], expected: list[int]) -> None:
    looked = []

    class Watched(Digits):
        def metrics(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
            looked.append(len(targets))
            assert set(targets.tolist()) == {0, 1}  # also where every second one is of one class
            return super().metrics(outputs, targets)

    place = torch.arange(1_000) % len(FEW.valid_targets)
    data = Data(FEW.train_inputs, FEW.train_targets, FEW.valid_inputs[place], torch.arange(1_000) % 2)
    context = TrialContext(0, 0, 4, **budget)
    evaluation = TrainingEvaluation(network(), Watched(), data, Recipe(batch_size=32, ema=0.9), context)
    assert [measurement.step for measurement in evaluation.measurements()] == [1, 2, 3, 4]
    assert looked == expected


def test_averaged_weights_follow_their_formula() -> None:
    recipe = Recipe(batch_size=100, ema=0.5)
    evaluation = TrainingEvaluation(network(), DIGITS, FEW, recipe, TrialContext(0, 0, 5))
    live = dict(evaluation.model.named_parameters())
    expected = {name: parameter.detach().clone() for name, parameter in live.items()}
    for seen in range(6):
        evaluation.one_batch()
        decay = min(0.5, (1 + seen) / (10 + seen))
        for name, parameter in live.items():
            expected[name] = decay * expected[name] + (1 - decay) * parameter.detach()
    state = evaluation.state().tensors
    for name, parameter in live.items():
        assert torch.allclose(state[f"model.{name}"], expected[name], atol=1e-6), name
        assert torch.equal(state[f"live.{name}"], parameter.detach())


@pytest.mark.parametrize("batches", [2, 3])
def test_averaged_weights_get_statistics_of_their_own(batches: int) -> None:
    """At the end of a step (2 batches), and in a checkpoint from the middle of the next one."""
    recipe = Recipe(batch_size=100, ema=0.5)
    evaluation = TrainingEvaluation(network(), DIGITS, FEW, recipe, TrialContext(0, 0, 2))
    assert len(list(evaluation.measurements(lambda: evaluation.seen == batches and evaluation.step == 1))) == 1
    assert (evaluation.step, evaluation.batch) == (1, batches - 2)
    evaluation.state()
    _, hidden, norm, *_ = evaluation.measured.children()
    with torch.no_grad():
        values = hidden(DIGITS.prepare(FEW.train_inputs[any_of(200, 200, 0, "statistics")]).flatten(1))
    assert torch.allclose(norm.running_mean, values.mean(0), atol=1e-4)  # type: ignore[arg-type]
    assert torch.allclose(norm.running_var, values.view(2, 100, -1).var(1).mean(0), rtol=1e-3)  # type: ignore[arg-type]
    assert norm.momentum == 0.1
    assert not evaluation.measured.training


def test_statistics_are_those_of_all_data_where_it_is_sorted() -> None:
    """Of four classes by the brightness of a picture, sorted; the head of the data is of the darkest alone."""

    class Sorted(Digits):
        def load(self) -> Data:
            labels = torch.arange(4).repeat_interleave(300)
            noise = torch.randn(1_200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
            inputs = (labels.view(-1, 1, 1, 1) * 60 + 30 + noise * 20).clamp(0, 255).to(torch.uint8)
            held_out = torch.arange(1_200) % 5 == 0
            return Data(inputs[~held_out], labels[~held_out], inputs[held_out], labels[held_out])

    done = fit(network(), Sorted(), epochs=2, ema=0.9, batch_size=16)
    assert [measurement.metrics["val_accuracy"] > 0.9 for measurement in done.measurements] == [True, True]


def test_what_modules_draw_from_is_seeded_on_each_kind_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = {}
    evaluation = TrainingEvaluation(network(), DIGITS, FEW, Recipe(), TrialContext(0, 0, 1))
    for device in ("cuda", "mps"):
        module = getattr(torch, device)
        monkeypatch.setattr(module, "manual_seed", lambda seed, device=device: seeded.setdefault(device, seed))
    for number, device in enumerate(("cpu", "cuda:0", "mps")):
        evaluation.context = replace(evaluation.context, device=device)
        evaluation._seed_modules(number)
        assert torch.initial_seed() == number
    assert seeded == {"cuda": 1, "mps": 2}


def test_the_average_is_what_is_measured_and_given_back() -> None:
    done = fit(network(), DIGITS, epochs=3, ema=0.95)
    with torch.no_grad():
        outputs = done.model.eval()(DIGITS.prepare(DIGITS.data.valid_inputs))
    accuracy = DIGITS.metrics(outputs, DIGITS.data.valid_targets)["accuracy"]
    assert accuracy == done.measurements[-1].metrics["val_accuracy"] > 0.8
