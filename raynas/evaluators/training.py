"""Measures an architecture by training it: one loop, meant to be read from top to bottom.

Every random decision is drawn from a generator seeded by (trial's seed, epoch, batch). So there is no generator to
save: a trial cut off anywhere, also in mid-epoch, goes on as if nothing had happened (on CPU to the last bit) from its
weights, its optimizer's tensors and three numbers.

The loop does not wait for the device within an epoch, apart from a look every ``CHECK_EVERY`` batches at whether the
loss is still finite. Inputs stay in memory as they are stored (images: uint8) and are prepared and augmented a whole
batch at a time.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raynas.errors import SpaceError, UserError
from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State, TrialContext
from raynas.evaluators.recipe import Recipe
from raynas.tasks.task import Data, Task

if TYPE_CHECKING:
    from raynas.space import Architecture, Space

CHECK_EVERY = 16  # batches
VALID_BATCH = 512  # samples


class Training(Evaluator):
    """Trains each architecture on a task; a step is an epoch.

    Metrics: ``val_loss`` and the task's own as ``val_<name>``, ``train_loss`` (mean over the epoch, label smoothing
    included), ``lr`` (at the epoch's last batch), ``images_per_second`` (training alone, without validation).

    Args:
        task: the data, its loss and its metrics.
        **recipe: fields of :class:`Recipe`, before the task's own; what a space's recipe gives goes before both.
    """

    def __init__(self, task: Task, **recipe: Any) -> None:
        self.task = task
        self.recipe = Recipe.of({**task.recipe, **recipe})
        self.objective = task.objective
        self.default_steps = task.default_epochs
        self._copies: dict[str, Data] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_copies": {}}

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> TrainingEvaluation:
        recipe = Recipe.of(space.network(architecture).recipe, self.recipe)
        torch.manual_seed(_seed(context.seed, "weights"))
        model = space.build(architecture, self.task.input_shape).to(context.device)
        return TrainingEvaluation(model, self.task, self._data(context.device), recipe, context)

    def preflight(self, space: Space, architecture: Architecture) -> tuple[str, ...]:
        shape = tuple(space.check(architecture, self.task.input_shape))
        if shape != self.task.output_shape:
            raise SpaceError(
                f"the network's output has shape {shape}, task {self.task.name!r} needs {self.task.output_shape}; "
                f"end the space with a head of {self.task.num_classes} outputs"
            )
        data = self._data("cpu")
        few = Data(data.train_inputs[:8], data.train_targets[:8], data.valid_inputs[:8], data.valid_targets[:8])
        evaluation = self.start(space, architecture, TrialContext(number=0, seed=0, max_steps=1))
        evaluation = TrainingEvaluation(evaluation.model, self.task, few, evaluation.recipe, evaluation.context)
        try:
            return tuple(next(evaluation.measurements()).metrics)
        except UserError:
            raise
        except Exception as error:
            raise SpaceError(
                f"one training step on task {self.task.name!r} fails: {type(error).__name__}: {error}; "
                f"the architecture was {space.short_name(architecture)}"
            ) from error

    def _data(self, device: str) -> Data:
        if device not in self._copies:
            data = self.task.data
            self._copies[device] = Data(*(getattr(data, field.name).to(device) for field in fields(data)))
        return self._copies[device]


class TrainingEvaluation(Evaluation):
    """A network in training. State: its weights and buffers, the optimizer's tensors, and where in which epoch it is.

    Args:
        model: the network, on the context's device.
        task: loss, metrics, preparation and augmentation.
        data: on the context's device.
        recipe: how to train.
        context: seed, budget, threads, device.
    """

    def __init__(self, model: nn.Module, task: Task, data: Data, recipe: Recipe, context: TrialContext) -> None:
        self.model = model
        self.task = task
        self.data = data
        self.context = context
        samples = len(data.train_inputs)
        # Full batches only: every image has the same chance, as each epoch leaves others over.
        self.recipe = replace(recipe, batch_size=min(recipe.batch_size, samples))
        self.batches = samples // self.recipe.batch_size
        self.optimizer = self.recipe.make_optimizer(model)
        self.generator = torch.Generator()
        self.epoch = 0  # epochs that are done
        self.batch = 0  # batches of the next epoch that are done
        self.seconds = 0.0  # spent on the next epoch so far, and thereof in training
        self.train_seconds = 0.0
        self.loss_sum = torch.zeros((), device=context.device)

    def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
        torch.set_num_threads(self.context.threads)
        while self.epoch < self.context.max_steps:
            begun = time.perf_counter()
            finished = self._train(should_stop)
            train_loss = self.loss_sum.item() / max(1, self.batch)  # waits for the device, so the time is honest
            trained = time.perf_counter()
            self.train_seconds += trained - begun
            metrics = self._validate(should_stop) if finished and math.isfinite(train_loss) else None
            self.seconds += time.perf_counter() - begun
            diverged = not math.isfinite(train_loss) or (metrics is not None and not math.isfinite(metrics["val_loss"]))
            if metrics is None and not diverged:
                return  # told to stop
            if diverged:
                metrics = dict.fromkeys(("val_loss", self.objective_metric, "train_loss"), math.nan)
            else:
                assert metrics is not None
                metrics["train_loss"] = train_loss
            metrics["lr"] = self._lr(max(0, self.batch - 1))
            metrics["images_per_second"] = self.batch * self.recipe.batch_size / self.train_seconds
            self.epoch += 1
            measurement = Measurement(self.epoch, metrics, self.seconds)
            self.batch, self.seconds, self.train_seconds = 0, 0.0, 0.0
            self.loss_sum = torch.zeros_like(self.loss_sum)
            yield measurement
            if diverged:
                return

    @property
    def objective_metric(self) -> str:
        return self.task.objective.metric

    def _train(self, should_stop: Callable[[], bool]) -> bool:
        """Trains to the end of the epoch, or until the loss is not finite. False where it was told to stop."""
        data, size, model = self.data, self.recipe.batch_size, self.model
        self.generator.manual_seed(_seed(self.context.seed, "order", self.epoch))
        order = torch.randperm(len(data.train_inputs), generator=self.generator).to(self.context.device)
        model.train()
        while self.batch < self.batches:
            if should_stop():
                return False
            seed = _seed(self.context.seed, "batch", self.epoch, self.batch)
            self._seed_modules(seed)
            self.generator.manual_seed(seed)
            index = order[self.batch * size : (self.batch + 1) * size]
            inputs = self.task.augment(self.task.prepare(data.train_inputs[index]), self.generator)
            for group in self.optimizer.param_groups:
                group["lr"] = self._lr(self.batch)
            loss = self.task.loss(model(inputs), data.train_targets[index], self.recipe.label_smoothing)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.loss_sum += loss.detach()
            self.batch += 1
            if self.batch % CHECK_EVERY == 0 and not math.isfinite(self.loss_sum.item()):
                break
        return True

    @torch.no_grad()
    def _validate(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss and metrics over the validation data. None where it was told to stop."""
        self.model.eval()
        outputs: list[Tensor] = []
        for batch in self.data.valid_inputs.split(VALID_BATCH):
            if should_stop():
                return None
            outputs.append(self.model(self.task.prepare(batch)))
        together, targets = torch.cat(outputs), self.data.valid_targets
        metrics = {f"val_{name}": value for name, value in self.task.metrics(together, targets).items()}
        return metrics | {"val_loss": self.task.loss(together, targets).item()}

    def _seed_modules(self, seed: int) -> None:
        """Seeds what dropout and other modules draw from. ``torch.manual_seed`` would do; it takes 0.1 ms a call."""
        if self.context.device.startswith("cuda"):
            torch.cuda.manual_seed(seed)
        torch.default_generator.manual_seed(seed)

    def _lr(self, batch: int) -> float:
        """The learning rate of a batch of the epoch under way, by the share of the whole budget that lies behind it."""
        progress = (self.epoch * self.batches + batch + 0.5) / (self.context.max_steps * self.batches)
        return self.recipe.learning_rate(progress)

    def state(self) -> State:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if value is not None:
                    tensors[f"optimizer.{key}.{name}"] = value
        tensors["train.loss_sum"] = self.loss_sum
        keys = ("epoch", "batch", "seconds", "train_seconds")
        return State(tensors, {key: getattr(self, key) for key in keys})

    def load(self, state: State) -> None:
        tensors = state.tensors
        self.model.load_state_dict({name: tensors[f"model.{name}"] for name in self.model.state_dict()})
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                key, _, owner = rest.partition(".")
                self.optimizer.state[parameters[owner]][key] = tensor.detach().clone().to(self.context.device)
        self.loss_sum = tensors["train.loss_sum"].detach().clone().to(self.context.device)
        for key, value in state.values.items():
            setattr(self, key, value)


def _seed(*parts: object) -> int:
    """A 63-bit seed that follows from the parts alone, on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1
