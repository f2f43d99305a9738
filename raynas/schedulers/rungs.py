"""Asynchronous successive halving (ASHA), the stopping variant, as pure arithmetic on exact integer rungs.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (MLSys, arXiv:1810.05934), algorithm 2, in the
stopping form of Ray Tune's ``AsyncHyperBandScheduler`` and Syne Tune: no trial is ever paused (``promotion`` has the
form of the paper). When a trial reaches a rung, its value is entered there; it goes on if it is among the best
``1 / reduction_factor`` of all that the rung has seen so far, itself included, and stops otherwise. The first at a rung
always goes on.

"Among the best" is exact: of ``n`` values, the best ``ceil(n / reduction_factor)`` go on, and equals of the last of
them. (That is the ``1 - 1 / reduction_factor`` percentile with linear interpolation, without its rounding errors.)

Ray and the journal are not known here. The order of ``record`` calls is the only input, so a test recomputes every
decision of a search from its journal.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from raynas.errors import SpecError
from raynas.objectives.objective import Mode

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

Action = Literal["continue", "stop", "pause"]


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after a measurement.

    Attributes:
        action: ``"continue"``, ``"stop"``, or ``"pause"`` until the trial is promoted (``StoppingRule.promotable``).
        reason: with ``"stop"``, the journal's ``stop_reason``: ``"budget"`` (all steps done), ``"early_stopped"``,
            ``"nan"`` (the value is not finite); else None.
        rung: the rung that the measurement stands at, or None.
    """

    action: Action
    reason: str | None = None
    rung: int | None = None

    @property
    def stops(self) -> bool:
        """Whether the trial is over."""
        return self.action == "stop"


