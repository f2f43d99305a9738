"""How the arithmetic is done: decided by time, kept by value, and close to plain float32."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
from raynas.errors import UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.execution import Execution, candidates, fastest
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.tasks.digits import Digits
from raynas.tasks.task import Data

DIGITS = Digits()
FEW = Data(*(getattr(DIGITS.data, name)[:200] for name in Data.__dataclass_fields__))
SPACE = Space(
    stem=op(ConvNormAct, out_channels=Choice(4, 8)),
    block=op(ResidualBlock, out_channels=8, stride=2),
    head=op(ClassifierHead, num_classes=10),
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(ConvNormAct(1, 8), ResidualBlock(8, 8, stride=2), ClassifierHead(8, 10))


@pytest.mark.parametrize("way", candidates("cpu"), ids=str)
def test_every_way_learns_the_same_to_its_precision(way: Execution) -> None:
    def run(way: Execution) -> list[float]:
        recipe = Recipe(batch_size=32)
        evaluation = TrainingEvaluation(network(), DIGITS, FEW, recipe, TrialContext(0, 0, 4), way)
        return [measurement.metrics["val_loss"] for measurement in evaluation.measurements()]

    plain, other = run(Execution()), run(way)
    tolerance = 0.1 if way.precision == "bf16" else 1e-3
    assert other == pytest.approx(plain, rel=tolerance)
    assert run(way) == other  # bit-equal with itself


@pytest.mark.parametrize("way", candidates("cpu"), ids=str)
def test_the_layout_reaches_weights_and_inputs(way: Execution) -> None:
    model = way.place(network(), "cpu")
    weight = model[0].conv.weight  # type: ignore[index]
    inputs = way.arrange(torch.zeros(2, 3, 4, 4))
    last = way.layout == "channels_last"
    assert inputs.is_contiguous(memory_format=torch.channels_last) == last
    assert model[1].conv1.conv.weight.is_contiguous() != last  # type: ignore[index]
    assert weight.dtype == torch.float32
    assert way.arrange(torch.zeros(2, 5)).shape == (2, 5)


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], Callable[[Execution], Callable[[], None]]]:
    """Steps that take so long for each way, by a clock that nothing else moves."""
    now = [0.0]
    monkeypatch.setattr("raynas.evaluators.execution.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return lambda seconds: lambda way: lambda: sleep(seconds[f"{way.precision} {way.layout}"])


def test_the_fastest_way_is_taken_if_it_is_worth_it(sleeper: Callable[..., Any]) -> None:
    plain, last, half, both = "fp32 contiguous", "fp32 channels_last", "bf16 contiguous", "bf16 channels_last"
    clear = fastest(sleeper({plain: 0.05, last: 0.03, half: 0.05, both: 0.01}), "cpu")
    assert clear == Execution("bf16", "channels_last")
    assert fastest(sleeper({plain: 0.05, last: 0.049, half: 0.05, both: 0.06}), "cpu") == Execution()


def test_the_timing_ends_as_soon_as_the_order_is_clear(sleeper: Callable[..., Any]) -> None:
    plain, half = Execution(), Execution("bf16")
    calls: list[Execution] = []

    def taken(seconds: dict[str, float]) -> tuple[Execution, int, int]:
        calls.clear()
        steps = sleeper(seconds)
        found = fastest(lambda way: lambda: (calls.append(way), steps(way)())[1], "cpu", [plain, half])
        return found, calls.count(plain), calls.count(half)

    assert taken({"fp32 contiguous": 0.05, "bf16 contiguous": 0.01}) == (half, 2, 2)
    assert taken({"fp32 contiguous": 0.05, "bf16 contiguous": 0.07}) == (plain, 2, 2)
    assert taken({"fp32 contiguous": 0.05, "bf16 contiguous": 0.048}) == (plain, 4, 4)
    assert taken({"fp32 contiguous": 1.5, "bf16 contiguous": 1.4}) == (plain, 2, 2), "the time is up"


def test_a_decision_travels_as_plain_values() -> None:
    training = Training(DIGITS)
    decision = training.decide(SPACE, SPACE.default(), TrialContext(0, 0, 3))
    assert set(decision) == {"precision", "layout", "compile"}
    there = Training(DIGITS)
    there.adopt(json.loads(json.dumps(decision)))
    assert there.execution == Execution.of(decision)
    there.adopt({})
    assert there.execution == Execution.of(decision)
    chosen = Training(DIGITS, execution=Execution("bf16"))
    assert chosen.decide(SPACE, SPACE.default(), TrialContext(0, 0, 3))["precision"] == "bf16"
    evaluation = chosen.start(SPACE, SPACE.default(), TrialContext(0, 0, 1))
    assert evaluation.execution.precision == "bf16"
    assert "val_accuracy" in chosen.check(SPACE, SPACE.default(), TrialContext(0, 0, 1)).metrics


@pytest.mark.parametrize("values", [{"precision": "fp8"}, {"layout": "rows"}, {"speed": 3}])
def test_ways_that_are_not_known_are_named(values: dict[str, object]) -> None:
    with pytest.raises(UserError, match=str(next(iter(values.values()))) + "|speed"):
        Execution.of(values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("way", [*candidates("cuda"), Execution("bf16", "channels_last", compile=True)], ids=str)
def test_the_same_loop_on_cuda(way: Execution) -> None:
    training = Training(DIGITS, execution=way, ema=0.9)
    evaluation = training.start(SPACE, SPACE.default(), TrialContext(0, 0, 3, device="cuda"))
    last = list(evaluation.measurements())[-1]
    assert last.metrics["val_accuracy"] > 0.5
    again = training.start(SPACE, SPACE.default(), TrialContext(0, 0, 4, device="cuda"))
    again.load(evaluation.state())
    assert next(again.measurements()).step == 4
