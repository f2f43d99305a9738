"""Recipes: schedules against their definitions, optimizers, and values that cannot be."""

import math

import pytest
import torch
from torch import nn

from raynas.errors import UserError
from raynas.evaluators.recipe import Recipe


def test_one_cycle_is_two_straight_lines() -> None:
    recipe = Recipe(lr=0.4, warmup=0.25)
    assert [recipe.learning_rate(p) for p in (0, 0.125, 0.25, 0.625, 1)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])


def test_cosine_is_a_line_and_half_a_cosine() -> None:
    recipe = Recipe(lr=2.0, warmup=0.5, schedule="cosine")
    expected = [1.0, 2.0, 1 + math.cos(math.pi / 2), 0]
    assert [recipe.learning_rate(p) for p in (0.25, 0.5, 0.75, 1)] == pytest.approx(expected, abs=1e-12)


def test_wsd_is_up_level_and_down() -> None:
    recipe = Recipe(lr=0.4, warmup=0.1, schedule="wsd", decay=0.25)
    rates = [recipe.learning_rate(p) for p in (0, 0.05, 0.1, 0.5, 0.75, 0.875, 1)]
    assert rates == pytest.approx([0, 0.2, 0.4, 0.4, 0.4, 0.2, 0])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "wsd"])
def test_without_warmup_the_peak_comes_first(schedule: str) -> None:
    assert Recipe(lr=1.0, warmup=0.0, schedule=schedule).learning_rate(0) == 1.0


def test_optimizers_are_torchs_own_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    sgd = Recipe(weight_decay=0.1).make_optimizer(model)
    assert isinstance(sgd, torch.optim.SGD)
    assert [(len(g["params"]), g["weight_decay"], g["nesterov"], g["lr"]) for g in sgd.param_groups] == [
        (1, 0.1, True, 0.05),
        (3, 0.0, True, 0.05),
    ]
    adamw = Recipe(optimizer="adamw", momentum=0.8).make_optimizer(model)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["betas"] == (0.8, 0.999)
    assert adamw.param_groups[0]["lr"] == 0.003
    Recipe(momentum=0.0).make_optimizer(model)


def test_given_values_go_before_the_base() -> None:
    assert Recipe.of({"lr": 0.2}, Recipe(lr=0.1, batch_size=7)) == Recipe(lr=0.2, batch_size=7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.1}, "recipe.learning_rate is not known .* lr"),
        ({"optimizer": "lamb"}, "recipe.optimizer is 'lamb'; it must be one of sgd, adamw"),
        ({"schedule": "step"}, "one_cycle, cosine, wsd"),
        ({"decay": 0.95}, "recipe.decay is 0.95; .* at most 1 .0.9"),
        ({"ema": 1.0}, "recipe.ema"),
        ({"lr": 0.0}, "recipe.lr is 0.0"),
        ({"lr": math.nan}, "recipe.lr is nan"),
        ({"weight_decay": -1.0}, "recipe.weight_decay"),
        ({"momentum": 1.0}, "recipe.momentum"),
        ({"batch_size": 0}, "recipe.batch_size is 0"),
        ({"batch_size": 2.5}, "recipe.batch_size is 2.5"),
        ({"label_smoothing": 1.0}, "recipe.label_smoothing"),
        ({"warmup": 1.0}, "recipe.warmup"),
    ],
)
def test_values_that_cannot_be_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe.of(values)
