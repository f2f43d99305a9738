"""The contract of a stopping rule: what it may decide when, and that a replayed rule decides as the first one did.

A rule is driven as a search drives it, with values that are made up; no Ray and no training take part.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from raynas.journal.history import History
from raynas.objectives.objective import Mode, Objective
from raynas.objectives.objectives import Objectives
from raynas.schedulers.replay import replay
from raynas.schedulers.rungs import Decision, StoppingRule
from raynas.testing.contract import Contract

#: A made-up value of a trial at a step.
Value = Callable[[int, int], float]

_METRIC = "score"
_OTHER: Mapping[Mode, Mode] = {"max": "min", "min": "max"}
_PURE = "a rule knows nothing but the calls that it gets and their order: no chance, no clock, no global state"


def noisy_curve(trial: int, step: int) -> float:
    """Rises with the steps; trials differ, and their curves cross. One measurement in thirty is no finite number."""
    rng = random.Random(f"{trial}/{step}")
    if rng.random() < 1 / 30:
        return rng.choice((math.nan, math.inf, -math.inf))
    return random.Random(trial).random() + step / 30 + 0.2 * rng.random()


def finite_curve(trial: int, step: int) -> float:
    """Like ``noisy_curve``, but always a finite number."""
    value = noisy_curve(trial, step)
    return value if math.isfinite(value) else 0.5


@dataclass(frozen=True)
class Call:
    """One call of a rule's method, what it answered, and the journal's events that follow from it."""

    method: str
    arguments: tuple[Any, ...]
    answer: Any
    events: tuple[dict[str, Any], ...] = ()

    @property
    def records(self) -> bool:
        """Whether a measurement was entered by it."""
        return self.method in ("record", "record_values")


def drive(rule: StoppingRule, *, trials: int = 80, workers: int = 3, value: Value = noisy_curve) -> list[Call]:
    """Every call that a search of so many trials makes, in order. Which worker reports next is drawn, always the same.

    Raises:
        AssertionError: the rule lets a trial go on for ever, or promotes one that is not paused.
    """
    rng = random.Random(0)
    calls: list[Call] = []
    steps: dict[int, int] = {}
    running: set[int] = set()
    paused: set[int] = set()

    def start(trial: int) -> None:
        steps[trial] = 0
        running.add(trial)

    while True:
        while len(running) < workers:
            promoted = rule.promotable()
            if promoted is None and len(steps) == trials:
                break
            if promoted is None:
                calls.append(Call("promotable", (), None, _proposed(len(steps))))
                start(len(steps))
                continue
            assert promoted in paused, (
                f"promotable() gave trial {promoted}, which is not paused; a trial that left is not named again until "
                "it pauses again"
            )
            rule.leave(promoted)
            event = {"event": "trial_promoted", "trial": promoted, "rung": steps[promoted], "session": 0}
            calls += [Call("promotable", (), promoted), Call("leave", (promoted,), None, (event,))]
            paused.remove(promoted)
            running.add(promoted)
        if not running:
            return calls
        trial = rng.choice(sorted(running))
        steps[trial] += 1
        others = (finite_curve(trial + 1_000 * place, steps[trial]) for place in range(1, len(_modes(rule))))
        call = _record(rule, trial, steps[trial], (value(trial, steps[trial]), *others))
        calls.append(call)
        if call.answer.action != "continue":
            running.remove(trial)
        if call.answer.action == "pause":
            paused.add(trial)


def _proposed(trial: int) -> tuple[dict[str, Any], ...]:
    ids = {"trial_id": str(trial), "network_id": str(trial)}
    return ({"event": "trial_proposed", "trial": trial, "architecture": {}, **ids},)


def _modes(rule: StoppingRule) -> tuple[Mode, ...]:
    """The directions of the objectives that a rule goes by."""
    return rule.modes if rule.several else (rule.mode,)


def _metrics(count: int) -> tuple[str, ...]:
    return tuple(f"{_METRIC}{place or ''}" for place in range(count))


def _call(rule: StoppingRule, trial: int, step: int, values: tuple[float, ...]) -> Call:
    """A measurement, as a rule for one objective gets it, or as one for several does."""
    method = "record_values" if rule.several else "record"
    arguments = (trial, step, values if rule.several else values[0])
    decision = getattr(rule, method)(*arguments)
    assert isinstance(decision, Decision), f"{method}() returned a {type(decision).__name__}; it returns a Decision"
    return Call(method, arguments, decision)


def _record(rule: StoppingRule, trial: int, step: int, values: tuple[float, ...]) -> Call:
    call = _call(rule, trial, step, values)
    decision = call.answer
    assert decision.stops or step < rule.max_steps, (
        f"trial {trial} is to go on after step {step} of {rule.max_steps}: at the last step the decision is "
        "Decision('stop', 'budget', rung)"
    )
    facts = {"rung": decision.rung, "decision": decision.action, "stop_reason": decision.reason}
    metrics = dict(zip(_metrics(len(values)), values, strict=True))
    return replace(call, events=({"event": "measured", "trial": trial, "step": step, "metrics": metrics, **facts},))


def replayed(rule: StoppingRule, calls: Iterable[Call]) -> StoppingRule:
    """A fresh rule put where the journal of these calls left it, as a resumed search does."""
    modes = _modes(rule)
    pairs = zip(_metrics(len(modes)), modes, strict=True)
    history = History(Objectives(tuple(Objective(metric, mode) for metric, mode in pairs)))
    for call in calls:
        for event in call.events:
            history.apply(event)
    replay(rule, history)
    return rule


class SchedulerContract(Contract):
    """What every stopping rule has to keep. Override ``rule``.

    Attributes:
        budgets: steps of a trial; each is tried.
        modes: the objectives' directions. A rule for several objectives (``several``) gives two or more.
    """

    budgets: ClassVar[Sequence[int]] = (1, 2, 9, 27)
    modes: ClassVar[Sequence[Mode]] = ("max",)

    def rule(self, max_steps: int, **settings: Any) -> StoppingRule:
        """A new rule.

        Args:
            max_steps: a trial's full budget in steps.
            settings: keywords of ``StoppingRule`` (``mode``, ``grace_period``, …), to be handed on to it.
        """
        raise NotImplementedError(f"{type(self).__name__} gives rule(self, max_steps, **settings)")

    def _new(self, max_steps: int, *, turned: bool = False, **settings: Any) -> StoppingRule:
        """A new rule; ``turned``: every objective has the opposite direction."""
        modes = tuple(_OTHER[mode] if turned else mode for mode in self.modes)
        rule = self.rule(max_steps, mode=modes[0], **({"modes": modes} if len(modes) > 1 else {}), **settings)
        assert rule.several or len(modes) == 1, "a rule that goes by several objectives says so: several = True"
        return rule

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        return {"max_steps": self.budgets}

    def test_its_settings_and_rungs(self, max_steps: int) -> None:
        rule = self._new(max_steps, turned=True, grace_period=1, reduction_factor=2)
        assert (rule.max_steps, rule.mode) == (max_steps, _OTHER[self.modes[0]]), (
            "max_steps and mode are not what the rule was made with; call super().__init__(max_steps, **settings)"
        )
        levels = rule.levels
        assert all(type(level) is int and level >= 1 for level in levels), f"levels {levels}: whole numbers from 1 on"
        assert list(levels) == sorted(set(levels)), f"levels {levels} do not grow"
        assert levels[-1] == max_steps, f"levels {levels}: the last rung is the full budget, {max_steps}"
        assert 0 < rule.expected_steps <= max_steps, (
            f"expected_steps is {rule.expected_steps}; a mean trial has more than 0 steps, and {max_steps} at most"
        )

    @pytest.mark.parametrize("mode", ["min", "max"])
    def test_every_decision_is_one_that_a_search_can_carry_out(self, max_steps: int, mode: Mode) -> None:
        rule = self._new(max_steps, turned=mode != self.modes[0])
        calls = drive(rule)
        for call in calls:
            if call.records:
                self._check_decision(rule, call)
        pauses = any(call.records and call.answer.action == "pause" for call in calls)
        assert not pauses or any(call.method == "leave" for call in calls), (
            "of 80 trials some were paused and none was ever promoted; promotable() names the one to go on with"
        )

    @staticmethod
    def _check_decision(rule: StoppingRule, call: Call) -> None:
        _, step, value = call.arguments
        decision, said = call.answer, f"{call.method}{call.arguments} = {call.answer}"
        assert decision.action in ("continue", "stop", "pause"), f"{said}: there is no such action"
        assert decision.rung is None or decision.rung == step in rule.levels, (
            f"{said}: the rung is the step, where it is one of levels {rule.levels}, or None; self.rung(step) gives it"
        )
        if not math.isfinite(value[0] if rule.several else value):
            assert (decision.action, decision.reason) == ("stop", "nan"), f"{said}: it stops with reason 'nan'"
            return
        if step == rule.max_steps:
            assert (decision.action, decision.reason) == ("stop", "budget"), f"{said}: it stops with reason 'budget'"
            assert decision.rung == step, f"{said}: the last step is a rung of every trial"
            return
        if decision.action == "continue":
            assert decision.reason is None, f"{said}: only a stop has a reason"
            return
        assert decision.rung is not None, (
            f"{said}: a trial stops or pauses at a rung only; between rungs it may be measured on a part of the data"
        )
        assert step >= rule.grace_period, f"{said}: within the grace period of {rule.grace_period} steps it goes on"
        if decision.action == "pause":
            assert rule.pauses, f"{said}: a rule that pauses trials says so in its class: pauses = True"
            assert decision.reason is None, f"{said}: only a stop has a reason"
        else:
            assert decision.reason == "early_stopped", f"{said}: the reason is 'early_stopped'"

    def test_the_same_calls_get_the_same_answers(self, max_steps: int) -> None:
        again = self._new(max_steps)
        for call in drive(self._new(max_steps)):
            self._check_answer(again, call, f"in a second rule; {_PURE}")

    def test_smaller_is_better_is_the_mirror_of_bigger_is_better(self, max_steps: int) -> None:
        turned = self._new(max_steps, turned=True)
        for call in drive(self._new(max_steps)):
            if call.records:
                trial, step, value = call.arguments
                opposite = tuple(-one for one in value) if turned.several else -value
                call = replace(call, arguments=(trial, step, opposite))
            self._check_answer(
                turned, call, "with the opposite mode and the value's sign turned; compare by self.mode, or self.modes"
            )

    def test_a_measurement_that_comes_twice_counts_once(self, max_steps: int) -> None:
        """As after a lost worker; the second value is another one, and only the first counts."""
        rule = self._new(max_steps)
        for call in drive(self._new(max_steps), value=finite_curve):
            self._check_answer(rule, call, "where no measurement came twice; what is entered already must not count")
            if call.records and call.answer.rung is not None:
                trial, step, _ = call.arguments
                again = _call(rule, trial, step, (99.0,) * len(self.modes)).answer
                assert again == call.answer, (
                    f"trial {trial} was measured at step {step} before, with {call.answer}; the second time the "
                    f"decision is {again}. Remember the decision at a rung, and give it again"
                )

    @pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_stops_and_is_not_entered(self, max_steps: int, wrong: float) -> None:
        rule = self._new(max_steps)
        for number, call in enumerate(drive(self._new(max_steps), value=finite_curve)):
            values = (wrong, *[0.5] * (len(self.modes) - 1))
            self._check_decision(rule, _call(rule, 1_000_000 + number, 1 + number % max_steps, values))
            self._check_answer(rule, call, f"where no trial had {wrong}; do not enter what is not finite")

    def test_a_replayed_rule_goes_on_as_the_first(self, max_steps: int) -> None:
        calls = drive(self._new(max_steps))
        # A search ends between two calls whose events are written; a promotion's event comes with the second of two.
        cuts = [place for place, call in enumerate(calls) if call.method != "promotable" or call.answer is None]
        for cut in cuts[:: max(1, len(cuts) // 12)]:
            rule = replayed(self._new(max_steps), calls[: cut + 1])
            for call in calls[cut + 1 :]:
                self._check_answer(
                    rule,
                    call,
                    f"in the rule that went on without a break; after {cut + 1} calls this one was made anew, and "
                    "replay() and leave() were called with what the journal holds: enter there all that decides",
                )

    def test_asking_who_is_to_be_promoted_changes_nothing(self, max_steps: int) -> None:
        rule = self._new(max_steps)
        for call in drive(self._new(max_steps)):
            if call.method == "promotable":
                assert rule.promotable() == call.answer
            self._check_answer(rule, call, "where promotable() was asked once; it must change nothing: leave() does")
            rule.leave(1_000_000)  # a trial that nobody knows

    @staticmethod
    def _check_answer(rule: StoppingRule, call: Call, where: str) -> None:
        found = getattr(rule, call.method)(*call.arguments)
        assert found == call.answer, f"{call.method}{call.arguments} gave {found}, and gave {call.answer} {where}"