def defaults(max_steps: int) -> tuple[int, int]:
    """Grace period and reduction factor for a budget of ``max_steps`` steps a trial.

    The factor is 3 (Li et al. use 3 and 4). The grace period is a ninth of a budget of 18 steps or more, a third of a
    shorter one, rounded up: after one epoch or two of nine, networks are ranked by how fast they begin. 27 steps give
    rungs at 3, 9, 27; 9 give 3, 9; 100 give 12, 36, 100; 3 give 1, 3.
    """
    parts = 9 if max_steps >= 18 else 3
    return max(1, -(-max_steps // parts)), 3


class RuleSettings(TypedDict, total=False):
    """The keywords of every rule: see ``StoppingRule``."""

    mode: Mode
    modes: Sequence[Mode] | None
    grace_period: int | None
    reduction_factor: int | None


class StoppingRule(ABC):
    """The contract of a scheduler: told every measurement of every trial in the order of arrival, it decides.

    A scheduler of one's own derives from this, is made with the arguments below, and is found by entry point or file.
    One that pauses trials says so (``pauses``), and is asked for one to promote whenever a worker is free.

    A search hands over a measurement's values of all objectives (``record_values``, ``replay_values``). A rule for one
    objective has ``record`` and ``replay``, and gets the first objective's value. A rule for several says so
    (``several``), and overrides the two methods with ``_values``; its ``record`` and ``replay`` are those of a search
    that has one objective.

    Attributes:
        pauses: whether ``record`` may answer ``"pause"``.
        several: whether the rule goes by all objectives; then it is made with ``modes``.
        mode: the first objective's direction.
        modes: of each objective; without ``several`` the first one's alone.

    Args:
        max_steps: a trial's full budget in steps.
        mode: whether bigger (``"max"``) or smaller (``"min"``) values are better.
        modes: the same for each objective, in order (default: there is one, of ``mode``).
        grace_period: no trial is stopped for its value before this step (default: see ``defaults``).
        reduction_factor: one in how many goes on from a rung (default: see ``defaults``).

    Raises:
        SpecError: a budget, period or factor that makes no sense.
    """

    pauses: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __init__(
        self,
        max_steps: int,
        *,
        mode: Mode = "max",
        modes: Sequence[Mode] | None = None,
        grace_period: int | None = None,
        reduction_factor: int | None = None,
    ) -> None:
        if max_steps < 1:
            raise SpecError(f"a budget of {max_steps} steps a trial trains nothing; give 1 or more")
        self.modes: tuple[Mode, ...] = tuple(modes or (mode,))
        for one in self.modes:
            if one not in ("min", "max"):
                raise SpecError(f"objective mode {one!r} is not known; give 'min' or 'max'")
        default_period, default_factor = defaults(max_steps)
        self.max_steps = max_steps
        self.mode = self.modes[0]
        self.grace_period = default_period if grace_period is None else grace_period
        self.reduction_factor = default_factor if reduction_factor is None else reduction_factor
        if not 1 <= self.grace_period <= max_steps:
            raise SpecError(f"grace period {self.grace_period} is not between 1 and the budget of {max_steps} steps")
        if self.reduction_factor != int(self.reduction_factor) or self.reduction_factor < 2:
            raise SpecError(f"reduction factor {self.reduction_factor} is not a whole number of 2 or more")

    @property
    @abstractmethod
    def levels(self) -> tuple[int, ...]:
        """The rungs: growing step numbers, the last one is ``max_steps``."""

    @abstractmethod
    def record(self, trial: int, step: int, value: float) -> Decision:
        """Enters a measurement and decides. A (trial, rung) that is already entered gets its first decision again.

        Args:
            trial: the trial's number.
            step: steps that it has had in all, from 1.
            value: the objective's value there, unsigned (NaN or infinite: the trial stops, and is not entered).
        """

    @abstractmethod
    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        """Enters a measurement with the decision that was made on it then; of one trial in the order of its steps."""

    def record_values(self, trial: int, step: int, values: Sequence[float]) -> Decision:
        """``record``, with a value for each objective (NaN where it is missing), the first one's first.

        Where the first is not finite the trial stops, also under a rule for several.
        """
        return self.record(trial, step, values[0])

    def replay_values(self, trial: int, step: int, values: Sequence[float], decision: Decision) -> None:
        """``replay``, with a value for each objective."""
        self.replay(trial, step, values[0], decision)

    def promotable(self) -> int | None:
        """The paused trial that goes on now that a worker is free; None: a new one may begin. Changes nothing."""
        return None

    def leave(self, trial: int) -> None:
        """The trial is paused no more: it was promoted, or it ended where it was. Nothing happens to any other."""
        return None

    @property
    def expected_steps(self) -> float:
        """Steps of a mean trial where each rung lets one in ``reduction_factor`` pass.

        Example:
            >>> Rungs(9, grace_period=1, reduction_factor=3).expected_steps
            2.333333333333333
        """
        steps, alive, before = 0.0, 1.0, 0
        for level in self.levels:
            steps += alive * (level - before)
            alive, before = alive / self.reduction_factor, level
        return steps

    def rung(self, step: int) -> int | None:
        """The rung that a step stands at: the step itself, or None."""
        return step if step in self.levels else None

    def _fixed(self, step: int, value: float) -> Decision | None:
        """The decisions that do not depend on other trials."""
        if not math.isfinite(value):
            return Decision("stop", "nan", self.rung(step))
        if step >= self.max_steps:
            return Decision("stop", "budget", self.rung(step))
        return None


class GeometricRule(StoppingRule):
    """A rule with ASHA's rungs: ``grace_period · reduction_factor^k`` below ``max_steps``, then ``max_steps``."""

    def __init__(self, max_steps: int, **settings: Unpack[RuleSettings]) -> None:
        super().__init__(max_steps, **settings)
        levels, level = [], self.grace_period
        while level < max_steps:
            levels.append(level)
            level *= int(self.reduction_factor)
        self._levels = (*levels, max_steps)

    @property
    def levels(self) -> tuple[int, ...]:
        return self._levels


class Rungs(GeometricRule):
    """ASHA (see the module).

    Example:
        >>> rungs = Rungs(27, grace_period=3, reduction_factor=3)
        >>> rungs.levels
        (3, 9, 27)
        >>> [rungs.record(trial, 3, value).action for trial, value in enumerate([0.5, 0.4, 0.6, 0.5])]
        ['continue', 'stop', 'continue', 'continue']
    """

    def __init__(self, max_steps: int, **settings: Unpack[RuleSettings]) -> None:
        super().__init__(max_steps, **settings)
        self._sign = 1.0 if self.mode == "max" else -1.0
        self._values: dict[int, list[float]] = {level: [] for level in self._levels}  # signed, ascending
        self._decisions: dict[tuple[int, int], Decision] = {}

    def record(self, trial: int, step: int, value: float) -> Decision:
        known = self._decisions.get((trial, step))
        if known is not None:
            return known
        decision = self._fixed(step, value)
        rung = self.rung(step)
        if rung is None:
            return decision or Decision("continue")
        if math.isfinite(value):
            insort(self._values[rung], self._sign * value)
            decision = decision or self._halve(rung, self._sign * value)
        assert decision is not None
        self._decisions[trial, step] = decision
        return decision

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        if self.rung(step) is None or (trial, step) in self._decisions:
            return
        self._decisions[trial, step] = decision
        if math.isfinite(value):
            insort(self._values[step], self._sign * value)

    def _halve(self, rung: int, signed: float) -> Decision:
        values = self._values[rung]
        better = len(values) - bisect_right(values, signed)
        places = -(-len(values) // int(self.reduction_factor))
        if better < places:
            return Decision("continue", None, rung)
        return Decision("stop", "early_stopped", rung)


class FullBudget(StoppingRule):
    """No early stopping: a trial has its full budget unless its objective is not finite. The only rung is the last."""

    @property
    def levels(self) -> tuple[int, ...]:
        return (self.max_steps,)

    def record(self, trial: int, step: int, value: float) -> Decision:
        return self._fixed(step, value) or Decision("continue")

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        pass
