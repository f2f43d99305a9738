"""A training loop that a person has already, as an evaluator: a generator function that yields metrics.

::

    def train(model, trial):
        optimizer = torch.optim.Adam(model.parameters())
        trial.keep(optimizer=optimizer)
        for epoch in trial.epochs:
            ...
            yield {"val_accuracy": accuracy}

The loop gets the network, built and on its device, and the :class:`Trial`; after each yield there is a checkpoint. An
interrupted trial calls the function again: the network has its weights back, ``trial.keep`` gives what it is handed its
state back, ``trial.epochs`` begins after those that are done, and random numbers go on where they were. So all that
belongs to an epoch stands before its yield.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from raynas.errors import EvaluatorError
from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State, TrialContext
from raynas.evaluators.nested_state import flatten, unflatten
from raynas.evaluators.output import require_output
from raynas.evaluators.random_state import RandomState
from raynas.tasks.draws import seed_of
from raynas.tasks.task import Task

if TYPE_CHECKING:
    from raynas.space import Architecture, Space

#: A training loop: see the module.
Loop = Callable[[nn.Module, "Trial"], Iterator[Mapping[str, Any]]]

_MODEL, _KEPT, _RANDOM, _STEP = "model", "kept", "random", "step"


class Stateful(Protocol):
    """What can be handed to :meth:`Trial.keep`: optimizers, schedulers, scalers, modules, a class of one's own."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Trial:
    """What a training loop is told of its trial, and where it hands over what has to survive an interruption.

    Attributes:
        number: the trial's number in its search.
        seed: of all its random decisions. torch's, Python's and NumPy's global generators begin with it.
        steps: the full budget, in yields (a search's ``--epochs``).
        done: how many of them are done; above 0 where an interrupted trial goes on.
        device: where the network is, ``"cpu"`` or ``"cuda"``.
        threads: CPU threads that the trial may use.
        task: the search's task: its data, loss and metrics, if the loop wants to use them.
    """

    def __init__(self, model: nn.Module, context: TrialContext, task: Task) -> None:
        self._model = model
        self.number, self.seed, self.steps = context.number, context.seed, context.max_steps
        self.device, self.threads, self.task = context.device, context.threads, task
        self.done = 0
        self._should_stop: Callable[[], bool] = lambda: False
        self._kept: dict[str, Stateful] = {}
        self._loaded: dict[str, Any] = {}  # states by name that ``keep`` is still to give back

    @property
    def epochs(self) -> range:
        """The numbers of the epochs that are still to do, from 0: ``for epoch in trial.epochs``."""
        return range(self.done, self.steps)

    def keep(self, **objects: Stateful) -> None:
        """Hands over what holds state, to be saved after every yield; where a trial goes on, its state comes back now.

        The network is kept without being handed over.

        Args:
            **objects: by names of your choice, for example ``optimizer=optimizer, scheduler=scheduler``.

        Raises:
            EvaluatorError: one has no ``state_dict`` and ``load_state_dict``.
        """
        for name, value in objects.items():
            if value is self._model:
                continue
            if name in (_MODEL, _RANDOM):
                raise EvaluatorError(f"trial.keep({name}=…): {name!r} is a name of the trial's own; choose another")
            if not callable(getattr(value, "state_dict", None)) or not callable(
                getattr(value, "load_state_dict", None)
            ):
                raise EvaluatorError(
                    f"trial.keep({name}=…) was given a {type(value).__name__}, which has no state_dict() and "
                    "load_state_dict(); hand over optimizers, schedulers, modules, or a class with these two methods"
                )
            self._kept[name] = value
            if name in self._loaded:
                value.load_state_dict(self._loaded.pop(name))

    def should_stop(self) -> bool:
        """Whether the search wants to end now; a loop with long epochs may ask every batch, and then ``return``.

        What was trained since the last yield is then trained again when the search goes on.
        """
        return self._should_stop()


