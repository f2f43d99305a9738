"""Measures an architecture by training it. The loop itself stands in ``loop.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch

from raynas.errors import SpaceError, UserError
from raynas.evaluators.evaluator import Evaluator, Measurement, TrialContext
from raynas.evaluators.execution import Execution, fastest
from raynas.evaluators.few import few_rows
from raynas.evaluators.loop import TrainingEvaluation, any_of, seed_of
from raynas.evaluators.recipe import Recipe
from raynas.tasks.task import Data, Task

if TYPE_CHECKING:
    from raynas.space import Architecture, Space


#: What a training measures where the task's metrics are the usual ones.
_USUAL_METRICS = ("val_accuracy", "val_loss", "train_loss", "lr", "images_per_second")


class Training(Evaluator):
    """Trains each architecture on a task; a step is an epoch, or ``step_seconds`` of training (see the context).

    Metrics: ``val_loss`` and the task's own as ``val_<name>``, ``train_loss`` (mean over the step, label smoothing
    included), ``lr`` (at the step's last batch), ``images_per_second`` (training alone, without validation).

    Args:
        task: the data, its loss and its metrics.
        execution: how the arithmetic is done; None: plain float32, until :meth:`adopt` says otherwise.
        **recipe: fields of :class:`Recipe`, before the task's own; what a space's recipe gives goes before both.
    """

    timed = True

    def __init__(self, task: Task, *, execution: Execution | None = None, **recipe: Any) -> None:
        self.task = task
        self.recipe = Recipe.of({**task.recipe, **recipe})
        self.execution = execution
        self.objective, self.directions = task.objective, task.directions
        self.default_steps = task.default_epochs
        self._copies: dict[str, Data] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_copies": {}}

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> TrainingEvaluation:
        if context.device.startswith("cuda"):
            torch.backends.cudnn.benchmark = True  # image sizes do not change within a trial
            torch.set_float32_matmul_precision("high")
        recipe = Recipe.of(space.network(architecture).recipe, self.recipe)
        torch.manual_seed(seed_of(context.seed, "weights"))
        model = space.build(architecture, self.task.input_shape, self._input_dtype()).to(context.device)
        return TrainingEvaluation(model, self.task, self._data(context.device), recipe, context, self.execution)

    def decide(self, space: Space, architecture: Architecture, context: TrialContext) -> dict[str, Any]:
        """Times one architecture's training step in each way that the device knows (a few seconds).

        Returns:
            The fields of :class:`Execution`; what the person chose stays as it is.
        """
        if self.execution is not None:
            return self.execution.to_json()
        before = torch.get_num_threads()
        torch.set_num_threads(context.threads)

        def step_of(way: Execution) -> Callable[[], None]:
            evaluation = Training(self.task, execution=way, **_values(self.recipe)).start(space, architecture, context)
            size = evaluation.recipe.batch_size
            data = evaluation.data
            some = any_of(len(data.train_inputs), size, "timing").to(context.device)
            few = Data(data.train_inputs[some], data.train_targets[some], data.valid_inputs, data.valid_targets)
            long = replace(context, max_steps=1_000)  # so that the learning rate has somewhere to go
            return TrainingEvaluation(evaluation.model, self.task, few, evaluation.recipe, long, way).one_batch

        try:
            return fastest(step_of, context.device).to_json()
        finally:
            torch.set_num_threads(before)

    def load(self) -> None:
        self._data("cpu")

    def adopt(self, decisions: Mapping[str, Any]) -> None:
        """Does the arithmetic from now on as :meth:`decide` said."""
        if decisions:
            self.execution = Execution.of(decisions)

    def preflight(self, space: Space, architecture: Architecture) -> tuple[str, ...]:
        shape = tuple(space.check(architecture, self.task.input_shape, self._input_dtype()))
        if shape != self.task.output_shape:
            raise SpaceError(
                f"the network's output has shape {shape}, task {self.task.name!r} needs {self.task.output_shape}; "
                f"end the space with a head of {self.task.num_classes} outputs"
            )
        return _USUAL_METRICS if type(self.task).metrics is Task.metrics else ()

    def check(self, space: Space, architecture: Architecture, context: TrialContext) -> Measurement:
        """Two batches, and a validation on a few rows of all classes; on all rows where it fails on those."""
        try:
            evaluation = self.start(space, architecture, replace(context, max_steps=1, step_seconds=None))
            size, data = evaluation.recipe.batch_size, evaluation.data
            few = few_rows(data, size)
            try:
                return self._one_step(evaluation, few)
            except UserError:
                raise
            except Exception:
                if len(few.valid_inputs) == len(data.valid_inputs):
                    raise
                return self._one_step(evaluation, few_rows(data, size, whole_validation=True))
        except UserError:
            raise
        except Exception as error:
            raise SpaceError(
                f"one training step on task {self.task.name!r} fails: {type(error).__name__}: {error}; "
                f"the architecture was {space.short_name(architecture)}"
            ) from error

    def _one_step(self, like: TrainingEvaluation, data: Data) -> Measurement:
        evaluation = TrainingEvaluation(like.model, self.task, data, like.recipe, like.context, self.execution)
        return next(evaluation.measurements())

    def _input_dtype(self) -> str | None:
        return getattr(self.task, "input_dtype", None)

    def _data(self, device: str) -> Data:
        if device not in self._copies:
            data = self.task.data
            self._copies[device] = Data(*(getattr(data, field.name).to(device) for field in fields(data)))
        return self._copies[device]


def _values(recipe: Recipe) -> dict[str, Any]:
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}
