"""What a search measures before it begins: the speed of its space's networks here, at several picture sizes."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from raynas.engine.cluster import Slots
from raynas.errors import UserError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.timing import Pace, SpeedLine
from raynas.space import Architecture
from raynas.spec.components import Components
from raynas.spec.costs import costs_of
from raynas.spec.references import make_evaluator, make_space, set_affordable
from raynas.spec.settings import SearchSpec

#: Height and width of pictures.
Size = tuple[int, int]

#: Of so many random samples the cheapest and the dearest are measured.
_SAMPLES = 12
#: A sample that is so many times as dear as the default says no more about those that are affordable.
_DEAREST = 8.0
#: So many times at most what is affordable is reckoned, and the default that fits it measured.
_REFINED = 3
#: At least this share of what would be affordable if time and FLOPs were proportional is.
_TRUSTED = 0.3


class Unmeasured(Exception):
    """A step failed, or the data could not be had; with the reason as its cause."""


@contextmanager
def _measuring() -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise Unmeasured from error


class Speed:
    """State: what was measured, by picture size and FLOPs that a trial can afford."""

    def __init__(self, asked: SearchSpec, components: Components, slots: Slots) -> None:
        self.asked, self.components, self.slots = asked, components, slots
        self.decisions: dict[str, Any] | None = None
        self._made: dict[tuple[Size | None, float | None], Components] = {}
        self._paces: dict[tuple[Any, ...], Pace | None] = {}

    def components_at(self, size: Size | None, affordable: float | None = None) -> Components:
        """Components for pictures of another size: random ones, for measuring alone."""
        key = (size, affordable)
        if key not in self._made:
            own = self.components
            task = own.task if size is None else own.task.sketch(size)
            set_affordable(task, affordable)
            # A copy, since what it adopts here is not for the search.
            evaluator = copy.copy(make_evaluator(own.evaluator_source, task, self.asked.batch_size))
            made = replace(own, task=task, space=make_space(own.space_source, task), evaluator=evaluator)
            if self.decisions is None:
                seed, precision = self.asked.seed or 0, self.asked.precision
                context = replace(self._context, seed=seed, precision=precision)
                with _measuring():
                    self.decisions = evaluator.decide(made.space, made.space.default(), context)
            evaluator.adopt(self.decisions)
            self._made[key] = made
        return self._made[key]

    def samples(self) -> tuple[int, int]:
        """How many there are to train on, and to validate with."""
        task = self.components.measured_task
        with _measuring():
            known = int(getattr(task, "train_size", 0)), int(getattr(task, "valid_size", 0))
            if all(known):
                return known
            recipe = getattr(self.components.evaluator, "recipe", None)
            there = task.data.sizes(64 if recipe is None else recipe.batch_size)
            return known[0] or there[0], known[1] or there[1]

    @property
    def fixed_batches(self) -> bool:
        """Whether no setting changes the size of training batches, since the task's own ``DataLoader`` makes them."""
        task = self.components.measured_task
        return not getattr(task, "train_size", 0) and task.data.fixed_batches  # pictures need not be decoded for this

    @property
    def _context(self) -> TrialContext:
        return TrialContext(0, 0, 1, max(1, int(self.slots.cpus)), self.slots.device)

    def pace(
        self,
        size: Size | None,
        affordable: float | None = None,
        *,
        architecture: Architecture | None = None,
        batch_size: int = 0,
    ) -> Pace | None:
        """Of the space's default, unless another architecture is given."""
        made = self.components_at(size, affordable)
        architecture = architecture or made.space.default()
        key = (size, affordable, made.space.trial_id(architecture), batch_size, self.slots)
        if key not in self._paces:
            with _measuring():
                self._paces[key] = made.evaluator.pace(
                    made.space, architecture, self._context, at_once=self.slots.workers, batch_size=batch_size
                )
        return self._paces[key]

    def affordable(self, size: Size | None, seconds: float) -> float:
        """FLOPs of the networks that train in so many seconds a sample.

        The space's default, a cheap and a dear sample are measured; then the default that fits what they say, and what
        is affordable is reckoned again with it: small networks are slower than their FLOPs would have them.
        """
        paces = self._spread(size)
        affordable, fitted = 0.0, ""
        for _ in range(_REFINED):
            affordable = affordable_flops(paces, seconds)
            made = self.components_at(size, affordable)
            if made.space.fingerprint == fitted:
                break
            fitted = made.space.fingerprint
            pace = self.pace(size, affordable)
            paces += [pace] if pace is not None else []
        return affordable

    def _spread(self, size: Size | None) -> list[Pace]:
        """The paces of the space's default, and of a cheap and a dear sample of it."""
        made = self.components_at(size)
        default = self.pace(size)
        assert default is not None
        rng, cost = random.Random(0), costs_of(made, None)
        samples = [made.space.sample(rng) for _ in range(_SAMPLES)]
        known = [(found["flops"], sample) for sample in samples if (found := cost(sample))]
        drawn = sorted((each for each in known if each[0] <= _DEAREST * default.flops), key=lambda each: each[0])
        paces = [default]
        for flops, sample in drawn[:1] + drawn[1:][-1:]:
            fewer = min(1.0, default.flops / max(1, flops))  # the same time a step, whatever the size of the network
            with suppress(Exception):  # a sample that fails is its trial's trouble
                pace = self.pace(size, architecture=sample, batch_size=max(8, int(default.batch_size * fewer)))
                paces += [pace] if pace is not None else []
        return paces


def affordable_flops(paces: list[Pace], seconds: float) -> float:
    """FLOPs by the line through the two paces that are nearest, to three digits.

    The line alone is not trusted below all that was measured: small differences decide its slope. Nor is it trusted
    where a network was measured that is faster than it has to be: a larger one does more FLOPs a second, so at least as
    many are affordable as if time and FLOPs were proportional.
    """
    near = sorted(paces, key=lambda pace: abs(math.log(pace.train_seconds / seconds)))[:2]
    least = _TRUSTED * near[0].flops * min(1.0, seconds / near[0].train_seconds)
    faster = [pace.flops * seconds / pace.train_seconds for pace in paces if pace.train_seconds <= seconds]
    return float(f"{max(least, *faster, SpeedLine.through(near).affordable(seconds)):.3g}")