class OwnLoop(Evaluator):
    """Measures an architecture by a training loop (see the module).

    The loop decides nothing about the search: what it makes good is the task's objective, unless the function has an
    attribute ``objective``, or the person searching names a metric it yields.

    Args:
        loop: a generator function of the network and the :class:`Trial`.
        task: gives the network's input and output shapes.

    Raises:
        EvaluatorError: it does not yield, or does not take two arguments.
    """

    task: Task

    def __init__(self, loop: Loop, task: Task) -> None:
        name = getattr(loop, "__name__", type(loop).__name__)
        if not inspect.isgeneratorfunction(loop):
            raise EvaluatorError(f"training loop {name!r} does not yield; yield the metrics of each epoch as a dict")
        try:
            inspect.signature(loop).bind(None, None)
        except TypeError:
            raise EvaluatorError(
                f"training loop {name!r} is called with the network and the trial: def {name}(model, trial)"
            ) from None
        self.loop, self.task = loop, task
        self.objective = getattr(loop, "objective", task.objective)
        self.directions = {**task.directions, **getattr(loop, "directions", {})}
        self.default_steps = task.default_epochs

    @property
    def title(self) -> str:
        return f"training loop {self.loop.__name__!r}"

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> OwnLoopEvaluation:
        torch.manual_seed(seed_of(context.seed, "weights"))
        model = space.build(architecture, self.task.input_shape, self.task.input_dtype).to(context.device)
        return OwnLoopEvaluation(self.loop, self.title, Trial(model, context, self.task), model)

    def preflight(self, space: Space, architecture: Architecture) -> tuple[str, ...]:
        require_output(space, architecture, self.task)
        return ()


class OwnLoopEvaluation(Evaluation):
    """State: one training loop under way."""

    def __init__(self, loop: Loop, title: str, trial: Trial, model: nn.Module) -> None:
        self.model, self.trial, self._loop, self._title = model, trial, loop, title
        self._running: Iterator[Mapping[str, Any]] | None = None
        self._random = RandomState(seed_of(trial.seed, "loop"), trial.device)
        self._within_epoch = False
        self._loaded: State | None = None

    def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
        trial = self.trial
        trial._should_stop = should_stop
        while trial.done < trial.steps and not should_stop():
            begun = time.perf_counter()
            self._within_epoch = True
            with self._random.in_place():
                if self._running is None:
                    self._running = iter(self._loop(self.model, trial))
                found = next(self._running, None)
            if found is None:
                self._within_epoch = should_stop()
                return
            if trial._loaded:
                raise EvaluatorError(
                    f"the checkpoint holds the state of {', '.join(map(repr, trial._loaded))}, which the {self._title} "
                    "no longer hands to trial.keep(); hand it over again"
                )
            if not isinstance(found, Mapping):
                raise EvaluatorError(
                    f"the {self._title} yielded a {type(found).__name__}; yield a dict of metrics, for example "
                    '{"val_accuracy": 0.9}'
                )
            trial.done += 1
            self._within_epoch = False
            yield Measurement(trial.done, dict(found), time.perf_counter() - begun)

    def state(self) -> State | None:
        if self._within_epoch:
            return None  # nobody knows how to begin there
        if self._loaded is not None and self._running is None:
            return self._loaded
        tensors: dict[str, torch.Tensor] = {}
        values = {
            _STEP: self.trial.done,
            _MODEL: flatten(_MODEL, self.model.state_dict(), tensors),
            _KEPT: {name: flatten(name, value.state_dict(), tensors) for name, value in self.trial._kept.items()},
        }
        random = self._random.state()
        return State({**tensors, **random.tensors}, {**values, _RANDOM: random.values})

    def load(self, state: State) -> None:
        tensors, values = state.tensors, state.values
        self._loaded = state
        self.trial.done = values[_STEP]
        self.model.load_state_dict(unflatten(values[_MODEL], tensors))
        self.trial._loaded = {name: unflatten(value, tensors) for name, value in values[_KEPT].items()}
        self._random.load(tensors, values[_RANDOM])
