"""Training as an evaluator: recipes of real spaces, preflight, and what the default network reaches."""

import math

import pytest
from torch import nn

from raynas.blocks import ClassifierHead, ConvNormAct
from raynas.errors import SpaceError, UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.training import Training
from raynas.space import Choice, Float, Space, op
from raynas.tasks.digits import Digits
from search_spaces.mlp import mlp
from search_spaces.resnet import resnet

DIGITS = Digits()


def test_the_default_resnet_reaches_97_percent_on_digits_in_its_usual_budget() -> None:
    training, space = Training(DIGITS), resnet(DIGITS)
    context = TrialContext(number=0, seed=0, max_steps=training.default_steps)
    measurements = list(training.start(space, space.default(), context).measurements())
    assert [m.step for m in measurements] == list(range(1, 10))
    assert measurements[-1].metrics["val_accuracy"] > 0.97


def test_the_default_mlp_learns_too() -> None:
    training, space = Training(DIGITS), mlp(DIGITS)
    context = TrialContext(number=3, seed=11, max_steps=3)
    assert list(training.start(space, space.default(), context).measurements())[-1].metrics["val_accuracy"] > 0.9


def test_a_spaces_recipe_goes_before_the_evaluators_and_that_before_the_tasks() -> None:
    space = Space(recipe={"lr": Float(0.1, 0.2, default=0.15)}, flatten=nn.Flatten, head=op(nn.Linear, out_features=10))
    training = Training(DIGITS, lr=0.3, momentum=0.5)
    evaluation = training.start(space, space.default(), TrialContext(0, 0, 1))
    assert (evaluation.recipe.lr, evaluation.recipe.momentum, evaluation.recipe.batch_size) == (0.15, 0.5, 32)
    assert Training(DIGITS, batch_size=8).recipe.batch_size == 8
    with pytest.raises(UserError, match=r"recipe\.dropout is not known"):
        Training(DIGITS, dropout=0.5)


def test_a_trials_state_names_weights_as_the_plain_module_does() -> None:
    training, space = Training(DIGITS), resnet(DIGITS)
    evaluation = training.start(space, space.default(), TrialContext(number=1, seed=2, max_steps=1))
    module = space.build(space.default(), DIGITS.input_shape)
    prefix = "model."
    module.load_state_dict({k[len(prefix) :]: v for k, v in evaluation.state().tensors.items() if k.startswith(prefix)})


def test_preflight_refuses_a_network_with_the_wrong_number_of_outputs() -> None:
    space = Space(flatten=nn.Flatten, head=op(nn.Linear, out_features=Choice(7, 8)))
    with pytest.raises(SpaceError, match=r"output has shape \(7,\), task 'digits' needs \(10,\).* 10 outputs"):
        Training(DIGITS).preflight(space, space.default())


def test_preflight_names_the_module_that_does_not_fit() -> None:
    space = Space(stem=op(ConvNormAct, out_channels=Choice(4, 8), kernel_size=11), fc=op(nn.Linear, 5, 10))
    with pytest.raises(SpaceError, match="fc"):
        Training(DIGITS).preflight(space, space.default())


class Stubborn(nn.Module):
    """Fails in training alone."""

    def forward(self, x):  # type: ignore[no-untyped-def]
        if self.training:
            raise RuntimeError("no training today")
        return x


def test_the_check_says_in_one_line_what_fails_in_a_step() -> None:
    space = Space(
        stubborn=Stubborn, stem=op(ConvNormAct, out_channels=Choice(4, 8)), head=op(ClassifierHead, num_classes=10)
    )
    with pytest.raises(SpaceError, match="RuntimeError: no training today") as caught:
        Training(DIGITS).check(space, space.default(), TrialContext(0, 0, 1))
    assert "\n" not in str(caught.value)


def test_a_learning_rate_that_diverges_gives_nan_not_an_exception() -> None:
    space = mlp(DIGITS)
    architecture = space.replay({**space.default(), "norm": "none"})
    training = Training(DIGITS, batch_size=32, warmup=0.0)
    evaluation = training.start(space, architecture, TrialContext(0, 0, 3))
    evaluation.recipe = type(evaluation.recipe)(lr=1e30, batch_size=32)
    (measurement,) = evaluation.measurements()
    assert math.isnan(measurement.metrics["val_accuracy"])
