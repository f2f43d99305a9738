"""The training loop: the contract of an evaluator, cut off at any batch, and the loop without a search space."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
from raynas.evaluators.evaluator import Measurement, State, TrialContext
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.tasks.digits import Digits
from raynas.tasks.task import Data
from raynas.testing import EvaluatorContract

DIGITS = Digits()
FEW = Data(*(getattr(DIGITS.data, name)[:200] for name in Data.__dataclass_fields__))
TIMES = ("images_per_second",)


def small(seed: int = 0) -> nn.Module:
    """A network with all that could break bit-equality: batch norm's buffers, dropout, layers without bias."""
    torch.manual_seed(seed)
    return nn.Sequential(
        ConvNormAct(1, 4), ResidualBlock(4, 6, stride=2, squeeze_excite=True), ClassifierHead(6, 10, dropout=0.3)
    )


def evaluation(
    recipe: Recipe | None = None, seed: int = 5, steps: int = 3, model: nn.Module | None = None
) -> TrainingEvaluation:
    recipe = recipe or Recipe(batch_size=32)
    return TrainingEvaluation(model or small(), DIGITS, FEW, recipe, TrialContext(0, seed, steps))


def stop_after(calls: int) -> Callable[[], bool]:
    counter = itertools.count(1)
    return lambda: next(counter) > calls


def without_times(measurement: Measurement) -> tuple[int, dict[str, float]]:
    return measurement.step, {k: v for k, v in measurement.metrics.items() if k not in TIMES}


class FewDigits(Digits):
    """200 of them: a step asks seven times whether to stop, before six batches of 32 and before the validation."""

    def load(self) -> Data:
        return FEW


class TestSGD(EvaluatorContract):
    recipe: ClassVar[dict[str, Any]] = {"optimizer": "sgd"}
    cuts = (0, 1, 4, 6, 7, 8, 9, 20)

    def evaluator(self) -> Training:
        return Training(FewDigits(), label_smoothing=0.1, **self.recipe)

    def space(self) -> Space:
        """Of networks like ``small()``."""
        return Space(
            stem=op(ConvNormAct, out_channels=Choice(4, 8)),
            block=op(ResidualBlock, out_channels=6, stride=2, squeeze_excite=True),
            head=op(ClassifierHead, num_classes=10, dropout=0.3),
        )


class TestAdamW(TestSGD):
    recipe: ClassVar[dict[str, Any]] = {"optimizer": "adamw"}


class TestAveragedWeights(TestSGD):
    recipe: ClassVar[dict[str, Any]] = {"optimizer": "sgd", "ema": 0.9}


def test_the_cuts_above_are_at_an_epochs_end_and_within() -> None:
    for calls, where in [(4, (0, 4)), (6, (0, 6)), (7, (1, 0)), (9, (1, 2))]:
        one = evaluation()
        list(one.measurements(stop_after(calls)))
        assert (one.step, one.batch) == where


def test_a_stop_at_every_batch_still_ends_where_it_should() -> None:
    whole, cut = evaluation(), evaluation()
    expected = [without_times(m) for m in whole.measurements()]
    got: list[tuple[int, dict[str, float]]] = []
    seconds = 0.0
    for _ in range(100):
        fresh = evaluation(model=small(seed=2))
        fresh.load(State({k: v.clone() for k, v in cut.state().tensors.items()}, dict(cut.state().values)))
        cut = fresh
        for measurement in cut.measurements(stop_after(2)):
            got.append(without_times(measurement))
            assert measurement.seconds > 0
        assert cut.seconds >= 0
        seconds = max(seconds, cut.seconds)
    assert got == expected
    assert seconds > 0  # time spent before an interruption is kept


def test_another_seed_is_another_training() -> None:
    one, other = (list(evaluation(seed=seed, steps=1).measurements()) for seed in (1, 2))
    assert [without_times(m) for m in one] != [without_times(m) for m in other]


def test_a_measurement_holds_what_is_promised() -> None:
    one = evaluation(steps=2)
    first, last = one.measurements()
    assert (first.step, last.step) == (1, 2)
    assert set(first.metrics) == {"val_accuracy", "val_loss", "train_loss", "lr", "images_per_second"}
    assert all(math.isfinite(value) for value in first.metrics.values())
    assert first.seconds > 0
    assert first.metrics["images_per_second"] >= 6 * 32 / first.seconds
    # The last of 12 batches stands at (11 + 0.5) / 12 of the budget.
    assert last.metrics["lr"] == pytest.approx(one.recipe.learning_rate(11.5 / 12))


def test_one_plain_epoch_equals_a_loop_written_by_hand() -> None:
    """Without augmentation, dropout and warm-up, on one batch: torch's own steps give the same weights."""

    class Plain(Digits):
        def augment(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
            return inputs

    model, twin = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    data = Data(FEW.train_inputs[:50], FEW.train_targets[:50], FEW.valid_inputs, FEW.valid_targets)
    recipe = Recipe(lr=0.1, batch_size=64, warmup=0.0, weight_decay=0.0)
    list(TrainingEvaluation(model, Plain(), data, recipe, TrialContext(0, 0, 3)).measurements())
    optimizer = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9, nesterov=True)
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - (step + 0.5) / 3)
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(data.train_inputs / 127.5 - 1), data.train_targets).backward()
        optimizer.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("metric", [None, "val_worst_class"])
def test_a_diverging_loss_is_one_nan_measurement_and_the_end(metric: str | None) -> None:
    one = evaluation(Recipe(lr=1e20, batch_size=8, warmup=0.0))
    one.context = replace(one.context, metric=metric)
    measurements = list(one.measurements())
    last = measurements[-1]
    assert len(measurements) == 1
    for name in (metric or "val_accuracy", "val_loss", "train_loss"):
        assert math.isnan(last.metrics[name])
    assert math.isfinite(last.seconds)


def test_fewer_samples_than_a_batch_are_one_batch() -> None:
    one = evaluation(Recipe(batch_size=10_000))
    assert (one.batches, one.recipe.batch_size) == (1, 200)
    assert len(list(one.measurements())) == 3


def test_frozen_parameters_stay_and_need_no_optimizer_state() -> None:
    model = small()
    model[0].requires_grad_(False)  # type: ignore[index]
    before = model[0].conv.weight.clone()  # type: ignore[index]
    one = evaluation(model=model)
    list(one.measurements())
    assert torch.equal(model[0].conv.weight, before)  # type: ignore[index]
    assert not any(name.startswith("optimizer.") and ".0." in name for name in one.state().tensors)
