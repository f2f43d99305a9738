"""What Ray Tune holds of a running search: a searcher, a scheduler and a callback, each a thin door to the session.

Measurements are journalled in the scheduler, since Ray asks it first and does not tell the searcher of a result that
stops a trial; proposals are journalled inside ``suggest``.
"""

from __future__ import annotations

import json
from typing import Any

from ray import cloudpickle
from ray.exceptions import NodeDiedError
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raynas.engine.session import Session
from raynas.schedulers.scheduler import RungScheduler


class ProposalQueue(Searcher):
    """Unfinished trials first, then promoted ones, then proposals, never more at once than there are workers.

    It is here that a worker turns out to be free, so trials are promoted here. One that Ray holds paused goes on as
    Ray's own trial; one that was paused in an earlier session, or before Ray was started anew, becomes a new one.

    The limit stands here, and not in Ray's own, since Ray asks for the next trial while the last one is still
    running: a strategy would then propose without having seen its result.
    """

    def __init__(self, session: Session, scheduler: JournallingScheduler, max_concurrent: int) -> None:
        super().__init__()
        self._session = session
        self._scheduler = scheduler
        self._max_concurrent = max_concurrent
        self._live: dict[str, int] = {}  # Ray's trials that run or are paused

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        # None while nothing runs or is paused would make Ray sleep; a session that has no next trial says why and is at
        # its end, or waits for trials under way.
        if len(self._live) - len(self._scheduler.held) >= self._max_concurrent:
            return None
        trial = self._session.next_trial()
        if trial is None:
            if self._session.stop_reason is None:
                return None
            self._scheduler.over = True
            return Searcher.FINISHED
        if trial.number in self._scheduler.held:
            self._scheduler.resume(trial.number)
            return None
        self._live[trial_id] = trial.number
        config = {"trial": trial.number, "architecture": json.dumps(trial.architecture.to_json())}
        return {**config, "check": True} if self._session.takes_check(trial.number) else config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has told the session."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self._live.pop(trial_id)
        if error:
            self._session.gave_up(number)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""


class JournallingScheduler(RungScheduler):
    """Hands every report to the session and turns its answer into Ray's words.

    A trial is paused without Ray's checkpoint, since it has its own; as Ray's population-based training does it: by
    asking the controller, and answering that there is nothing to do. (Answered ``PAUSE``, Ray calls ``save``.)

    Attributes:
        over: no trial will be promoted any more (state, set by the ``ProposalQueue``).
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.rule, session.objective)
        self._session = session
        self.over = False

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = int(trial.config["trial"])
        report = json.loads(result["report"])
        if "checked" in report:
            self._session.checked(report["checked"])
            return TrialScheduler.CONTINUE
        if "failure" in report:
            self._session.failed(number, **report["failure"])
            return TrialScheduler.STOP
        if "paused" in report:
            return TrialScheduler.STOP
        if "disk_full" in report:
            self._session.disk_full(report["disk_full"])
            return TrialScheduler.STOP
        for measurement in report["measurements"]:
            action = self._session.measured(number, **measurement)
            if action == "pause":
                self.hold(trial)
                tune_controller.pause_trial(trial, should_checkpoint=False)
                return TrialScheduler.NOOP
            if action == "stop":
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def promote(self, tune_controller: Any) -> None:
        """Nothing while the search goes on: the ``ProposalQueue`` promotes."""
        if self.over:
            self.end_paused(tune_controller)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        super().on_trial_error(tune_controller, trial)
        # A worker that had had another trial and was lost before it began this one leaves it pending; Ray gives such
        # a trial up at the first time.
        begun = trial.status != Trial.PENDING
        self._session.died(int(trial.config["trial"]), *_cause_of_death(trial), begun=begun)


def _cause_of_death(trial: Trial) -> tuple[str, str]:
    """Why Ray lost the trial's worker: the journal's reason, and Ray's words.

    Ray leaves the error in a file. (``get_pickled_error`` does not find it yet when the scheduler is told.)
    """
    try:
        with open(trial.pickled_error_file, "rb") as file:
            error = cloudpickle.load(file)  # written by this process, an instant ago
    except (OSError, TypeError, AttributeError, EOFError):
        return "worker_died", "its worker process died"
    text = str(error)
    lost = "its node has died" in text or getattr(error, "preempted", False) or isinstance(error, NodeDiedError)
    storage = "checkpoint cannot be written" in text
    return "infrastructure" if lost or storage else "worker_died", text


class StartCallback(Callback):
    """Tells the session when a worker takes a trial in hand."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._session.started(int(trial.config["trial"]))
