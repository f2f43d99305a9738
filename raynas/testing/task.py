"""The contract of a task: what it declares is true, its data are the same every time, its functions are functions.

Ray is not needed. The data are loaded several times, once in another process.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import random
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from raynas.evaluators.evaluator import Measurement
from raynas.objectives.objective import Objective
from raynas.tasks.task import Data, Task
from raynas.testing.contract import Contract

if TYPE_CHECKING:
    from torch import Tensor

#: What training reports besides the task's own metrics.
_REPORTED = ("val_loss", "train_loss", "lr", "images_per_second")
#: A pickled task may grow by so many bytes when its data have been loaded.
_ROOM = 1_000


class TaskContract(Contract):
    """What every task has to keep. Override ``task``.

    Attributes:
        rows: so many samples make a batch in these tests.
    """

    rows: ClassVar[int] = 16

    def task(self) -> Task:
        """A new task, its data not loaded yet."""
        raise NotImplementedError(f"{type(self).__name__} gives task(self)")

    def outputs(self, task: Task, count: int) -> Any:
        """What a network might give for so many samples, always the same: random numbers unless overridden."""
        import torch

        return torch.randn(count, *task.output_shape, generator=torch.Generator().manual_seed(0))

    # --- what it declares -----------------------------------------------------------------------------------------

    def test_what_it_declares(self) -> None:
        task = self.task()
        assert isinstance(task.name, str), "name is a short text"
        assert task.name, "name is a short text"
        assert isinstance(task.input_shape, tuple), (
            f"input_shape {task.input_shape!r} is a tuple: the shape of one prepared input, without the batch"
        )
        assert all(type(length) is int and length > 0 for length in task.input_shape), (
            f"input_shape {task.input_shape!r} holds whole numbers above 0"
        )
        assert task.num_classes >= 1, f"num_classes {task.num_classes!r} is the length of a network's output"
        assert task.default_epochs >= 1, f"default_epochs {task.default_epochs!r} is 1 or more"
        assert isinstance(task.objective, Objective), "objective is an Objective(metric, mode)"
        for metric, mode in task.directions.items():
            assert mode in ("min", "max"), f"directions: {metric!r} is {mode!r}; give 'min' or 'max'"

    def test_its_recipe_is_one_of_trainings(self) -> None:
        from raynas.evaluators.recipe import Recipe

        Recipe.of(self.task().recipe)  # names what is not known

    # --- its data -------------------------------------------------------------------------------------------------

    def test_its_data_fit_what_it_declares(self) -> None:
        task = self.task()
        data = task.data
        assert isinstance(data, Data), f"load() gave a {type(data).__name__}; it gives a Data(…)"
        parts = (("train", data.train_inputs, data.train_targets), ("valid", data.valid_inputs, data.valid_targets))
        for name, inputs, targets in parts:
            assert len(inputs) == len(targets), f"{len(inputs)} {name}_inputs have {len(targets)} {name}_targets"
            assert len(inputs) > 0, f"there are no {name}_inputs; a search needs some to train on and some to validate"
            prepared = task.prepare(inputs[: self.rows].clone())
            assert tuple(prepared.shape[1:]) == task.input_shape, (
                f"prepare() makes of {name}_inputs samples of shape {tuple(prepared.shape[1:])}; input_shape is "
                f"{task.input_shape}"
            )
            dtype = str(prepared.dtype).removeprefix("torch.")
            assert dtype == task.input_dtype, (
                f"prepare() gives {dtype} for {name}_inputs; input_dtype is {task.input_dtype!r}"
            )
            assert _finite(prepared), f"prepare() gives numbers that are not finite for {name}_inputs"
        for kind, train, valid in (
            ("inputs", data.train_inputs, data.valid_inputs),
            ("targets", data.train_targets, data.valid_targets),
        ):
            assert train.dtype == valid.dtype, f"{kind} of the two parts have dtypes {train.dtype} and {valid.dtype}"
            assert train.shape[1:] == valid.shape[1:], f"{kind} of the two parts have other shapes"

    def test_class_numbers_are_those_of_its_classes(self) -> None:
        from raynas.tasks.samples import output_kind

        task = self.task()
        if output_kind(task) != "classes":
            pytest.skip("a network's outputs are no scores of classes")
        for targets in (task.data.train_targets, task.data.valid_targets):
            assert not targets.is_floating_point(), "class numbers are whole numbers (int64)"
            low, high = int(targets.min()), int(targets.max())
            assert 0 <= low <= high < task.num_classes, (
                f"targets go from {low} to {high}; with num_classes {task.num_classes} they are 0 to "
                f"{task.num_classes - 1}"
            )

    def data_digest(self) -> dict[str, str]:
        """A hash of each tensor of the data."""
        return _digests(self.task().load())

    def test_its_data_are_the_same_every_time(self) -> None:
        first, second = self.data_digest(), self.data_digest()
        assert first == second, (
            f"load() gives other {_first_difference(first, second)} when it is called again; split without chance, or "
            "seed what draws, so that all trials and all sessions of a search have the same data"
        )

    def test_its_data_are_the_same_in_another_process(self) -> None:
        here, there = self.data_digest(), self.in_another_process("data_digest")
        assert here == there, (
            f"load() gives other {_first_difference(here, there)} in another process; do not depend on the order of a "
            "set or of a folder's files: sort them"
        )

    def test_its_data_stay_out_of_its_pickle(self) -> None:
        task = self.task()
        before = len(pickle.dumps(task))
        digest = _digests(task.data)
        assert task.data is task.data, "data is loaded once and kept; override load(), not data"
        after = pickle.dumps(task)
        assert len(after) <= before + _ROOM, (
            f"a pickled task of {before:,} bytes has {len(after):,} once its data are loaded; workers load their own: "
            "keep nothing of it in attributes, or leave it out in __getstate__()"
        )
        assert _digests(pickle.loads(after).data) == digest

    # --- its functions --------------------------------------------------------------------------------------------

    def test_prepare_makes_each_sample_ready_by_itself(self) -> None:
        import torch

        task = self.task()
        stored = task.data.valid_inputs[: self.rows]
        together = task.prepare(stored.clone())
        for number in range(len(stored)):
            alone = task.prepare(stored[number : number + 1].clone())
            assert torch.allclose(alone[0].double(), together[number].double(), rtol=1e-4, atol=1e-5), (
                f"sample {number} is another one when it is prepared alone; prepare() must not look at the rest of the "
                "batch: compute means and the like once, in load()"
            )

    def test_augment_follows_its_generator_alone(self) -> None:
        import torch

        task = self.task()
        prepared = task.prepare(task.data.train_inputs[: self.rows].clone())
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            random.seed(seed)
            found.append(task.augment(prepared.clone(), torch.Generator().manual_seed(7)))
        assert found[0].shape == prepared.shape, "augment() must keep the shape"
        assert found[0].dtype == prepared.dtype, "augment() must keep the dtype"
        assert torch.equal(*found), (
            "augment() gives another batch for the same generator; draw from the generator that it is given, and from "
            "nothing else, so that a trial that was cut off goes on as if nothing had happened"
        )

    def test_loss_is_a_finite_number_with_a_gradient(self) -> None:
        import torch

        task = self.task()
        targets = task.data.train_targets[: self.rows]
        for smoothing in (0.0, 0.1):
            outputs = self.outputs(task, len(targets)).requires_grad_()
            loss = task.loss(outputs * 1.0, targets.clone(), smoothing)
            assert loss.ndim == 0, f"loss() gave a tensor of shape {tuple(loss.shape)}: the batch's mean is one number"
            assert torch.isfinite(loss), f"loss() of ordinary outputs is {loss.item()}"
            loss.backward()
            assert outputs.grad is not None, "loss() does not depend on the outputs"
            assert outputs.grad.isfinite().all(), "the gradient of loss() is not finite"

    def test_its_metrics_are_numbers_of_known_names(self) -> None:
        task = self.task()
        targets = task.data.valid_targets
        found = [task.metrics(self.outputs(task, len(targets)), targets.clone()) for _ in range(2)]
        first, second = (Measurement(1, one, 0.0).metrics for one in found)  # says what is no number
        assert _equal(first, second), f"metrics() of the same outputs are {first} and then {second}"
        assert "loss" not in first, "val_loss is reported already; give the metric another name than 'loss'"
        reported = {*_REPORTED, *(f"val_{name}" for name in first)}
        assert task.objective.metric in reported, (
            f"the objective is {task.objective.metric!r}, and a trial reports {', '.join(sorted(reported))}; a metric "
            "of metrics() has val_ before its name"
        )
        unknown = sorted(set(task.directions) - reported)
        assert not unknown, (
            f"directions are given for {', '.join(unknown)}; a trial reports {', '.join(sorted(reported))}"
        )

    def test_an_exported_model_can_prepare_an_image_as_it_does(self) -> None:
        import torch

        from raynas.export.runtime import prepare

        task = self.task()
        described = task.preprocessing()
        if described is None:
            pytest.skip("its inputs are no images")
        shape = (described["channels"], described["height"], described["width"])
        assert shape == task.input_shape, f"preprocessing() gives images of {shape}; input_shape is {task.input_shape}"
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (2, *shape), generator=generator).to(torch.uint8)
        assert torch.equal(prepare(pixels, described), task.prepare(pixels.clone())), (
            "prepare() does something else than preprocessing() says, so an exported model would see other inputs than "
            "the trained one; override preprocessing(), or return None for inputs that are no images"
        )


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _digests(data: Data) -> dict[str, str]:
    return {field.name: _digest(getattr(data, field.name)) for field in fields(data)}


def _digest(tensor: Tensor) -> str:
    import torch

    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(repr((tensor.dtype, tuple(tensor.shape))).encode() + content).hexdigest()


def _first_difference(a: dict[str, str], b: dict[str, str]) -> str:
    return next((name for name in a if a[name] != b.get(name)), "data")


def _equal(a: dict[str, float], b: dict[str, float]) -> bool:
    return a.keys() == b.keys() and all(a[key] == b[key] or math.isnan(a[key]) and math.isnan(b[key]) for key in a)
