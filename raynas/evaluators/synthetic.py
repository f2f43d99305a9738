"""Made-up learning curves: for testing searchers, schedulers, kills and overhead. It measures nothing real."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State, TrialContext
from raynas.objectives.objective import Objective

if TYPE_CHECKING:
    from raynas.space import Architecture, Space


class Synthetic(Evaluator):
    """Gives every architecture a curve of its own, from a hash of its trial id: nothing is built or trained.

    The score at step ``s`` is ``quality * (1 - exp(-rate * s))`` with ``quality`` in [0.5, 1) and ``rate`` in
    [0.3, 1.3), so curves rise, differ and cross. It says nothing about networks, and neighbours in a space are not
    alike: a searcher cannot be better than random on it. Results are equal on every machine and for every seed.

    Args:
        step_seconds: how long a step pretends to take.
        steps: default budget of a trial.
    """

    objective = Objective("score", "max")

    def __init__(self, *, step_seconds: float = 0.0, steps: int = 9) -> None:
        self.step_seconds = step_seconds
        self.default_steps = steps

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> SyntheticEvaluation:
        return SyntheticEvaluation(space.trial_id(architecture), context.max_steps, self.step_seconds)


class SyntheticEvaluation(Evaluation):
    """A curve, and how far along it one is."""

    def __init__(self, trial_id: str, max_steps: int, step_seconds: float) -> None:
        digest = hashlib.sha256(trial_id.encode()).digest()
        self.quality = 0.5 + int.from_bytes(digest[:4], "big") / 2**33
        self.rate = 0.3 + int.from_bytes(digest[4:8], "big") / 2**32
        self.max_steps = max_steps
        self.step_seconds = step_seconds
        self.step = 0

    def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
        while self.step < self.max_steps:
            begun = time.perf_counter()
            until = begun + self.step_seconds
            while (left := until - time.perf_counter()) > 0:
                if should_stop():
                    return
                time.sleep(min(left, 0.02))
            if should_stop():
                return
            self.step += 1
            score = self.quality * (1 - math.exp(-self.rate * self.step))
            yield Measurement(self.step, {"score": score}, time.perf_counter() - begun)

    def state(self) -> State:
        return State(values={"step": self.step})

    def load(self, state: State) -> None:
        self.step = state.values["step"]
