"""The contract of an evaluator: a measurement for each step, the same for a seed, also after a break.

Ray is not needed.
"""

from __future__ import annotations

import math
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from raynas.evaluators import checkpoint
from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State, TrialContext
from raynas.objectives.objective import Objective
from raynas.space import Space
from raynas.tasks.digits import Digits
from raynas.testing.contract import Contract, as_json

if TYPE_CHECKING:
    from torch import Tensor

#: A pickled evaluator may grow by so many bytes when it has been used.
_ROOM = 1_000


@dataclass(frozen=True)
class _Run:
    """A whole trial without a break: its measurements, its tensors at the end, how often should_stop was asked."""

    measurements: list[Measurement]
    tensors: dict[str, Tensor]
    asked: int


class EvaluatorContract(Contract):
    """What every evaluator has to keep. Override ``evaluator``, and ``space`` with one that it can measure.

    Attributes:
        steps: the budget of a trial.
        cuts: numbers of times that ``should_stop`` says no before it says yes; each is tried.
        timings: metrics that are times or speeds, and so differ from run to run.
        ends_early: whether a trial may end before its budget, with the last measurement as its result.
    """

    steps: ClassVar[int] = 3
    cuts: ClassVar[Sequence[int]] = (0, 1, 2, 5, 9)
    timings: ClassVar[frozenset[str]] = frozenset({"images_per_second"})
    ends_early: ClassVar[bool] = False

    def evaluator(self) -> Evaluator:
        """A new evaluator."""
        raise NotImplementedError(f"{type(self).__name__} gives evaluator(self)")

    def space(self) -> Space:
        """The space whose default is measured."""
        from search_spaces.mlp import mlp

        return mlp(Digits())

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        return {"cut": self.cuts}

    @property
    def context(self) -> TrialContext:
        """That of every trial here."""
        return TrialContext(number=0, seed=5, max_steps=self.steps)

    def _start(self, evaluator: Evaluator) -> Evaluation:
        space = self.space()
        return evaluator.start(space, space.default(), self.context)

    def _comparable(self, measurements: Iterable[Measurement]) -> list[tuple[int, dict[str, str]]]:
        """Steps and metrics without times; as text, so that NaN equals NaN."""
        return [
            (one.step, {name: repr(value) for name, value in one.metrics.items() if name not in self.timings})
            for one in measurements
        ]

    # --- what it measures -----------------------------------------------------------------------------------------

    def test_a_measurement_per_step(self) -> None:
        evaluator, found = self.evaluator(), _whole(type(self)).measurements
        assert found, "measurements() yielded nothing"
        assert all(isinstance(one, Measurement) for one in found), "measurements() yields Measurement(step, …) objects"
        steps = [one.step for one in found]
        assert steps == list(range(1, len(steps) + 1)), f"the steps are {steps}; they count from 1, one by one"
        assert isinstance(evaluator.objective, Objective), "objective is an Objective(metric, mode)"
        metric = evaluator.objective.metric
        assert metric in found[0].metrics, (
            f"the objective is {metric!r}, and a measurement holds {', '.join(found[0].metrics)}"
        )
        assert len(steps) <= self.steps, f"{len(steps)} steps of a budget of {self.steps}"
        assert len(steps) == self.steps or self.ends_early or not math.isfinite(found[-1].metrics[metric]), (
            f"it ended after {len(steps)} of {self.steps} steps; a trial that cannot go on has NaN for {metric!r}, and "
            "an evaluator that may end before its budget says ends_early = True here"
        )
        for one in found:
            assert one.metrics.keys() == found[0].metrics.keys(), "the metrics of a trial have other names in each step"
            assert 0 <= one.seconds < math.inf, f"step {one.step} took {one.seconds} seconds"
        unknown = sorted(set(evaluator.directions) - found[0].metrics.keys())
        assert not unknown, f"directions are given for {', '.join(unknown)}, which it does not measure"
        assert evaluator.default_steps >= 1, f"default_steps is {evaluator.default_steps!r}; it is 1 or more"

    def test_a_seed_gives_one_result(self) -> None:
        _disturb()
        again = self._comparable(self._start(self.evaluator()).measurements())
        assert again == self._comparable(_whole(type(self)).measurements), (
            "the same architecture with the same seed gave other measurements; let every random decision follow from "
            "context.seed, and name metrics that are times in timings"
        )

    def test_what_it_says_before_a_search_is_true(self) -> None:
        evaluator, space = self.evaluator(), self.space()
        names = set(_whole(type(self)).measurements[0].metrics)
        foretold = set(evaluator.preflight(space, space.default()))
        assert not foretold or foretold == names, (
            f"preflight() names the metrics {sorted(foretold)}, and a measurement holds {sorted(names)}; give (), if "
            "they are not known beforehand"
        )
        checked = evaluator.check(space, space.default(), self.context)
        assert checked is None or set(checked.metrics) == names, "check() measures other metrics than a trial"

    def test_what_it_decides_is_taken_on_a_worker(self) -> None:
        evaluator, space = self.evaluator(), self.space()
        decided = evaluator.decide(space, space.default(), self.context)
        assert as_json(decided) == decided, f"decide() gave {decided!r}, which is not plain JSON; the journal keeps it"
        there = self.evaluator()
        there.adopt(decided)
        there.adopt({})
        first = next(iter(self._start(there).measurements()))
        assert first.metrics.keys() == _whole(type(self)).measurements[0].metrics.keys()

    def test_it_is_small_to_pickle_after_use(self) -> None:
        evaluator = self.evaluator()
        before = len(pickle.dumps(evaluator))
        next(iter(self._start(evaluator).measurements()))
        after = len(pickle.dumps(evaluator))
        assert after <= before + _ROOM, (
            f"a pickled evaluator of {before:,} bytes has {after:,} once it was used; every worker gets it: keep data "
            "out of it in __getstate__()"
        )

    # --- breaks ---------------------------------------------------------------------------------------------------

    def test_it_asks_whether_to_stop(self) -> None:
        whole = _whole(type(self))
        assert whole.asked >= len(whole.measurements), (
            f"should_stop() was called {whole.asked} times in {len(whole.measurements)} steps; ask it every batch, or "
            "an interrupted search waits for the step to end"
        )

    def test_a_trial_that_was_cut_off_goes_on_as_if_nothing_had_happened(self, cut: int, tmp_path: Path) -> None:
        whole, stop = _whole(type(self)), _Stop(cut)
        first = self._start(self.evaluator())
        before: list[Measurement] = []
        last: State | None = None
        for measurement in first.measurements(stop):
            assert not stop.said, "should_stop() said yes, and a measurement followed; end at once, without one"
            before.append(measurement)
            last = _state_of(first)
        state = first.state()
        if state is None:  # in mid-step, and the trial goes on from its last measurement
            state = last
        _disturb()
        second = self._start(pickle.loads(pickle.dumps(self.evaluator())))
        if state is not None:
            second.load(_through_a_checkpoint(state, len(before), tmp_path))
        together = self._comparable([*before, *second.measurements()])
        assert together == self._comparable(whole.measurements), (
            f"a trial that was stopped after {len(before)} measurements and went on from state() measured something "
            "else than one without a break; state() must hold all that the rest depends on, and load() take all of it"
        )
        _check_equal(_state_of(second).tensors, whole.tensors)


