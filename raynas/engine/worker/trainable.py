"""The one class that Ray runs on a worker: it drives an evaluator, checkpoints, and reports.

Every kind of death takes one path back: ``setup`` and ``reset_config`` look for the trial's newest checkpoint in the
search's own folder. A checkpoint is written before its measurement is reported and holds it, with all before it: what
the driver never saw (or lost again, in a power cut) is reported again, and what it knows is passed over there.

What an evaluator raises is reported, not raised, and not tried again: it would happen again. Only what is not the
architecture's doing reaches Ray's retry: a dead process, storage that cannot be written. A full disk stops the search.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from raynas.engine.worker.check import check_in_worker
from raynas.engine.worker.failure import breaks_the_process, failure_of
from raynas.engine.worker.memory import limit_growth
from raynas.engine.worker.messages import CheckFields, MeasurementFields, Report, TrialConfig, measurement_fields
from raynas.engine.worker.process import this_process, write_note
from raynas.engine.worker.watchdog import Watchdog, timed_out_before
from raynas.errors import DiskFull, StorageError, is_disk_full
from raynas.evaluators import checkpoint
from raynas.evaluators.checkpoint import EVALUATION, MEASURED
from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State, TrialContext
from raynas.space import Architecture, Space
from raynas.spec.references import Source, make_evaluator, make_space, make_task
from raynas.storage.search_folder import SearchFolder
from raynas.storage.trial_log import captured
from raynas.storage.working_folder import enter

#: The stop flag is a file, maybe on a network; asking more often than this gains nothing.
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to know of the search, the same for all its trials.

    Attributes:
        folder: the search's, shared by all machines.
        max_steps: a trial's full budget.
        memory_bytes: what a trial may take (None: no limit).
        step_timeout: seconds that a step may take (None: no limit).
        step_seconds: seconds of training that a step is (None: a step is an epoch).
        rungs: the steps at which the scheduler decides.
        metric: what trials are compared by.
        decisions: what the evaluator decided once for the whole search (``Evaluator.decide``).
        batch_size: samples a step of training (None: the task's own).
        affordable_flops: what a trial can afford (``Task.affordable_flops``).
        working_folder: where the search was begun: relative paths in a task are read from there (None: not known).
    """

    space: Source
    task: Source
    task_arguments: dict[str, Any]
    evaluator: Evaluator | None
    folder: SearchFolder
    seed: int
    max_steps: int
    threads: int = 1
    device: str = "cpu"
    memory_bytes: int | None = None
    step_timeout: float | None = None
    step_seconds: float | None = None
    rungs: tuple[int, ...] | None = None
    metric: str | None = None
    decisions: dict[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    affordable_flops: float | None = None
    working_folder: str | None = None

    def make_components(self) -> tuple[Space, Evaluator]:
        """The search's space and its evaluator, ready to start trials: what they share is loaded."""
        task = make_task(self.task, self.task_arguments, self.affordable_flops)
        space, evaluator = make_space(self.space, task), make_evaluator(self.evaluator, task, self.batch_size)
        evaluator.adopt(self.decisions)
        evaluator.load()
        return space, evaluator

    def context(self, number: int) -> TrialContext:
        """What the evaluation of trial ``number`` must know."""
        seed = trial_seed(self.seed, number)
        budget = self.max_steps, self.threads, self.device, self.step_seconds, self.rungs, self.metric
        return TrialContext(number, seed, *budget)


def _use_threads(threads: int) -> None:
    """Ray tells a worker by the environment how many threads to use, which a torch imported before has not seen."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def trial_seed(seed: int, number: int) -> int:
    """The seed of a trial, in [0, 2**63): from the search's seed and the trial's number alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:8], "big") >> 1


@dataclass
class _Trial:
    """State: the trial that this worker has in hand."""

    number: int
    folder: Path
    evaluation: Evaluation | None = None
    measurements: Iterator[Measurement] | None = None
    measured: list[MeasurementFields] = field(default_factory=list)
    unreported: bool = False


class TrialRunner(tune.Trainable):
    """Runs trials one after another in one process. A result holds one JSON string, ``report``: a ``Report``."""

    def setup(self, config: TrialConfig, worker: WorkerSetup | None = None) -> None:
        assert worker is not None
        self.worker = worker
        _use_threads(worker.threads)
        self._made: tuple[Space, Evaluator] | None = None
        self._polled, self._stop = 0.0, False
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

    def _parts(self) -> tuple[Space, Evaluator]:
        """Space and evaluator, made once a process."""
        if self._made is None:
            self._made = self.worker.make_components()
        return self._made

    def _check(self) -> CheckFields:
        """One short step before the session's first trial."""
        self._to_check = False
        worker = self.worker
        return check_in_worker(self._parts, worker.context(0), self._watchdog, worker.folder.ray / "check")

    def _start(self) -> None:
        trial, worker = self._trial, self.worker
        self._write_note()
        timed_out_before(trial.folder)
        space, evaluator = self._parts()
        if worker.device == "cpu":
            limit_growth(worker.memory_bytes)
        architecture = space.replay(Architecture.from_json(json.loads(self._config["architecture"])))
        with self._watchdog.over(trial.folder, what="building the network"):
            trial.evaluation = evaluator.start(space, architecture, worker.context(trial.number))
            self._watchdog.check()
        found = checkpoint.newest(trial.folder)
        if found is not None:
            trial.measured = found.state.values[MEASURED]
            trial.unreported = bool(trial.measured)
            trial.evaluation.load(State(found.state.tensors, found.state.values[EVALUATION]))
        trial.measurements = trial.evaluation.measurements(self._should_stop)

    def _should_stop(self) -> bool:
        self._watchdog.check()
        now = time.monotonic()
        if now - self._polled >= _POLL_SECONDS:
            self._polled, self._stop = now, self.worker.folder.stop.exists()
        return self._stop

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
        if trial.unreported:
            trial.unreported = False
            return {"measurements": trial.measured}
        assert trial.measurements is not None
        with self._watchdog.over(trial.folder):
            measurement = next(trial.measurements, None)
        if measurement is not None:
            trial.measured.append(measurement_fields(measurement))
            self._save(measurement)
            return {"measurements": trial.measured[-1:]}
        if self._should_stop():
            self._save(Measurement(**trial.measured[-1]) if trial.measured else None, partial=True)
            return {"paused": True}
        raise RuntimeError(f"the evaluator ended before its budget of {self.worker.max_steps} steps")

    def _save(self, last: Measurement | None, *, partial: bool = False) -> None:
        trial = self._trial
        assert trial.evaluation is not None
        state = trial.evaluation.state()
        state = State(state.tensors, {EVALUATION: state.values, MEASURED: trial.measured})
        try:
            checkpoint.save(trial.folder, last.step if last else 0, state, last, partial=partial)
        except OSError as error:
            raise _storage_error(error) from error

    def cleanup(self) -> None:
        self._trial = _Trial(self._trial.number, self._trial.folder)


def _storage_error(error: OSError) -> StorageError:
    """Why a checkpoint cannot be written."""
    words = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    return DiskFull(words) if is_disk_full(error) else StorageError(f"checkpoint cannot be written: {words}")
