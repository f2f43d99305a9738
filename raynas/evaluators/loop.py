"""The training of one network: one loop, meant to be read from top to bottom.

Every random decision is drawn from a generator seeded by (trial's seed, epoch, batch). So there is no generator to
save: a trial cut off anywhere, also in mid-step, goes on as if nothing had happened (on CPU to the last bit) from its
weights, its optimizer's tensors and a few numbers.

The loop does not wait for the device within a step, apart from a look every ``CHECK_EVERY`` batches at whether the
loss is still finite. Inputs stay in memory as they are stored (images: uint8) and are prepared and augmented a whole
batch at a time. What a task's functions and the network are given are copies of what is stored, also in a validation,
and of the outputs: any of them may work in place.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raynas.evaluators.checkpoint import RENEWED
from raynas.evaluators.evaluator import Evaluation, Measurement, State, TrialContext
from raynas.evaluators.execution import Execution
from raynas.evaluators.recipe import Recipe
from raynas.tasks.task import Data, Task

CHECK_EVERY = 16  # batches
VALID_BATCH = 512  # samples
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
        data: on the context's device.
        recipe: how to train.
        context: seed, budget, threads, device.
        execution: how the arithmetic is done.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        data: Data,
        recipe: Recipe,
        context: TrialContext,
        execution: Execution | None = None,
    ) -> None:
        self.execution = execution or Execution()
        self.model = self.execution.place(model, context.device)
        self.task = task
        self.data = data
        self.context = context
        samples = len(data.train_inputs)
        # Full batches only: every image has the same chance, as each epoch leaves others over.
        self.recipe = replace(recipe, batch_size=min(recipe.batch_size, samples))
        self.batches = samples // self.recipe.batch_size
        self.optimizer = self.recipe.make_optimizer(model)
        #: The network that is measured: the one in training, or the moving average of its weights.
        self.measured = copy.deepcopy(model) if recipe.ema else model
        self._averaged, self._live = (
            [parameter.detach() for parameter in network.parameters()] for network in (self.measured, self.model)
        )
        self._forward: nn.Module = torch.compile(model) if self.execution.compile else model  # type: ignore[assignment]
        self.generator = torch.Generator()
        self.order: tuple[int, Tensor] | None = None  # of the epoch under way
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
        data, size = self.data, self.recipe.batch_size
        epoch, batch = divmod(self.seen, self.batches)
        index = self._order(epoch)[batch * size : (batch + 1) * size]
        seed = seed_of(self.context.seed, "batch", epoch, batch)
        self._seed_modules(seed)
        self.generator.manual_seed(seed)
        inputs = self.task.augment(self.task.prepare(data.train_inputs[index]), self.generator)
        self.rate = self.recipe.learning_rate(self._progress())
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        with self.execution.autocast(self.context.device):
            outputs = self._forward(self.execution.arrange(inputs))
        loss = self.task.loss(outputs.float(), data.train_targets[index], self.recipe.label_smoothing)
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
        samples, targets = self.data.valid_inputs, self.data.valid_targets
        if every > 1:
            some = any_of(len(samples), len(samples) // every, "glance").to(self.context.device)
            samples, targets = samples[some], targets[some]
        outputs: list[Tensor] = []
        for batch in samples.split(VALID_BATCH):
            if should_stop():
                return None
            inputs = self.task.prepare(batch.clone())  # slices are views of the stored data
            with self.execution.autocast(self.context.device):
                outputs.append(self.measured(self.execution.arrange(inputs)).float())
        together = torch.cat(outputs)
        outputs.clear()
        found = self.task.metrics(together.clone(), targets.clone())
        metrics = {f"val_{name}": value for name, value in found.items()}
        return metrics | {"val_loss": self.task.loss(together, targets.clone()).item()}

    def _validation_stride(self) -> int:
        """1 where all validation data is to be looked at; else one in how many."""
        rungs = self.context.rungs
        if self.context.step_seconds is None or rungs is None or self.step + 1 in rungs:
            return 1
        return max(1, min(SAMPLED_VALIDATION, len(self.data.valid_inputs) // LEAST_VALIDATED))

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

    def _order(self, epoch: int) -> Tensor:
        """The order of the images in an epoch."""
        if self.order is None or self.order[0] != epoch:
            self.generator.manual_seed(seed_of(self.context.seed, "order", epoch))
            order = torch.randperm(len(self.data.train_inputs), generator=self.generator)
            self.order = epoch, order.to(self.context.device)
        return self.order[1]

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
        size, count = self.recipe.batch_size, len(self.data.train_inputs)
        drawn = any_of(count, min(self.batches, batches) * size, self.context.seed, "statistics")
        for index in drawn.to(self.context.device).split(size):
            with self.execution.autocast(self.context.device):
                self.measured(self.execution.arrange(self.task.prepare(self.data.train_inputs[index])))
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


def any_of(total: int, count: int, *seed: object) -> Tensor:
    """``count`` of ``range(total)`` (all, where there are not as many), int64, drawn without repeats.

    Whatever looks at a part of the data takes this one and not its head: data are often sorted, by class for example.

    Args:
        seed: what the draw follows from, on every machine.
    """
    generator = torch.Generator().manual_seed(seed_of(*seed))
    return torch.randperm(total, generator=generator)[:count]


def seed_of(*parts: object) -> int:
    """A 63-bit seed that follows from the parts alone, on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1
