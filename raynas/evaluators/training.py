"""Measures an architecture by training it. The loop itself stands in ``loop.py``."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from raynas import costs
from raynas.errors import SpaceError, TaskError, UserError
from raynas.evaluators.evaluator import Evaluator, Measurement, TrialContext
from raynas.evaluators.execution import Execution, candidates, fastest, has_bf16, rows_to_time, usable
from raynas.evaluators.few import VALID_ROWS, affordable_rows, few_rows, in_memory, shortened
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.output import require_output
from raynas.evaluators.recipe import Recipe
from raynas.evaluators.timing import Pace, seconds_of
from raynas.tasks.data import Data, DataSource
from raynas.tasks.draws import any_of, seed_of
from raynas.tasks.kinds import kind_of
from raynas.tasks.task import Task, directions_of, metrics_of_kind

if TYPE_CHECKING:
    from raynas.space import Architecture, Space

#: Of so many samples is the step that tells whether a network can do its arithmetic in some way.
FEW_SAMPLES = 4

#: What a training measures besides the task's own metrics.
_ALWAYS = ("val_loss", "train_loss", "lr", "images_per_second")


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
    task: Task

    def __init__(self, task: Task, *, execution: Execution | None = None, **recipe: Any) -> None:
        self.task = task
        self.recipe = Recipe.of({**task.recipe, **recipe})
        self.execution = execution
        self.chooses_precision = execution is None
        self.objective, self.directions = task.objective, directions_of(task)
        self.default_steps = task.default_epochs
        self._batch_size_asked = "batch_size" in recipe
        self._copies: dict[str, DataSource] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_copies": {}}

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> TrainingEvaluation:
        model, recipe = self._built(space, architecture, context)
        data, way = self._data(context.device), self.execution or Execution()
        if data.fixed_batches and (self._batch_size_asked or "batch_size" in space.network(architecture).recipe):
            raise TaskError(
                f"task {self.task.name!r} has a DataLoader, which makes batches of its own size, so batch_size "
                "cannot be set or searched; give the task its Dataset, or leave batch_size out"
            )
        if way != Execution():
            way = self._possible(model, data, way, context.device)
        return TrainingEvaluation(model, self.task, data, recipe, context, way)

    def decide(self, space: Space, architecture: Architecture, context: TrialContext) -> dict[str, Any]:
        """Times one architecture's training step in each way that the device knows (a few seconds).

        Returns:
            The fields of :class:`Execution`; what the person chose stays as it is.

        Raises:
            UserError: the architecture cannot do what was asked for.
        """
        if self.execution is not None:
            return self.execution.to_json()
        before = torch.get_num_threads()
        torch.set_num_threads(context.threads)
        try:
            return self._decided(space, architecture, context)
        finally:
            torch.set_num_threads(before)

    def _decided(self, space: Space, architecture: Architecture, context: TrialContext) -> dict[str, Any]:
        asked = context.precision
        ways = candidates(context.device, asked)
        if ways == [Execution()]:
            return ways[0].to_json()  # there is no choice, and nothing else to fall back on
        model, recipe = self._built(space, architecture, context)
        data = in_memory(self._data(context.device), recipe.batch_size, 1)
        long = replace(context, max_steps=1_000)  # so that the learning rate has somewhere to go

        def try_out(way: Execution) -> Callable[[], float]:
            return small_steps(model, self.task, data, way, context.device)

        failures: dict[Execution, Exception] = {}
        if len(ways) == 1:
            try:
                try_out(ways[0])()
            except Exception as error:
                failures, ways = {ways[0]: error}, []
        else:
            seconds, failures = usable(try_out, ways)
            ways = list(seconds)
            count = rows_to_time(seconds, FEW_SAMPLES, recipe.batch_size, context.device)
            some = any_of(len(data.train_targets), count, "timing").to(context.device)
            few = data.take(some, some[:0])

        def step_of(way: Execution) -> Callable[[], None]:
            return TrainingEvaluation(copy.deepcopy(model), self.task, few, recipe, long, way).one_batch

        words = {way: f"{type(error).__name__}: {first_line(error)}" for way, error in failures.items()}
        if not ways and asked == "bf16":
            raise UserError(
                f"precision 'bf16' is not possible: the space's default network fails with {words[Execution('bf16')]}; "
                "give --precision fp32, or auto"
            )
        way = fastest(step_of, context.device, ways) if ways else Execution()
        lost = [other for other in failures if other.precision == "bf16"]
        reason = ""
        if ways and lost and way.precision == "fp32":
            reason = f"float32, since the space's default network fails in bfloat16 ({words[lost[0]]})"
        elif asked == "bf16" and not has_bf16(context.device):
            reason = f"bfloat16 as asked for, but this {context.device} has no instructions for it: float32 is faster"
        return way.to_json() | ({"reason": reason} if reason else {})

    def _built(self, space: Space, architecture: Architecture, context: TrialContext) -> tuple[nn.Module, Recipe]:
        if context.device.startswith("cuda"):
            torch.backends.cudnn.benchmark = True  # image sizes do not change within a trial
            torch.set_float32_matmul_precision("high")
        recipe = Recipe.of(space.network(architecture).recipe, self.recipe)
        torch.manual_seed(seed_of(context.seed, "weights"))
        return space.build(architecture, self.task.input_shape, self._input_dtype()).to(context.device), recipe

    def _possible(self, model: nn.Module, source: DataSource, way: Execution, device: str) -> Execution:
        """The search's way of doing the arithmetic, or the next one that this network can do; the trial's log says so.

        A block that knows no bfloat16, or wants its inputs contiguous, says nothing against the architecture.
        """
        data = in_memory(source, FEW_SAMPLES, 1)
        try:
            small_steps(model, self.task, data, way, device)()
            return way
        except Exception as error:
            failed = error
        for other in (replace(way, layout="contiguous"), Execution()):
            with contextlib.suppress(Exception):
                small_steps(model, self.task, data, other, device)()
                print(
                    f"this network is trained in {other.precision}, {other.layout}: in the search's {way.precision}, "
                    f"{way.layout} it fails ({type(failed).__name__}: {first_line(failed)})"
                )
                return other
        return way  # it fails in any way, and training will say how

    def pace(
        self, space: Space, architecture: Architecture, context: TrialContext, *, at_once: int = 1, batch_size: int = 0
    ) -> Pace:
        before = torch.get_num_threads()
        evaluation = self.start(space, architecture, replace(context, max_steps=1_000, step_seconds=None))
        size = evaluation.data.batch_size(batch_size or evaluation.recipe.batch_size)
        recipe = replace(evaluation.recipe, batch_size=size)

        def step_of() -> Callable[[], None]:
            model = copy.deepcopy(evaluation.model)
            return TrainingEvaluation(
                model, self.task, evaluation.data, recipe, evaluation.context, evaluation.execution
            ).one_batch

        try:
            seconds = seconds_of(step_of, threads=context.threads, at_once=at_once, device=context.device)
        finally:
            torch.set_num_threads(before)
        network = space.network(architecture)
        flops = costs.cost(network, self.task.input_shape, self._input_dtype()).flops
        return Pace(flops, seconds / size, size)

    def load(self) -> None:
        self._data("cpu")

    def adopt(self, decisions: Mapping[str, Any]) -> None:
        """Does the arithmetic from now on as :meth:`decide` said."""
        if decisions:
            self.execution = Execution.of({key: value for key, value in decisions.items() if key != "reason"})

    def preflight(self, space: Space, architecture: Architecture) -> tuple[str, ...]:
        require_output(space, architecture, self.task)
        return (*kind_of(self.task).directions, *_ALWAYS) if metrics_of_kind(self.task) else ()

    def check(self, space: Space, architecture: Architecture, context: TrialContext) -> Measurement:
        """Two batches, and a validation on a few rows of all classes; fewer rows where a row takes long.

        What fails on those is tried on whole batches and more rows, at last on all: the rows may be the reason.
        """
        try:
            evaluation = self.start(space, architecture, replace(context, max_steps=1, step_seconds=None))
            size = evaluation.recipe.batch_size
            data = in_memory(evaluation.data, size)
            affordable, everything = self._affordable(evaluation, data), len(data.valid_targets)
            attempts = dict.fromkeys(
                (batch, min(rows, everything)) for batch, rows in (affordable, (size, VALID_ROWS), (size, everything))
            )
            for batch, rows in attempts:
                try:
                    return self._one_step(evaluation, few_rows(data, batch, rows), batch)
                except UserError:
                    raise
                except Exception:
                    if (batch, rows) == (size, everything) and isinstance(evaluation.data, Data):
                        raise
            return self._one_step(evaluation, shortened(evaluation.data), size)  # a stream, and all of its validation
        except UserError:
            raise
        except Exception as error:
            raise SpaceError(
                f"one training step on task {self.task.name!r} fails: {type(error).__name__}: {error}; "
                f"the architecture was {space.short_name(architecture)}"
            ) from error

    def _affordable(self, evaluation: TrainingEvaluation, data: Data) -> tuple[int, int]:
        """Rows of a batch, and of a validation, in the check: by the seconds of a small step."""
        device, size = evaluation.context.device, evaluation.recipe.batch_size
        seconds = 0.0  # a GPU is quick, and its first steps are not
        if device == "cpu":
            with contextlib.suppress(Exception):  # the step itself will say what is wrong
                step = small_steps(evaluation.model, self.task, data, evaluation.execution, device)
                seconds = min(step(), step())
        return affordable_rows(seconds / FEW_SAMPLES, size)

    def _one_step(self, like: TrainingEvaluation, data: DataSource, batch_size: int) -> Measurement:
        recipe = replace(like.recipe, batch_size=batch_size)
        evaluation = TrainingEvaluation(like.model, self.task, data, recipe, like.context, like.execution)
        return next(evaluation.measurements())

    def _input_dtype(self) -> Any:
        return getattr(self.task, "input_dtype", None)

    def _data(self, device: str) -> DataSource:
        if device not in self._copies:
            self._copies[device] = self.task.data.to(device)
        return self._copies[device]


def small_steps(model: nn.Module, task: Task, data: Data, way: Execution, device: str) -> Callable[[], float]:
    """Gives a function that runs a copy of a network on a few samples as a training and a validation would, in some
    way; it returns its seconds, and raises whatever the network raises there.
    """
    network = way.place(copy.deepcopy(model), device)
    index = any_of(len(data.train_targets), FEW_SAMPLES, "small step").to(device)

    def step() -> float:
        begun = time.perf_counter()
        few = data.take(index, index[:0])
        with way.autocast(device):
            outputs = network.train()(way.arrange(task.prepare(few.train_inputs)))
        task.loss(outputs.float(), few.train_targets).backward()
        with torch.no_grad(), way.autocast(device):
            network.eval()(way.arrange(task.prepare(data.take(index, index[:0]).train_inputs)))
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    return step


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return next(iter(str(error).strip().splitlines()), "")[:200]
