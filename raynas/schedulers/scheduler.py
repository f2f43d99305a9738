"""The adapter between a pure stopping rule and Ray Tune's ``TrialScheduler``.

It works under a plain ``tune.Tuner``. RayNAS's own search derives from it to journal each measurement together with the
decision on it: of Ray's hooks, the scheduler's comes before the searcher's and the callbacks'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from raynas.objectives.objective import Objective
from raynas.objectives.objectives import Objectives
from raynas.schedulers.rungs import Decision, StoppingRule

_ACTIONS = {"continue": TrialScheduler.CONTINUE, "stop": TrialScheduler.STOP, "pause": TrialScheduler.PAUSE}


class RungScheduler(TrialScheduler):
    """Runs trials first come, first served, and stops, pauses and promotes them by a rule.

    Of a paused trial Ray keeps the checkpoint (the trainable has to be able to write one), and gives its resources to
    others. A promoted trial goes before those that wait. Ray does not say when a worker is free, so here a trial is
    promoted as soon as it may be. Once the searcher has no more trials and nothing runs, paused trials end. (Ray's own
    ``max_concurrent_trials`` counts paused trials among the running ones: a search that pauses comes to a stop by it.)

    A result needs the objectives' metrics, and its step: ``step``, or else Ray's ``training_iteration`` (which starts
    again at 1 when Ray retries a trial). A trial's number is ``config["trial"]``, or else the order of arrival.

    Attributes:
        held: the trials that are paused in Ray, by our number (state).

    Args:
        rule: for example ``Rungs(27)``.
        objective: metric and direction, or several of them; the directions must be the rule's, or the first one's of
            a rule for one objective.

    Raises:
        ValueError: the directions differ.
    """

    def __init__(self, rule: StoppingRule, objective: Objective | Objectives) -> None:
        super().__init__()
        self.rule = rule
        self.objectives = Objectives.of(objective)
        self.objective = self.objectives.first
        if rule.mode != self.objective.mode:
            raise ValueError(
                f"the rule's mode is {rule.mode!r}, the objective's {self.objective.mode!r}; make them equal"
            )
        if rule.several and rule.modes != self.objectives.modes:
            raise ValueError(
                f"the rule's modes are {rule.modes}, the objectives' {self.objectives.modes}; make them equal"
            )
        self._numbers: dict[str, int] = {}  # Ray's trial id to our number
        # Ray's FIFO scheduler looks through all trials ever made at each step; this holds those that wait.
        self._waiting: dict[str, Trial] = {}
        self.held: dict[int, Trial] = {}

    def decide(self, number: int, result: Mapping[str, Any]) -> Decision:
        """The rule's decision on a result.

        Raises:
            ValueError: the result lacks an objective's metric.
        """
        for missing in self.objectives.missing(result):
            known = ", ".join(sorted(key for key, value in result.items() if isinstance(value, float)))
            raise ValueError(f"a result has no metric {missing!r}; it has: {known}")
        step = int(result.get("step", result.get("training_iteration", 0)))
        return self.rule.record_values(number, step, self.objectives.values(result))

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
        decision = self.decide(self.number(trial), result)
        if decision.action == "pause":
            self.hold(trial)
        return self.answer(decision)

    @staticmethod
    def answer(decision: Decision) -> str:
        """A decision in Ray's words."""
        return _ACTIONS[decision.action]

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        if self.held:
            self.promote(tune_controller)
        for trial in list(self._waiting.values()):
            if trial.status in (Trial.PENDING, Trial.PAUSED):
                return trial
            del self._waiting[trial.trial_id]  # it runs; Ray adds it again if it has to be run again
        return None

    def hold(self, trial: Trial) -> None:
        """The trial is to be paused in Ray."""
        self.held[self.number(trial)] = trial
        self._waiting.pop(trial.trial_id, None)  # where it may still be, though it ran

    def promote(self, tune_controller: Any) -> None:
        """Looks for a paused trial to go on with, or ends them all where none ever will."""
        number = self.rule.promotable()
        trial = None if number is None else self.held.get(number)
        if trial is not None and trial.status == Trial.PAUSED:  # else Ray still writes its checkpoint
            assert number is not None
            self.rule.leave(number)
            self.resume(number)
        elif number is None and self._nothing_else(tune_controller):
            self.end_paused(tune_controller)

    def resume(self, number: int) -> None:
        """Makes the paused trial the next to run."""
        trial = self.held.pop(number)
        self._waiting = {trial.trial_id: trial, **self._waiting}

    def end_paused(self, tune_controller: Any) -> None:
        """Ends the trials that nobody will promote: Ray goes on for ever while there are paused ones."""
        for number, trial in list(self.held.items()):
            self.rule.leave(number)
            tune_controller.stop_trial(trial)

    def _nothing_else(self, tune_controller: Any) -> bool:
        """Whether the searcher has no more trials and all that are left are paused."""
        if not tune_controller.search_alg.is_finished():
            return False
        return all(trial.is_finished() or trial.status == Trial.PAUSED for trial in tune_controller.get_trials())

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting.pop(trial.trial_id, None)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._waiting.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting.pop(trial.trial_id, None)
        self.held.pop(self.number(trial), None)

    def debug_string(self) -> str:
        return f"{type(self.rule).__name__}: rungs at {', '.join(map(str, self.rule.levels))}"
