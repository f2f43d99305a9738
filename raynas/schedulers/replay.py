"""A stopping rule put where a journal left it. Ray is not known here."""

from __future__ import annotations

from typing import cast

from raynas.journal.events import EVALUATOR_ENDED
from raynas.journal.history import History
from raynas.schedulers.rungs import Action, Decision, StoppingRule


def replay(rule: StoppingRule, history: History) -> None:
    """Enters every journalled measurement into a fresh rule, with the decision that was made on it, and who is paused.

    Repeats of finalists are left out: no rule decided on them. So are void trials.
    """
    assert history.objectives is not None
    for number, trial in history.trials.items():
        if number in history.void:
            continue
        for measurement in trial.measurements if trial.repeat_of is None else ():
            values = history.objectives.values(measurement.metrics, trial.costs)
            decision = Decision(cast(Action, measurement.decision), measurement.stop_reason, measurement.rung)
            rule.replay_values(number, measurement.step, values, decision)
        if trial.reason == EVALUATOR_ENDED and trial.repeat_of is None:
            values = history.objectives.values(trial.measurements[-1].metrics, trial.costs)
            rule.replay_values(number, rule.max_steps, values, Decision("stop", "budget", rule.max_steps))
        if number not in history.paused:
            rule.leave(number)
