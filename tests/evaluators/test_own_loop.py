"""A training loop of a person's own as an evaluator: its contract, and what it is told when it does something else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raynas.errors import EvaluatorError, SpaceError, TaskError
from raynas.evaluators import checkpoint
from raynas.evaluators.evaluator import Evaluator, State, TrialContext
from raynas.evaluators.nested_state import flatten, unflatten
from raynas.evaluators.own_loop import OwnLoop, Trial
from raynas.evaluators.synthetic import Synthetic
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.spec.references import TRAINING, Source, make_evaluator
from raynas.tasks.digits import Digits
from raynas.tasks.own_data import OwnData
from raynas.testing import EvaluatorContract
from search_spaces.mlp import mlp

DIGITS = Digits()


def epoch_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Some batches, with randomness from everywhere."""
    data = DIGITS.data
    for index in torch.randperm(len(data.train_inputs))[:512].split(128):
        inputs = DIGITS.prepare(data.train_inputs[index]) + 0.1 * random.random() + 0.1 * float(np.random.rand())
        optimizer.zero_grad()
        cross_entropy(model(inputs), data.train_targets[index]).backward()
        optimizer.step()


def accuracy_of(model: nn.Module) -> float:
    with torch.no_grad():
        right = model(DIGITS.prepare(DIGITS.data.valid_inputs)).argmax(1) == DIGITS.data.valid_targets
    return right.float().mean().item()


