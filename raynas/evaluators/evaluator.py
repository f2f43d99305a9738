"""The contract of everything that measures an architecture: training, a proxy, inherited weights, a table.

An :class:`Evaluator` is made once a process and starts one :class:`Evaluation` per trial. An evaluation yields a
:class:`Measurement` per step of budget and can hand out its state between any two batches, so that whoever drives it
(on a cluster: a Ray Trainable; in a test: a ``for`` loop) can stop it anywhere and go on later, elsewhere.
Nothing here knows Ray, the journal or the disk.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from raynas.errors import TaskError
from raynas.objectives.objective import Mode, Objective

if TYPE_CHECKING:  # torch takes a second to import, and an evaluator need not use it
    from torch import Tensor

    from raynas.evaluators.timing import Pace
    from raynas.space import Architecture, Space
    from raynas.tasks.task import Task


@dataclass(frozen=True)
class Measurement:
    """What one step of budget showed.

    Args:
        step: how many steps (epochs, for training) are behind the trial now; the first measurement has step 1.
        metrics: finite numbers, or NaN where a value could not be had (a loss that diverged). Tensors and arrays of one
            element and NumPy numbers may be given, and are kept as Python's floats.
        seconds: wall seconds of this step alone, time spent before an interruption included.

    Raises:
        TaskError: a metric is not one number.
    """

    step: int
    metrics: dict[str, float]
    seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", {name: _number(name, value) for name, value in self.metrics.items()})


@dataclass(frozen=True)
class TrialContext:
    """What an evaluation must know of its trial besides the architecture.

    Args:
        number: the trial's number in its search.
        seed: every random decision of the evaluation follows from it.
        max_steps: the full budget; schedules are sized to it.
        threads: CPU threads that the trial may use.
        device: a torch device, ``"cpu"`` or ``"cuda"``.
        step_seconds: where given, a step is so many seconds of training instead of an epoch: every architecture then
            has the same time, whatever its size. What such a trial does depends on the machine's speed.
        rungs: the steps at which something is decided by what was measured; None: it may be any.
        metric: what trials are compared by (None: the evaluator's own objective). A measurement of a trial that
            cannot go on (a loss that diverged) holds NaN for it.
        precision: the number format that a person asked for; "auto": what is fastest, of those that work.
    """

    number: int
    seed: int
    max_steps: int
    threads: int = 1
    device: str = "cpu"
    step_seconds: float | None = None
    rungs: tuple[int, ...] | None = None
    metric: str | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass
class State:
    """All that an evaluation needs to go on later.

    The tensors may be the live ones: use or copy them before the evaluation goes on.

    Args:
        tensors: by name. A network's own weights and buffers are ``model.<parameter name>``; export reads those.
        values: plain JSON.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def _number(name: str, value: Any) -> float:
    """A metric as a float: the one border between what people's code gives and what is compared and journalled."""
    if isinstance(value, numbers.Real):
        return float(value)
    if getattr(value, "shape", None) is not None and math.prod(value.shape) == 1 and hasattr(value, "item"):
        value = value.item()
        if isinstance(value, numbers.Real):
            return float(value)
    shape = getattr(value, "shape", None)
    kind = type(value).__name__ + (f" of shape {tuple(shape)}" if shape else "")
    raise TaskError(
        f"metric {name!r} is a {kind}; a metric is one number (Python's or NumPy's, or a tensor of one element): "
        "leave it out of metrics(), or give a number"
    )


class Evaluation(ABC):
    """One trial under way."""

    @abstractmethod
    def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
        """Goes on from where the evaluation stands: a measurement per step, up to the context's ``max_steps``.

        It may end before that, where more steps would change nothing: the last measurement then counts as that of the
        full budget.

        Args:
            should_stop: asked every batch. When it says yes the iterator ends, also in mid-step, without a
                measurement, and :meth:`state` holds the point reached.

        Between two measurements :meth:`state` may be called; it then holds the measurement's step as done.
        """

    @abstractmethod
    def state(self) -> State | None:
        """The point reached, complete enough that a fresh evaluation which loads it gives the same measurements.

        None in mid-step, where nobody can go on from there: the trial goes on from its last measurement then.
        """

    @abstractmethod
    def load(self, state: State) -> None:
        """Puts a fresh evaluation (same space, architecture, context) at the point where ``state`` was taken."""


class Stage(ABC):
    """Work that an evaluator needs once, before the trials: a supernet is trained, latencies are measured.

    It is driven like a trial, with a checkpoint after every step, and can be interrupted like one. What its evaluation
    holds at the end (:meth:`Evaluation.state`) is the stage's *artifact*.

    Attributes:
        name: unique among the stages of an evaluator; letters, digits, ``-`` and ``_``.
        steps: how many measurements it makes, at most.
    """

    name: str
    steps: int

    @abstractmethod
    def start(self, space: Space, context: TrialContext) -> Evaluation:
        """The work, to be gone on with from a state that is loaded, or from its beginning.

        Args:
            space: the search's.
            context: seed, threads and device count; ``max_steps`` is ``steps``.
        """


class Evaluator(ABC):
    """A way of measuring architectures. It is pickled into the worker processes: keep large data out of its pickle."""

    #: What the evaluator's measurements say is good, unless the person searching says otherwise.
    objective: Objective
    #: Which way its other metrics are good (``"min"`` or ``"max"``).
    directions: Mapping[str, Mode] = MappingProxyType({})
    #: The full budget of a trial, in steps, unless the person searching says otherwise.
    default_steps: int
    #: Whether a step can be so many seconds (``TrialContext.step_seconds``) instead of the evaluator's own measure.
    timed: bool = False
    #: Whether :meth:`decide` heeds ``TrialContext.precision``.
    chooses_precision: bool = False
    #: The data that it measures on; None: it needs none, or has its own.
    task: Task | None = None

    @property
    def title(self) -> str:
        """What it is called before people."""
        return type(self).__name__

    @abstractmethod
    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> Evaluation:
        """A fresh evaluation. Exceptions (an architecture that cannot be built, no memory) go up to the driver."""

    def load(self) -> None:
        """Loads what all trials of a process share, such as data, before the first of them: no trial pays for it."""
        return None

    def stages(self, space: Space) -> Sequence[Stage]:
        """Work to be done once, before the first trial, in this order."""
        return ()

    def receive(self, artifacts: Mapping[str, State]) -> None:
        """Takes what the stages have made, by their names, before the first trial of a process.

        A stage gets the artifacts of those before it.
        """
        return None

    def decide(self, space: Space, architecture: Architecture, context: TrialContext) -> dict[str, Any]:
        """What has to be found out on the machine once a search, and then be the same for all its trials.

        Args:
            space: the search's.
            architecture: one to try it on, for example the default.
            context: threads, device and precision count; nothing else does.

        Returns:
            Plain JSON, for the journal; :meth:`adopt` takes it on every worker, and again after a resume. A ``reason``
            in it is for people, in one line.

        Raises:
            UserError: what the person asked for is not possible here.
        """
        return {}

    def pace(
        self, space: Space, architecture: Architecture, context: TrialContext, *, at_once: int = 1, batch_size: int = 0
    ) -> Pace | None:
        """How long training takes, by a few steps here; None where an evaluation is no training on samples.

        Args:
            space: the search's.
            architecture: which one.
            context: threads and device count; nothing else does.
            at_once: how many trials are to run on this machine at the same time.
            batch_size: samples a step (0: as in a trial).
        """
        return None

    def adopt(self, decisions: Mapping[str, Any]) -> None:
        """Takes what :meth:`decide` gave, here or on another machine; {} changes nothing."""
        return None

    def preflight(self, space: Space, architecture: Architecture) -> tuple[str, ...]:
        """Looks, without training, at what would make every trial fail, before a search's folder is made.

        Returns:
            The names of the metrics that a measurement will hold; none where that is not known beforehand.

        Raises:
            UserError: what would make every trial fail, in one line.
        """
        return ()

    def check(self, space: Space, architecture: Architecture, context: TrialContext) -> Measurement | None:
        """One short step, as a trial does it; a search asks for it on a worker, before its first trial.

        Args:
            space: the search's.
            architecture: its default.
            context: a trial's.

        Returns:
            What was measured; None where there is no short step.

        Raises:
            UserError: what would make every trial fail, in one line.
        """
        return None
