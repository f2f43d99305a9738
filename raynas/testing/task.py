"""The contract of a task: what it declares is true, its data are the same every time, its functions are functions.

Ray is not needed. The data are loaded several times, once in another process.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import random
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from raynas.evaluators.evaluator import Measurement
from raynas.objectives.objective import Objective
from raynas.tasks.data import Batch, Data, DataSource, Inputs, Split, dtype_of, each, samples_of, shape_of, taken
from raynas.tasks.kinds import kind_of
from raynas.tasks.task import Task, directions_of
from raynas.testing.contract import Contract

if TYPE_CHECKING:
    from torch import Tensor

#: What training reports besides the task's own metrics.
_REPORTED = ("val_loss", "train_loss", "lr", "images_per_second")
#: A pickled task may grow by so many bytes when its data have been loaded.
_ROOM = 1_000
#: So many batches of a stream are looked at.
_BATCHES = 3
_SPLITS: tuple[Split, ...] = ("train", "valid")


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
        kind_of(task)  # names what is not known
        for shape in task.input_shape.values() if isinstance(task.input_shape, Mapping) else [task.input_shape]:
            assert isinstance(shape, tuple), (
                f"input_shape {task.input_shape!r} is a tuple: the shape of one prepared input, without the batch (of "
                "several inputs, a dictionary of such tuples)"
            )
            assert all(type(length) is int and length > 0 for length in shape), (
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
        found: list[tuple[Any, Any]] = []
        for name in _SPLITS:
            if isinstance(task.data, Data):
                inputs, targets = task.data.part(name)
                for count in each(len, inputs).values() if isinstance(inputs, Mapping) else [len(inputs)]:
                    assert count == len(targets), f"{count} {name}_inputs have {len(targets)} {name}_targets"
                assert len(targets), f"there are no {name}_inputs; a search needs some to train on and some to validate"
            for inputs, targets in self._batches(task, name):
                prepared = task.prepare(inputs)
                assert shape_of(prepared) == task.input_shape, (
                    f"prepare() makes of {name}_inputs samples of shape {shape_of(prepared)}; input_shape is "
                    f"{task.input_shape}"
                )
                assert dtype_of(prepared) == task.input_dtype, (
                    f"prepare() gives {dtype_of(prepared)} for {name}_inputs; input_dtype is {task.input_dtype!r}"
                )
                assert _finite(prepared), f"prepare() gives numbers that are not finite for {name}_inputs"
                found.append((dtype_of(inputs), shape_of(targets)))
        assert len({repr(one) for one in found}) == 1, (
            f"the two parts, or their batches, have inputs of other dtypes or targets of other shapes: {found}"
        )

    def test_an_epoch_goes_on_where_it_was_cut_off(self) -> None:
        task = self.task()
        first = self._batches(task, "train", count=2)
        if len(first) < 2:
            pytest.skip("there are fewer than two batches")
        (again,) = self._batches(task, "train", start=1, count=1)
        assert _digests(again) == _digests(first[1]), (
            "the second batch of an epoch is another one when the epoch is read again with the same seed; let its "
            "order and all chance follow from torch's, NumPy's or Python's own generators, which are seeded before an "
            "epoch (a Dataset is simpler than a DataLoader: its order is made for it)"
        )

    def _batches(self, task: Task, split: Split, *, start: int = 0, count: int = _BATCHES) -> list[Batch]:
        """Some batches of a split."""
        size = task.data.batch_size(self.rows)
        return list(islice(task.data.batches(split, size, seed=0, start=start), count))

    def _targets(self, task: Task, split: Split) -> Tensor:
        """All targets of a split; of a stream, those of a few batches."""
        import torch

        if isinstance(task.data, Data):
            return task.data.part(split)[1].clone()
        return torch.cat([targets for _, targets in self._batches(task, split)])

    def test_class_numbers_are_those_of_its_classes(self) -> None:
        from raynas.tasks.samples import output_kind

        task = self.task()
        if output_kind(task) != "classes":
            pytest.skip("a network's outputs are no scores of classes")
        for targets in (self._targets(task, "train"), self._targets(task, "valid")):
            assert not targets.is_floating_point(), "class numbers are whole numbers (int64)"
            low, high = int(targets.min()), int(targets.max())
            assert 0 <= low <= high < task.num_classes, (
                f"targets go from {low} to {high}; with num_classes {task.num_classes} they are 0 to "
                f"{task.num_classes - 1}"
            )

    def data_digest(self) -> dict[str, str]:
        """A hash of each tensor of the data; of a stream, of each in a few batches."""
        task = self.task()
        return self._digest_of(task.load(), task)

    def _digest_of(self, data: DataSource, task: Task) -> dict[str, str]:
        if isinstance(data, Data):
            names = "train_inputs", "train_targets", "valid_inputs", "valid_targets"
            return _digests(dict(zip(names, (*data.part("train"), *data.part("valid")), strict=True)))
        return _digests({f"{split}_batches": self._batches(task, split) for split in _SPLITS})

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
        digest = self._digest_of(task.data, task)
        assert task.data is task.data, "data is loaded once and kept; override load(), not data"
        after = pickle.dumps(task)
        assert len(after) <= before + _ROOM, (
            f"a pickled task of {before:,} bytes has {len(after):,} once its data are loaded; workers load their own: "
            "keep nothing of it in attributes, or leave it out in __getstate__()"
        )
        again = pickle.loads(after)
        assert self._digest_of(again.data, again) == digest

    # --- its functions --------------------------------------------------------------------------------------------

    def test_prepare_makes_each_sample_ready_by_itself(self) -> None:
        import torch

        task = self.task()
        stored, _ = task.data.some("valid", self.rows)
        together = _named(task.prepare(each(torch.clone, stored)))
        for number in range(samples_of(stored)):
            alone = _named(task.prepare(taken(stored, slice(number, number + 1), copy=True)))
            for name, one in alone.items():
                assert torch.allclose(one[0].double(), together[name][number].double(), rtol=1e-4, atol=1e-5), (
                    f"sample {number} is another one when it is prepared alone; prepare() must not look at the rest of "
                    "the batch: compute means and the like once, in load()"
                )

    def test_augment_follows_its_generator_alone(self) -> None:
        import torch

        task = self.task()
        prepared = task.prepare(task.data.some("train", self.rows)[0])
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            random.seed(seed)
            found.append(task.augment(each(torch.clone, prepared), torch.Generator().manual_seed(7)))
        assert shape_of(found[0]) == shape_of(prepared), "augment() must keep the shape"
        assert dtype_of(found[0]) == dtype_of(prepared), "augment() must keep the dtype"
        assert _digests(found[0]) == _digests(found[1]), (
            "augment() gives another batch for the same generator; draw from the generator that it is given, and from "
            "nothing else, so that a trial that was cut off goes on as if nothing had happened"
        )

    def test_loss_is_a_finite_number_with_a_gradient(self) -> None:
        import torch

        task = self.task()
        _, targets = task.data.some("train", self.rows)
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
        targets = self._targets(task, "valid")
        found = [task.metrics(self.outputs(task, len(targets)), targets.clone()) for _ in range(2)]
        first, second = (Measurement(1, one, 0.0).metrics for one in found)  # says what is no number
        assert _equal(first, second), f"metrics() of the same outputs are {first} and then {second}"
        assert "loss" not in first, "val_loss is reported already; give the metric another name than 'loss'"
        reported = {*_REPORTED, *(f"val_{name}" for name in first)}
        assert task.objective.metric in reported, (
            f"the objective is {task.objective.metric!r}, and a trial reports {', '.join(sorted(reported))}; a metric "
            "of metrics() has val_ before its name"
        )
        unknown = sorted(set(directions_of(task)) - reported)
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


def _named(inputs: Inputs) -> dict[str, Tensor]:
    """Inputs by their names, also where they are one tensor."""
    return dict(inputs) if isinstance(inputs, Mapping) else {"": inputs}


def _finite(inputs: Inputs) -> bool:
    return all(not one.is_floating_point() or bool(one.isfinite().all()) for one in _named(inputs).values())


def _digests(what: Any, name: str = "") -> dict[str, str]:
    """A hash of each tensor in dictionaries, lists and pairs of them, under its place."""
    if isinstance(what, Mapping):
        return {key: one for name_, inner in what.items() for key, one in _digests(inner, f"{name} {name_}").items()}
    if isinstance(what, (list, tuple)):
        return {
            key: one for number, inner in enumerate(what) for key, one in _digests(inner, f"{name} {number}").items()
        }
    return {name.strip(): _digest(what)}


def _digest(tensor: Tensor) -> str:
    import torch

    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(repr((tensor.dtype, tuple(tensor.shape))).encode() + content).hexdigest()


def _first_difference(a: dict[str, str], b: dict[str, str]) -> str:
    return next((name for name in a if a[name] != b.get(name)), "data")


def _equal(a: dict[str, float], b: dict[str, float]) -> bool:
    return a.keys() == b.keys() and all(a[key] == b[key] or math.isnan(a[key]) and math.isnan(b[key]) for key in a)
