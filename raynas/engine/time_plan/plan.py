"""Fits a search to its time: how long a trial is, how large the pictures and the batches are, what a space may use.

A person gives a time; the rest follows from a few real training steps here, of the space's default and of a cheap and a
dear sample, in the arithmetic that trials will have. What a person has decided (epochs, a trial's time, a picture size)
stays as it is. All that is decided stands in the search's spec, so that a resumed search does not measure anything.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from raynas.durations import format_duration, rounded_up
from raynas.engine.cluster import Slots, slots_here, workers_are_quiet
from raynas.engine.time_plan import budget
from raynas.engine.time_plan import wording as words
from raynas.errors import SpaceError, SpecError
from raynas.spec.components import Components, find_components, make_rule
from raynas.spec.settings import DEFAULT_SECONDS, DEFAULT_TRIALS, SearchSpec

if TYPE_CHECKING:  # they import torch, and Ray is to start before that
    from raynas.engine.time_plan.speed import Size, Speed
    from raynas.evaluators.timing import Pace

#: With fewer workers than this none is given up for another's second thread.
_MANY_WORKERS = 8
#: A larger picture size is not measured where its expected speed is below this share of what is needed.
_HOPELESS = 0.5

T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """What a search decides from its time.

    Attributes:
        components: of the search, as they are now, with the evaluator's decisions.
        settings: fields of the spec.
        facts: for the journal: ``trials`` (expected in all), ``lines`` (what was decided, for people), and what it
            rests on.
    """

    components: Components
    settings: dict[str, Any]
    facts: dict[str, Any]


def check_asked(asked: SearchSpec) -> None:
    """Finds options that contradict each other.

    Raises:
        SpecError: that.
    """
    time, trial_time, effort = asked.time, asked.trial_time, asked.effort
    if trial_time is not None and time is not None and trial_time > time:
        raise SpecError(
            f"a trial of {format_duration(trial_time)} (trial_time) does not fit into {format_duration(time)} (time); "
            f"give --time {rounded_up(budget.LEAST_TRIALS * trial_time)} for some twenty trials on one worker, "
            "or leave --trial-time out"
        )
    for other in ("epochs", "trial_time"):
        if effort is not None and asked[other] is not None:
            raise SpecError(
                f"effort decides how long a trial is, and so does {other}; leave out --effort or "
                f"--{other.replace('_', '-')}"
            )
    if effort is not None and time is None and asked.trials is not None:
        raise SpecError(f"effort {effort!r} shares out a search's time, and none is given; give --time as well")
    if asked.image_size is not None and "size" in asked.task_options:
        raise SpecError("image_size and task_options: size say the same; leave one of them out")


def sized(asked: SearchSpec) -> SearchSpec:
    """The spec with ``image_size`` as the task's option that it is.

    Raises:
        SpecError: the task has no pictures.
    """
    size = asked.image_size
    if size is None:
        return asked
    if asked.data is None:
        raise SpecError(f"image_size {size} is for pictures of your own (--data); task {asked.task!r} has its own size")
    return replace(asked, image_size=None, task_options={**asked.task_options, "size": size})


def fit(asked: SearchSpec, components: Components) -> Fitted | None:
    """Measures, and decides; None where there is nothing to decide, or nothing to measure it by.

    Args:
        asked: the spec as the person gave it.
        components: made from that.

    Raises:
        UserError: the time is too short for a single trial.
    """
    timed = asked.time is not None or asked.trial_time is not None or asked.trials is None
    if asked.epochs is not None or not timed or not components.evaluator.timed or asked.address is not None:
        return None
    workers_are_quiet()
    slots = slots_here(asked)
    if slots is None:
        return None
    from raynas.engine.time_plan.speed import Speed, Unmeasured

    speed = Speed(asked, components, slots)
    try:
        return _within(asked.trial_timeout, lambda: _Plan(asked, components, slots, speed).made())
    except Unmeasured:  # the check before the first trial has words for it
        return None


def _within(seconds: float | None, function: Callable[[], T]) -> T | None:
    """What a function gives; None where it takes longer: the thread is then left behind."""
    if seconds is None:
        return function()
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(seconds + budget.LEAST_TRIALS)  # several steps, not one, are made
    if errors:
        raise errors[0]
    return found[0] if found else None


class _Plan:
    """State: a plan in the making."""

    def __init__(self, asked: SearchSpec, components: Components, slots: Slots, speed: Speed) -> None:
        self.asked, self.components, self.slots, self.speed = asked, components, slots, speed
        self.own_epochs = int(components.evaluator.default_steps)
        self.train_size, self.valid_size = speed.samples()
        limited = asked.time is not None or asked.trials is not None
        self.time: float | None = asked.time if limited else DEFAULT_SECONDS
        self.trials: int | None = asked.trials if limited else DEFAULT_TRIALS
        self.seconds = None if self.time is None else budget.time_for_trials(self.time)

    def made(self) -> Fitted | None:
        sizes: list[Size | None] = [None]
        if self.components.trains and "size" not in self.asked.task_options:
            sizes = [*getattr(self.components.task, "picture_sizes", ())] or [None]
        sizes, first = self._first(sizes)
        if first is None:
            return None
        wanted = self._wanted()
        first, settings = self._threads(sizes[0], first, wanted)
        full = self._budget(wanted)
        size, pace, weighed = self._size(sizes, first, full)
        epoch = self._epoch(pace)
        epochs = None
        if self.asked.trial_time is None:
            most = getattr(self.components.task, "most_epochs", None) if self.asked.time is not None else None
            epochs = budget.epochs_that_fit(epoch, full, self.own_epochs, most)
        if sizes[0] is not None and size is not None and size != self.components.task.input_shape[1:]:
            settings["task_options"] = {**self.asked.task_options, "size": list(size)}
        if epochs is not None:
            settings["epochs"] = epochs
            full = epochs * epoch
        else:
            pace, more = self._timed(size, pace, full)
            settings |= more
            if self.asked.trial_time is None:
                full = self._long_enough(pace, full)
                steps = budget.steps_of(full, wanted)
                if self.asked.grace_period is not None:
                    steps = max(steps, 3 * self.asked.grace_period)
                settings |= {"trial_time": full, "epochs": steps}
        expected = self._expected(settings, full, pace)
        said = self.asked.time is not None or set(settings) != {"epochs"} or epochs != self.own_epochs
        lines = self._lines(settings, expected, full, size, pace, weighed) if said else []
        facts = {
            "trials": expected,
            "lines": lines,
            "trial_seconds": round(full, 1),
            "passes": round(full / self._epoch(pace), 2),
            "measured": [
                {"size": None if at is None else list(at), "flops": each.flops, "train_seconds": each.train_seconds}
                for at, each in weighed.items()
            ],
        }
        return Fitted(self._components(settings), settings, facts)

    def _first(self, sizes: list[Size | None]) -> tuple[list[Size | None], Pace | None]:
        """The sizes from the smallest one on that the space's default takes, and its pace there."""
        for number, size in enumerate(sizes):
            pace = None if size is None else self._at(size)
            if pace is not None:
                return sizes[number:], pace
        return [None], self.speed.pace(None)

    def _at(self, size: Size) -> Pace | None:
        """The pace of the space's default at a size; None where it does not take pictures of that."""
        from raynas.engine.time_plan.speed import Unmeasured

        with suppress(Unmeasured, SpaceError):
            return self.speed.pace(size)
        return None

    def _wanted(self) -> int:
        """How many trials there should be."""
        trials = self.trials
        if self.seconds is None:
            assert trials is not None
            return trials
        wanted = budget.wanted_trials(self.seconds, self.asked.effort or "normal")
        return wanted if trials is None else min(trials, wanted)

    def _rule(self, steps: int) -> Any:
        """The stopping rule of trials of so many steps. (Which way the metric is good makes no difference here.)"""
        return make_rule(replace(self.asked, epochs=steps, mode=self.asked.mode or "max"))

    def _share(self, steps: int) -> float:
        return budget.mean_share(self._rule(steps).expected_steps, steps)

    def _epoch(self, pace: Pace) -> float:
        """Seconds of an epoch, validation included."""
        return pace.epoch_seconds(self.train_size, self.valid_size)

    def _budget(self, wanted: int) -> float:
        """Seconds of a trial's full budget, for so many trials."""
        if self.asked.trial_time is not None:
            return float(self.asked.trial_time)
        assert self.seconds is not None
        full = budget.trial_budget(self.seconds, self.slots.workers, wanted, self._timed_share)
        return budget.rounded(full) or full

    @property
    def _timed_share(self) -> float:
        """Of its full budget, what a trial has on average where that is a time."""
        return self._share(budget.STEPS if self.asked.grace_period is None else 3 * self.asked.grace_period)

    def _long_enough(self, pace: Pace, full: float) -> float:
        """The budget, or the least with which the default is worth measuring: there are fewer trials then.

        Raises:
            SpecError: the time is too short for a single trial.
        """
        assert self.time is not None
        assert self.seconds is not None
        least = budget.any_samples(self.train_size, pace.batch_size) * pace.train_seconds
        if least > self.seconds and self.asked.time is not None:
            many = 1.1 * least * budget.LEAST_TRIALS * self._timed_share / self.slots.workers
            raise SpecError(
                f"time {format_duration(self.time)} is too short for one trial: the space's default needs "
                f"{words.about(least)} here to see {words.seen(least / (self.train_size * pace.train_seconds))}; "
                f"give --time {rounded_up(2 * least)} or more (for {budget.LEAST_TRIALS} trials "
                f"{rounded_up(many)}), or another space"
            )
        return full if full >= least else math.ceil(10 * least) / 10

    def _threads(self, size: Size | None, pace: Pace, wanted: int) -> tuple[Pace, dict[str, Any]]:
        """Fewer trials at a time with more threads each, where there are more cores than so short a search can use."""
        decided = self.asked.workers is not None or self.asked.cpus_per_trial != 1
        if decided or self.slots.device != "cpu" or self.seconds is None or self.asked.trial_time is not None:
            return pace, {}
        slots = self.slots
        while slots.workers >= _MANY_WORKERS:
            share = self._timed_share
            full = budget.trial_budget(self.seconds, slots.workers, wanted, share)
            enough = full / pace.train_seconds >= budget.enough_samples(
                self.train_size, pace.batch_size, self.own_epochs
            )
            if enough or not budget.is_capped(self.seconds, slots.workers, wanted, share):
                break
            fewer = replace(slots, workers=slots.workers // 2, cpus=2 * slots.cpus)
            self.speed.slots = fewer
            faster = self.speed.pace(size)
            if faster is None or faster.train_seconds * budget.LARGER_BATCH_GAIN > pace.train_seconds:
                break
            slots, pace = fewer, faster
        self.speed.slots = slots
        changed = slots != self.slots
        self.slots = slots
        return pace, {"cpus_per_trial": slots.cpus} if changed else {}

    def _size(self, sizes: list[Size | None], first: Pace, full: float) -> tuple[Size | None, Pace, dict[Any, Pace]]:
        """The largest picture size at which the default sees enough; its pace; and all that were weighed."""
        size, pace, weighed = sizes[0], first, {sizes[0]: first}
        for larger in sizes[1:]:
            assert larger is not None
            assert size is not None
            growth = math.prod(larger) / math.prod(size)
            need = budget.enough_samples(self.train_size, pace.batch_size, self.own_epochs)
            expected = full / (pace.train_seconds * growth)
            if expected < _HOPELESS * need:
                weighed[larger] = replace(pace, train_seconds=pace.train_seconds * growth, flops=pace.flops * growth)
                break
            there = self._at(larger)
            if there is None:
                break
            weighed[larger] = there
            if full / there.train_seconds < need:
                break
            size, pace = larger, there
        return size, pace, weighed

    def _timed(self, size: Size | None, pace: Pace, full: float) -> tuple[Pace, dict[str, Any]]:
        """Batch size, and what a trial can afford, where its budget is a time; the default's pace with those."""
        from raynas.evaluators.training import Training

        evaluator = self.components.evaluator
        if not self.components.trains:
            return pace, {}
        assert isinstance(evaluator, Training)
        least = budget.least_samples(self.train_size, pace.batch_size, self.own_epochs)
        affordable = self.speed.affordable(size, full / least)
        settings: dict[str, Any] = {"affordable_flops": affordable}
        pace = self.speed.pace(size, affordable) or pace
        batch, pace = self._batch(size, affordable, pace, full)
        if batch != evaluator.recipe.batch_size:
            settings["batch_size"] = batch
        return pace, settings

    def _batch(self, size: Size | None, affordable: float, pace: Pace, full: float) -> tuple[int, Pace]:
        """The batch size: smaller where a trial has few steps, larger where that trains far more images a second."""
        batch = pace.batch_size
        decided = self.asked.batch_size is not None or "recipe.batch_size" in self.components.space.holes()
        if decided or self.speed.fixed_batches:
            return batch, pace
        if budget.smaller_batch(batch, full / pace.train_seconds):
            half = self.speed.pace(size, affordable, batch_size=batch // 2)
            if half is not None and half.train_seconds <= pace.train_seconds * budget.LARGER_BATCH_GAIN:
                return batch // 2, half
            return batch, pace
        while budget.larger_batch(batch, full / pace.train_seconds, self.train_size):
            twice = self.speed.pace(size, affordable, batch_size=2 * batch)
            if twice is None or twice.train_seconds * budget.LARGER_BATCH_GAIN > pace.train_seconds:
                break
            batch, pace = 2 * batch, twice
        return batch, pace

    def _expected(self, settings: Mapping[str, Any], full: float, pace: Pace) -> int:
        """How many trials there will be."""
        if self.seconds is None:
            assert self.trials is not None
            return self.trials
        steps = settings.get("epochs") or self.asked.epochs or budget.STEPS
        looks = 0.0
        if settings.get("trial_time") or self.asked.trial_time:
            looks = len(self._rule(steps).levels) * self.valid_size * pace.valid_seconds
        each = (full + looks) * self._share(steps)
        expected = max(1, int(self.seconds * self.slots.workers / each))
        return expected if self.trials is None else min(expected, self.trials)

    def _components(self, settings: Mapping[str, Any]) -> Components:
        """The components with what was decided."""
        found, components = replace(self.asked, **settings), self.components
        if {"task_options", "batch_size", "affordable_flops"} & set(settings):
            sources = components.space_source, components.task_source, components.evaluator_source
            components = find_components(*sources, found)
        return replace(components, decisions=self.speed.decisions)

    def _lines(
        self,
        settings: Mapping[str, Any],
        expected: int,
        full: float,
        size: Size | None,
        pace: Pace,
        weighed: Mapping[Any, Pace],
    ) -> list[str]:
        """What was decided, for people."""
        in_epochs = "epochs" in settings and "trial_time" not in settings
        more_time = None
        if expected < budget.LEAST_TRIALS and self.trials is None and self.time is not None:
            more_time = budget.LEAST_TRIALS / expected * self.time
        larger = [other for other in weighed if size is not None and other[0] > size[0]]
        return words.plan_lines(
            trials=expected,
            seconds=full,
            epochs=settings["epochs"] if in_epochs else None,
            workers=self.slots.workers,
            size=size,
            batch_size=settings.get("batch_size") or self.asked.batch_size or pace.batch_size,
            passes=full / self._epoch(pace),
            larger=(larger[-1], full / self._epoch(weighed[larger[-1]])) if larger else None,
            more_time=more_time,
        )
