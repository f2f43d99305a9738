"""The one class that Ray runs on a worker: it drives an evaluator, checkpoints, and reports.

Every kind of death takes one path back: ``setup`` and ``reset_config`` look for the trial's newest checkpoint in the
search's own folder. A checkpoint is written before its measurement is reported and holds it, with all before it: what
the driver never saw (or lost again, in a power cut) is reported again, and what it knows is passed over there.

What an evaluator raises is reported, not raised, and not tried again: it would happen again. Only what is not the
architecture's doing reaches Ray's retry: a dead process, storage that cannot be written. A full disk stops the search.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ray import tune

from raynas.engine.worker.check import check_in_worker
from raynas.engine.worker.checkpointed import CheckpointedEvaluation
from raynas.engine.worker.failure import breaks_the_process, failure_of
from raynas.engine.worker.memory import limit_growth
from raynas.engine.worker.messages import CheckFields, Report, TrialConfig
from raynas.engine.worker.process import this_process, write_note
from raynas.engine.worker.setup import WorkerSetup, use_threads
from raynas.engine.worker.stop_flag import StopFlag
from raynas.engine.worker.watchdog import Watchdog, timed_out_before
from raynas.errors import DiskFull, StorageError
from raynas.evaluators.evaluator import Evaluator
from raynas.space import Architecture, Space
from raynas.storage.trial_log import captured
from raynas.storage.working_folder import enter


@dataclass
class _Trial:
    """State: the trial that this worker has in hand."""

    number: int
    folder: Path
    run: CheckpointedEvaluation | None = None
    unreported: bool = False


class TrialRunner(tune.Trainable):
    """Runs trials one after another in one process. A result holds one JSON string, ``report``: a ``Report``."""

    def setup(self, config: TrialConfig, worker: WorkerSetup | None = None) -> None:
        assert worker is not None
        self.worker = worker
        use_threads(worker.threads)
        self._made: tuple[Space, Evaluator] | None = None
        self._stop = StopFlag(worker.folder.stop)
        self._watchdog = Watchdog(worker.step_timeout)
        self._begin(config)

    def reset_config(self, new_config: TrialConfig) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: TrialConfig) -> None:
        """Takes the next trial in hand. Its first step begins it: until then another may get it."""
        number = config["trial"]
        self._trial = _Trial(number, self.worker.folder.trial_folder(number))
        enter(self.worker.working_folder)  # Ray has just gone into the trial's own folder
        self._config = config
        self._started = False
        self._to_check = config.get("check", False)

    def _write_note(self) -> None:
        """Says which process has this trial, for the driver that asks after a death whose trial it was."""
        with suppress(OSError):  # the checkpoint will say so
            self._trial.folder.mkdir(parents=True, exist_ok=True)
            write_note(self.worker.folder.worker_note(self._trial.number), this_process())

    def _components(self) -> tuple[Space, Evaluator]:
        """Space and evaluator, made once a process."""
        if self._made is None:
            self._made = self.worker.make_components()
        return self._made

    def _check(self) -> CheckFields:
        """One short step before the session's first trial."""
        self._to_check = False
        worker = self.worker
        return check_in_worker(self._components, worker.context(0), self._watchdog, worker.folder.ray / "check")

    def _start(self) -> None:
        trial, worker = self._trial, self.worker
        self._write_note()
        timed_out_before(trial.folder)
        space, evaluator = self._components()
        if worker.device == "cpu":
            limit_growth(worker.memory_bytes)
        architecture = space.replay(Architecture.from_json(json.loads(self._config["architecture"])))
        with self._watchdog.over(trial.folder, what="building the network"):
            evaluation = evaluator.start(space, architecture, worker.context(trial.number))
            self._watchdog.check()
        trial.run = CheckpointedEvaluation(trial.folder, evaluation, self._should_stop)
        trial.unreported = bool(trial.run.measured)

    def _should_stop(self) -> bool:
        self._watchdog.check()
        return self._stop()

    def step(self) -> dict[str, str]:
        report: Report
        try:
            with captured(self.worker.folder.logs, self._trial.number):
                report = self._report()
        except DiskFull as error:
            report = {"disk_full": str(error)}
        except StorageError:
            raise  # not the architecture's doing: Ray tries again, maybe on another machine
        except Exception as error:
            if breaks_the_process(error):
                raise  # Ray then makes another
            report = {"failure": failure_of(error)}
            self._trial = _Trial(self._trial.number, self._trial.folder)  # lets go of the memory
        return {"report": json.dumps(report)}

    def _report(self) -> Report:
        trial = self._trial
        if self._to_check:
            return {"checked": self._check()}
        if not self._started:
            self._started = True
            self._start()
        assert trial.run is not None
        if trial.unreported:
            trial.unreported = False
            return {"measurements": trial.run.measured}
        with self._watchdog.over(trial.folder):
            measured = trial.run.step()
        if measured is not None:
            return {"measurements": [measured]}
        return {"ended": True} if trial.run.ended else {"paused": True}

    def cleanup(self) -> None:
        self._trial = _Trial(self._trial.number, self._trial.folder)
