"""A rule for several objectives keeps the contract; one for a single objective goes by the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from raynas.errors import SpecError
from raynas.journal import History
from raynas.objectives import Objective, Objectives
from raynas.schedulers.replay import replay
from raynas.schedulers.rungs import Decision, GeometricRule, Rungs, StoppingRule
from raynas.spec.components import make_rule
from raynas.spec.settings import ResolvedSpec
from raynas.testing import SchedulerContract
from raynas.testing.scheduler import drive

BOTH = Objectives((Objective("acc", "max"), Objective("ms", "min")))


class LessBeaten(GeometricRule):
    """A trial goes on from a rung unless more than one in ``reduction_factor`` of the earlier ones beat it in all."""

    several = True

    def __init__(self, max_steps: int, **settings: Any) -> None:
        super().__init__(max_steps, **settings)
        self.entered: dict[int, list[tuple[float, ...]]] = {level: [] for level in self.levels}
        self.decisions: dict[tuple[int, int], Decision] = {}

    def record_values(self, trial: int, step: int, values: Sequence[float]) -> Decision:
        if (trial, step) in self.decisions:
            return self.decisions[trial, step]
        decision, rung = self._fixed(step, values[0]), self.rung(step)
        if decision is None:
            before = [] if rung is None else self.entered[rung]
            beaten = sum(all(a > b for a, b in zip(one, self.signed(values), strict=True)) for one in before)
            goes_on = beaten * self.reduction_factor <= len(before)
            decision = Decision("continue", None, rung) if goes_on else Decision("stop", "early_stopped", rung)
        self.replay_values(trial, step, values, decision)
        return decision

    def replay_values(self, trial: int, step: int, values: Sequence[float], decision: Decision) -> None:
        if self.rung(step) is not None and math.isfinite(values[0]):
            self.decisions[trial, step] = decision
            self.entered[step].append(self.signed(values))

    def record(self, trial: int, step: int, value: float) -> Decision:
        return self.record_values(trial, step, (value,))

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        self.replay_values(trial, step, (value,), decision)

    def signed(self, values: Sequence[float]) -> tuple[float, ...]:
        return tuple(v if mode == "max" else -v for v, mode in zip(values, self.modes, strict=True))


class TestLessBeaten(SchedulerContract):
    modes = ("max", "min")

    def rule(self, max_steps, **settings):
        return LessBeaten(max_steps, **settings)


class TestLessBeatenWithOneObjective(SchedulerContract):
    budgets = (9,)

    def rule(self, max_steps, **settings):
        return LessBeaten(max_steps, **settings)


def test_it_goes_by_the_second_objective_too() -> None:
    rules = [LessBeaten(9, grace_period=3, modes=("max", mode)) for mode in ("max", "min")]
    calls = [[call.answer for call in drive(rule) if call.records] for rule in rules]
    assert calls[0] != calls[1]


class Twos(Rungs):
    """Written for releases that knew one value: no word of several."""

    def __init__(self, max_steps, *, mode="max", grace_period=None, reduction_factor=None):
        super().__init__(max_steps, mode=mode, grace_period=grace_period, reduction_factor=2)
        self.seen = []

    def record(self, trial, step, value):
        self.seen.append(value)
        return super().record(trial, step, value)


@pytest.mark.parametrize("factory", [Rungs, Twos])
def test_a_rule_for_one_objective_gets_the_value_of_the_first(factory: Any) -> None:
    rule, alone = factory(9, grace_period=3), factory(9, grace_period=3)
    for trial, (first, second) in enumerate([(0.5, 1.0), (0.4, 0.0), (0.6, math.nan), (0.5, 9.0), (math.nan, 1.0)]):
        assert rule.record_values(trial, 3, (first, second)) == alone.record(trial, 3, first)
    assert (rule.modes, rule.several) == (("max",), False)
    if factory is Twos:
        assert rule.seen[:4] == [0.5, 0.4, 0.6, 0.5]


def replayed(rule: StoppingRule) -> StoppingRule:
    history = History(BOTH)
    for trial, (acc, ms) in enumerate([(0.5, 9.0), (0.6, 8.0), (0.4, 1.0)]):
        ids = {"trial_id": f"t{trial}", "network_id": f"n{trial}", "architecture": {"a": trial}}
        history.apply({"event": "trial_proposed", "trial": trial, **ids})
        facts = {"rung": 3, "decision": "continue", "stop_reason": None}
        history.apply({"event": "measured", "trial": trial, "step": 3, "metrics": {"acc": acc, "ms": ms}, **facts})
    replay(rule, history)
    return rule


def test_a_resumed_search_enters_the_vectors() -> None:
    both = replayed(LessBeaten(9, grace_period=3, modes=BOTH.modes))
    assert isinstance(both, LessBeaten)
    assert both.entered[3] == [(0.5, -9.0), (0.6, -8.0), (0.4, -1.0)]
    first = replayed(Rungs(9, grace_period=3))
    assert first.record(3, 3, 0.45).stops, "0.5 and 0.6 are better, and one in three goes on"


def test_a_direction_that_there_is_not_is_refused() -> None:
    with pytest.raises(SpecError, match="objective mode 'up' is not known"):
        Rungs(9, modes=("max", "up"))  # type: ignore[arg-type]


def test_a_search_makes_it_with_the_directions_of_its_objectives() -> None:
    values = {"scheduler": f"{__file__}:LessBeaten", "epochs": 9}
    rule = make_rule(ResolvedSpec.of_journal(values, name="s", objective=Objective("loss", "min")))
    assert (type(rule).__name__, rule.several, rule.mode, rule.modes) == ("LessBeaten", True, "min", ("min",))
