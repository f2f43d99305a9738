"""What Ray Tune holds of a running search: a searcher, a scheduler and a callback, each a thin door to the session.

Measurements are journalled in the scheduler, since Ray asks it first and does not tell the searcher of a result that
stops a trial; proposals are journalled inside ``suggest``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raynas.engine.ray_errors import lost_worker, pickled_error
from raynas.engine.session import Session
from raynas.engine.worker.messages import Report, TrialConfig
from raynas.schedulers.scheduler import RungScheduler

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

#: A result of Ray's: what the worker returned (``report``), with Ray's own fields.
Result = Mapping[str, object]


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

    def suggest(self, trial_id: str) -> TrialConfig | str | None:
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
        config: TrialConfig = {"trial": trial.number, "architecture": json.dumps(trial.architecture.to_json())}
        if self._session.takes_check(trial.number):
            config["check"] = True
        return config

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        """Nothing: the scheduler has told the session."""

    def on_trial_complete(self, trial_id: str, result: Result | None = None, error: bool = False) -> None:
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
        super().__init__(session.rule, session.objectives)
        self._session = session
        self.over = False

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        number = int(trial.config["trial"])
        report: Report = json.loads(str(result["report"]))
        if "checked" in report:
            self._session.checked(report["checked"])
            return TrialScheduler.CONTINUE
        if "failure" in report:
            self._session.failed(number, **report["failure"])
            return TrialScheduler.STOP
        if "ended" in report:
            self._session.evaluator_ended(number)
            return TrialScheduler.STOP
        if "paused" in report:
            self._session.paused()
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

    def promote(self, tune_controller: TuneController) -> None:
        """Nothing while the search goes on: the ``ProposalQueue`` promotes."""
        if self.over:
            self.end_paused(tune_controller)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_error(tune_controller, trial)
        # A worker that had had another trial and was lost before it began this one leaves it pending; Ray gives such
        # a trial up at the first time.
        begun = trial.status != Trial.PENDING
        self._session.died(int(trial.config["trial"]), lost_worker(pickled_error(trial)), begun=begun)


class StartCallback(Callback):
    """Tells the session when a worker takes a trial in hand."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        self._session.started(int(trial.config["trial"]))
