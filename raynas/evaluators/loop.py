"""The training of one network: one loop, meant to be read from top to bottom.

Every random decision is drawn from a generator seeded by (trial's seed, epoch, batch). So there is no generator to
save: a trial cut off anywhere, also in mid-step, goes on as if nothing had happened (on CPU to the last bit) from its
weights, its optimizer's tensors and a few numbers.

The loop does not wait for the device within a step, apart from a look every ``CHECK_EVERY`` batches at whether the
loss is still finite. Batches come from the task's data (``raynas.tasks.data``), in memory or streamed, and are prepared
and augmented as a whole. What a task's functions and the network are given are copies of what is stored, also in a
validation, and of the outputs: any of them may work in place.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raynas.errors import TaskError
from raynas.evaluators.checkpoint import RENEWED
from raynas.evaluators.evaluator import Evaluation, Measurement, State, TrialContext
from raynas.evaluators.execution import Execution
from raynas.evaluators.recipe import Recipe
from raynas.evaluators.scoring import score_for
from raynas.tasks.data import Batch, Data, DataSource, Inputs, each, shape_of
from raynas.tasks.draws import any_of, seed_of
from raynas.tasks.task import Task

__all__ = ["CHECK_EVERY", "STATISTICS_BATCHES", "VALID_BATCH", "TrainingEvaluation", "any_of", "seed_of"]

CHECK_EVERY = 16  # batches
VALID_BATCH = 512  # samples in memory; of a stream, which may have large ones, as many as in training
STATISTICS_BATCHES = 16  # of training inputs, for batch norm's statistics under averaged weights
#: Where nothing is decided, one validation sample in so many is looked at, but so many samples at least; and so many
#: batches for the statistics.
SAMPLED_VALIDATION, LEAST_VALIDATED, FEW_BATCHES = 8, 500, 4


class TrainingEvaluation(Evaluation):
    """A network in training. A step is an epoch, or ``step_seconds`` of training where the context gives them.

    State: weights and buffers, the optimizer's tensors, and where in which step it is.

    Args:
        model: the network, on the context's device.
        task: loss, metrics, preparation and augmentation.
        data: its batches come on the context's device.
        recipe: how to train.
        context: seed, budget, threads, device.
        execution: how the arithmetic is done.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        data: DataSource,
        recipe: Recipe,
        context: TrialContext,
        execution: Execution | None = None,
    ) -> None:
        self.execution = execution or Execution()
        self.model = self.execution.place(model, context.device)
        self.task = task
        self.data = data
        self.context = context
        self.recipe = replace(recipe, batch_size=data.batch_size(recipe.batch_size))
        self.batches = data.epoch_batches(self.recipe.batch_size)  # of an epoch
        self.optimizer = self.recipe.make_optimizer(model)
        #: The network that is measured: the one in training, or the moving average of its weights.
        self.measured = copy.deepcopy(model) if recipe.ema else model
        self._averaged, self._live = (
            [parameter.detach() for parameter in network.parameters()] for network in (self.measured, self.model)
        )
        self._forward: nn.Module = torch.compile(model) if self.execution.compile else model  # type: ignore[assignment]
        self.generator = torch.Generator()
        self._coming: Iterator[Batch] = iter(())  # the batches of the epoch under way, from
        self._next = (-1, 0)  # this epoch and batch on
        self.step = 0  # steps that are done
        self.seen = 0  # batches in all
        self.batch = 0  # batches of the next step that are done
        self.seconds = 0.0  # spent on the next step so far
        self.train_seconds = 0.0  # thereof in training
        self.past_seconds = 0.0  # of training in the steps that are done
        self.rate = 0.0  # the learning rate of the last batch
        self.loss_sum = torch.zeros((), device=context.device)
        self._since = time.perf_counter()  # when training was last taken up

    def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
        torch.set_num_threads(self.context.threads)
        while self.step < self.context.max_steps:
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
            metrics["lr"] = self.rate
            metrics["images_per_second"] = self.batch * self.recipe.batch_size / self.train_seconds
            self.step += 1
            measurement = Measurement(self.step, metrics, self.seconds)
            self.past_seconds += self.train_seconds
            self.batch, self.seconds, self.train_seconds = 0, 0.0, 0.0
            self.loss_sum = torch.zeros_like(self.loss_sum)
            yield measurement
            if diverged:
                return

    @property
    def objective_metric(self) -> str:
        """What the trial is compared by."""
        return self.context.metric or self.task.objective.metric

    def _train(self, should_stop: Callable[[], bool]) -> bool:
        """Trains to the end of the step, or until the loss is not finite. False where it was told to stop."""
        self._since = time.perf_counter()
        self.model.train()
        while not self._step_is_over():
            if should_stop():
                return False
            self.one_batch()
            if self.batch % CHECK_EVERY == 0 and not math.isfinite(self.loss_sum.item()):
                break
        return True

    def one_batch(self) -> None:
        """One step of the optimizer; what follows is the heart of it all."""
        epoch, batch = divmod(self.seen, self.batches)
        stored, targets = self._batch(epoch, batch)
        seed = seed_of(self.context.seed, "batch", epoch, batch)
        self._seed_modules(seed)
        self.generator.manual_seed(seed)
        inputs = self.task.augment(self._prepared(stored), self.generator)
        self.rate = self.recipe.learning_rate(self._progress())
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        with self.execution.autocast(self.context.device):
            outputs = self._forward(self.execution.arrange(inputs))
        loss = self.task.loss(outputs.float(), targets, self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._average()
        self.loss_sum += loss.detach()
        self.batch += 1
        self.seen += 1

    @torch.no_grad()
    def _validate(self, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """Loss and metrics over the validation data. None where it was told to stop.

        In a budget of time a step may be shorter than a look at all of it: where nothing is decided by the result, one
        sample in ``_validation_stride()`` is looked at, the same ones in each trial.
        """
        every = self._validation_stride()
        self._renew_statistics(STATISTICS_BATCHES if every == 1 else FEW_BATCHES)
        self.measured.eval()
        size = VALID_BATCH if isinstance(self.data, Data) else self.recipe.batch_size
        coming = self.data.batches("valid", size)
        if every > 1:
            coming = self.data.drawn("valid", self._valid_size // every, size, "glance")
        score = score_for(self.task, self.data)
        for stored, targets in coming:
            if should_stop():
                return None
            inputs = self._prepared(stored)
            with self.execution.autocast(self.context.device):
                score.add(self.measured(self.execution.arrange(inputs)).float(), targets)
        return score.metrics()

    def _validation_stride(self) -> int:
        """1 where all validation data is to be looked at; else one in how many."""
        rungs = self.context.rungs
        if self.context.step_seconds is None or rungs is None or self.step + 1 in rungs:
            return 1
        if not self.data.drawable("valid"):
            return 1
        return max(1, min(SAMPLED_VALIDATION, self._valid_size // LEAST_VALIDATED))

    @property
    def _valid_size(self) -> int:
        return self.data.sizes(self.recipe.batch_size)[1]

    def _step_is_over(self) -> bool:
        """Whether the step has its epoch, or its seconds (and one batch at least)."""
        limit = self.context.step_seconds
        if limit is None:
            return self.batch >= self.batches
        return self.batch > 0 and self._spent() >= (self.step + 1) * limit

    def _progress(self) -> float:
        """The share of the whole budget that lies behind the batch under way."""
        limit, steps = self.context.step_seconds, self.context.max_steps
        if limit is None:
            return (self.seen + 0.5) / (steps * self.batches)
        return min(1.0, self._spent() / (steps * limit))

    def _spent(self) -> float:
        """Seconds of training so far."""
        return self.past_seconds + self.train_seconds + time.perf_counter() - self._since

    def _batch(self, epoch: int, batch: int) -> Batch:
        """A batch of an epoch; the next one is there at once, any other is gone to first."""
        if self._next != (epoch, batch) or not batch:
            size, seed = self.recipe.batch_size, self.context.seed
            self._coming = self.data.batches("train", size, seed=seed, epoch=epoch, start=batch)
        found, self._next = next(self._coming), (epoch, batch + 1)
        if batch + 1 == self.batches:
            self._coming = iter(())  # processes that read for it have nothing to do any more
        return found

    def _prepared(self, stored: Inputs) -> Inputs:
        """Stored inputs as the network takes them.

        Raises:
            TaskError: they came from a stream and have another shape than the task says.
        """
        inputs = self.task.prepare(stored)
        if not isinstance(self.data, Data) and shape_of(inputs) != each(tuple, self.task.input_shape):
            raise TaskError(
                f"task {self.task.name!r}: a batch has inputs of shape {shape_of(inputs)}, and input_shape is "
                f"{self.task.input_shape}; bring all samples to that shape (sequences: pad them to one length)"
            )
        return inputs

    def _seed_modules(self, seed: int) -> None:
        """Seeds what dropout and other modules draw from. ``torch.manual_seed`` would do; it takes 0.1 ms a call."""
        if self.context.device.startswith("cuda"):
            torch.cuda.manual_seed(seed)
        elif self.context.device.startswith("mps"):
            torch.mps.manual_seed(seed)
        torch.default_generator.manual_seed(seed)

    @torch.no_grad()
    def _average(self) -> None:
        """Moves the averaged weights towards those in training; at first faster than later."""
        if self.measured is self.model:
            return
        decay = min(self.recipe.ema, (1 + self.seen) / (10 + self.seen))
        torch._foreach_lerp_(self._averaged, self._live, 1 - decay)

    @torch.no_grad()
    def _renew_statistics(self, batches: int) -> None:
        """Gives averaged weights the batch-norm statistics that belong to them (Izmailov et al. 2018, section 3.2).

        An average of the statistics in training would belong to no network: early on it is far off. They are those of
        samples drawn from all training data, which may be sorted; a trial draws the same ones each time.
        """
        if self.measured is self.model:
            return
        for averaged, live in zip(self.measured.buffers(), self.model.buffers(), strict=True):
            averaged.copy_(live)
        norms = [module for module in self.measured.modules() if isinstance(module, _BatchNorm)]
        norms = [norm for norm in norms if norm.track_running_stats]
        if not norms:
            return
        self.measured.eval()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
            norm.train()
        size = self.recipe.batch_size
        count = min(self.batches, batches) * size
        for stored, _ in self.data.drawn("train", count, size, self.context.seed, "statistics"):
            inputs = self._prepared(stored)
            with self.execution.autocast(self.context.device):
                self.measured(self.execution.arrange(inputs))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def state(self) -> State:
        if self.batch:  # in mid-step: averaged weights have moved since their statistics were renewed
            self._renew_statistics(STATISTICS_BATCHES)
        tensors = {f"model.{name}": tensor for name, tensor in self.measured.state_dict().items()}
        if self.measured is not self.model:
            tensors |= {f"live.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if value is not None:
                    tensors[f"optimizer.{key}.{name}"] = value
        tensors["train.loss_sum"] = self.loss_sum
        return State(tensors, {key: getattr(self, key) for key in _VALUES} | {RENEWED: True})

    def load(self, state: State) -> None:
        tensors = state.tensors
        for network, prefix in ((self.measured, "model."), (self.model, "live." if self.recipe.ema else "model.")):
            network.load_state_dict({name: tensors[prefix + name] for name in network.state_dict()})
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                key, _, owner = rest.partition(".")
                self.optimizer.state[parameters[owner]][key] = self._like(parameters[owner], tensor)
        self.loss_sum = tensors["train.loss_sum"].detach().clone().to(self.context.device)
        for key in _VALUES:
            setattr(self, key, state.values[key])

    def _like(self, parameter: Tensor, tensor: Tensor) -> Tensor:
        """A copy on the device, in the memory layout of its parameter (checkpoints are contiguous)."""
        copied = tensor.detach().clone().to(self.context.device)
        return torch.empty_like(parameter).copy_(copied) if copied.shape == parameter.shape else copied


_VALUES = ("step", "seen", "batch", "rate", "seconds", "train_seconds", "past_seconds")