#: A cache: the class of an author's tests, and its whole trial.
_RUNS: dict[type, _Run] = {}


def _whole(case: type[EvaluatorContract]) -> _Run:
    """The trial that all others are compared with (made once for a class)."""
    if case not in _RUNS:
        never, one = _Stop(sys.maxsize), case()
        evaluation = one._start(one.evaluator())
        measurements = list(evaluation.measurements(never))
        _RUNS[case] = _Run(measurements, _state_of(evaluation).tensors, never.asked)
    return _RUNS[case]


def _state_of(evaluation: Evaluation) -> State:
    """A copy of the state after a step, or at the end."""
    state = evaluation.state()
    assert state is not None, "state() gave None after a step; it may only do so in mid-step"
    return State({name: tensor.clone() for name, tensor in state.tensors.items()}, state.values)


class _Stop:
    """A ``should_stop`` that says no so many times, and then yes. State: how often it was asked."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.asked = 0

    @property
    def said(self) -> bool:
        return self.asked > self.after

    def __call__(self) -> bool:
        self.asked += 1
        return self.said


def _disturb() -> None:
    """Changes what every process-wide generator draws next, as another trial in the same process would."""
    random.seed(99)
    seeds: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("numpy", lambda numpy: numpy.random.seed(99)),
        ("torch", lambda torch: torch.manual_seed(99)),
    )
    for name, seed in seeds:
        if name in sys.modules:
            seed(sys.modules[name])


def _through_a_checkpoint(state: State, step: int, folder: Path) -> State:
    try:
        checkpoint.save(folder, step, state, partial=True)
    except TypeError as error:
        raise AssertionError(f"state() cannot be written: {error}; its values must be plain JSON") from error
    found = checkpoint.newest(folder)
    assert found is not None
    return found.state


def _check_equal(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    import torch

    assert tensors.keys() == expected.keys(), "state() holds other tensors after a break than without one"
    for name, tensor in expected.items():
        same = torch.allclose(tensors[name].double(), tensor.double(), rtol=0, atol=0, equal_nan=True)
        assert same, f"{name} differs at the end between a trial with a break and one without"
