"""The adapter between a pure stopping rule and Ray Tune's ``TrialScheduler``.

It works under a plain ``tune.Tuner``. RayNAS's own search derives from it to journal each measurement together with the
decision on it: of Ray's hooks, the scheduler's comes before the searcher's and the callbacks'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from raynas.journal.history import History
from raynas.schedulers.rungs import Decision, StoppingRule
from raynas.tasks.objective import Objective

_ACTIONS = {"continue": TrialScheduler.CONTINUE, "stop": TrialScheduler.STOP, "pause": TrialScheduler.PAUSE}


def replay(rule: StoppingRule, history: History) -> None:
    """Enters every journalled measurement at a rung into a fresh rule, with the decision that was made on it."""
    assert history.objective is not None
    for number, trial in history.trials.items():
        for measurement in trial.measurements if trial.repeat_of is None else ():
            if measurement.rung is not None:
                value = measurement.metrics.get(history.objective.metric, float("nan"))
                action = cast(Literal["continue", "stop", "pause"], measurement.decision)
                decision = Decision(action, measurement.stop_reason, measurement.rung)
                rule.replay(number, measurement.step, value, decision)


class RungScheduler(TrialScheduler):
    """Runs trials first come, first served, and stops them by a rule.

    A result needs the objective's metric, and its step: ``step``, or else Ray's ``training_iteration`` (which starts
    again at 1 when Ray retries a trial). A trial's number is ``config["trial"]``, or else the order of arrival.

    Args:
        rule: for example ``Rungs(27)``.
        objective: metric and direction; the direction must be the rule's.

    Raises:
        ValueError: the directions differ.
    """

    def __init__(self, rule: StoppingRule, objective: Objective) -> None:
        super().__init__()
        if rule.mode != objective.mode:
            raise ValueError(f"the rule's mode is {rule.mode!r}, the objective's {objective.mode!r}; make them equal")
        self.rule = rule
        self.objective = objective
        self._numbers: dict[str, int] = {}  # Ray's trial id to our number
        # Ray's FIFO scheduler looks through all trials ever made at each step; this holds those that wait.
        self._waiting: dict[str, Trial] = {}

    def decide(self, number: int, result: Mapping[str, Any]) -> Decision:
        """The rule's decision on a result.

        Raises:
            ValueError: the result lacks the objective's metric.
        """
        if self.objective.metric not in result:
            known = ", ".join(sorted(key for key, value in result.items() if isinstance(value, float)))
            raise ValueError(f"a result has no metric {self.objective.metric!r}; it has: {known}")
        step = int(result.get("step", result.get("training_iteration", 0)))
        return self.rule.record(number, step, float(result[self.objective.metric]))

    def number(self, trial: Trial) -> int:
        """Our number of a Ray trial."""
        own = trial.config.get("trial")
        return own if isinstance(own, int) else self._numbers.setdefault(trial.trial_id, len(self._numbers))

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Ray's word on metric and mode; the objective is ours (False makes Ray complain of a contradiction)."""
        return metric in (None, self.objective.metric) and mode in (None, self.objective.mode)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return self.answer(self.decide(self.number(trial), result))

    @staticmethod
    def answer(decision: Decision) -> str:
        """A decision in Ray's words."""
        return _ACTIONS[decision.action]

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        for trial in list(self._waiting.values()):
            if trial.status == Trial.PENDING:
                return trial
            del self._waiting[trial.trial_id]  # it runs; Ray adds it again if it has to be run again
        return None

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting.pop(trial.trial_id, None)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._waiting.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting.pop(trial.trial_id, None)

    def debug_string(self) -> str:
        return f"{type(self.rule).__name__}: rungs at {', '.join(map(str, self.rule.levels))}"