def train(model: nn.Module, trial: Trial) -> Iterator[dict[str, Any]]:
    """Momentum, a schedule and random numbers: all that has to survive an interruption."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    trial.keep(model=model, optimizer=optimizer, schedule=schedule)
    for _ in trial.epochs:
        epoch_of(model, optimizer)
        schedule.step()
        if trial.should_stop():
            return
        yield {"val_accuracy": accuracy_of(model), "lr": schedule.get_last_lr()[0]}


def patient(model: nn.Module, trial: Trial) -> Iterator[dict[str, Any]]:
    """Ends by itself after two epochs."""
    for epoch in trial.epochs:
        if epoch == 2:
            return
        yield {"val_accuracy": torch.rand(())}


class TestOwnLoop(EvaluatorContract):
    def evaluator(self) -> Evaluator:
        return OwnLoop(train, Digits())


class TestALoopThatEndsEarly(EvaluatorContract):
    ends_early = True

    def evaluator(self) -> Evaluator:
        return OwnLoop(patient, Digits())


def begun(loop: Callable[..., Any], steps: int = 3) -> Any:
    space = mlp(DIGITS)
    return OwnLoop(loop, DIGITS).start(space, space.default(), TrialContext(0, 5, steps))


def test_what_a_loop_is_told() -> None:
    seen: list[Any] = []

    def look(model: nn.Module, trial: Trial) -> Iterator[dict[str, float]]:
        seen.extend([model, trial.number, trial.steps, trial.done, trial.device, trial.threads, list(trial.epochs)])
        yield {"val_accuracy": 0.5}

    evaluation = begun(look)
    assert [one.metrics for one in evaluation.measurements()] == [{"val_accuracy": 0.5}]
    assert seen == [evaluation.model, 0, 3, 0, "cpu", 1, [0, 1, 2]]


def test_random_numbers_outside_of_a_trial_are_left_alone() -> None:
    def draw() -> list[float]:
        return [torch.rand(()).item(), random.random(), float(np.random.rand())]

    def seeded() -> None:
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)

    evaluation = begun(patient)
    seeded()
    expected = [draw(), draw()]
    seeded()
    found = [draw()]
    next(evaluation.measurements())
    assert [*found, draw()] == expected


def not_a_dict(model: nn.Module, trial: Trial) -> Iterator[Any]:
    yield 0.5


def keeps_a_list(model: nn.Module, trial: Trial) -> Iterator[Any]:
    trial.keep(history=[])  # type: ignore[arg-type]
    yield {}


def takes_the_name(model: nn.Module, trial: Trial) -> Iterator[Any]:
    trial.keep(model=nn.Linear(1, 1))
    yield {}


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (not_a_dict, "training loop 'not_a_dict' yielded a float; yield a dict of metrics"),
        (keeps_a_list, r"trial.keep\(history=…\) was given a list, which has no state_dict"),
        (takes_the_name, "'model' is a name of the trial's own"),
    ],
)
def test_what_a_loop_does_wrong(loop: Callable[..., Any], words: str) -> None:
    with pytest.raises(EvaluatorError, match=words):
        next(begun(loop).measurements())


def test_a_loop_that_no_longer_keeps_what_it_kept() -> None:
    first = begun(train)
    next(first.measurements())
    second = begun(patient)
    second.load(first.state())
    with pytest.raises(EvaluatorError, match="holds the state of 'optimizer', 'schedule', which the training loop"):
        next(second.measurements())


def does_not_yield(model: nn.Module, trial: Trial) -> dict[str, float]:
    return {"val_accuracy": 0.5}


def takes_one(model: nn.Module) -> Iterator[Any]:
    yield {}


def source(what: Any) -> Source:
    return Source("raynas.evaluators", "", obj=what)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (does_not_yield, "training loop 'does_not_yield' does not yield; yield the metrics of each epoch"),
        (takes_one, r"is called with the network and the trial: def takes_one\(model, trial\)"),
        (42, "evaluator 'given' is a int; it must be an Evaluator, a class of them, or a training loop"),
    ],
)
def test_what_is_no_evaluator(what: Any, words: str) -> None:
    with pytest.raises(EvaluatorError, match=words):
        make_evaluator(source(what), DIGITS)


def test_what_may_be_named_as_an_evaluator() -> None:
    synthetic = Synthetic()
    assert make_evaluator(source(synthetic), DIGITS) is synthetic
    assert isinstance(make_evaluator(source(Synthetic), DIGITS), Synthetic)
    own = make_evaluator(source(Training), DIGITS)
    assert isinstance(own, Training)
    assert own.task is DIGITS
    named = make_evaluator(Source("raynas.evaluators", TRAINING), DIGITS, 17)
    assert isinstance(named, Training)
    assert named.recipe.batch_size == 17
    assert isinstance(make_evaluator(source(train), DIGITS), OwnLoop)


def test_a_network_of_another_size_is_refused_before_the_search() -> None:
    space = Space(flat=op(nn.Flatten), head=op(nn.Linear, out_features=Choice(3, 4)))
    with pytest.raises(SpaceError, match=r"output has shape \(3,\), task 'digits' needs \(10,\)"):
        OwnLoop(train, DIGITS).preflight(space, space.default())


def test_a_task_without_data_gives_shapes_alone() -> None:
    task = OwnData(input_shape=(5,), num_classes=2)
    space = Space(head=op(nn.Linear, out_features=task.num_classes), recipe={"a": Choice(1, 2)})
    evaluator = OwnLoop(patient, task)
    assert evaluator.preflight(space, space.default()) == ()
    found = evaluator.start(space, space.default(), TrialContext(0, 0, 4)).measurements()
    assert [one.step for one in found] == [1, 2]
    with pytest.raises(TaskError, match="task own_data has no data of its own"):
        _ = task.data


def test_nested_state_survives_a_checkpoint(tmp_path: Path) -> None:
    value = {
        "state": {0: {"step": torch.tensor(3.0), "momentum": torch.ones(2, 3)}},
        "groups": [{"betas": (0.9, 0.999), "params": [0, 1], "fused": None, "name": "a"}],
        "scale": np.float64(0.5), "table": np.arange(3), "empty": {}, "flag": True, None: [],
    }  # fmt: skip
    tensors: dict[str, torch.Tensor] = {}
    plain = flatten("optimizer", value, tensors)
    assert all(name.startswith("optimizer.") for name in tensors)
    checkpoint.save(tmp_path, 1, State(tensors, {"value": plain}))
    read = checkpoint.newest(tmp_path)
    assert read is not None
    found = unflatten(read.state.values["value"], read.state.tensors)
    assert torch.equal(found["state"][0].pop("momentum"), value["state"][0].pop("momentum"))
    assert found.pop("table").tolist() == value.pop("table").tolist()
    assert found == value
    with pytest.raises(EvaluatorError, match=r"'optimizer' holds a object \(optimizer.a\), which a checkpoint cannot"):
        flatten("optimizer", {"a": object()}, {})
