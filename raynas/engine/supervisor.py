"""The loop that keeps a search going: Ray runs the trials; whatever ends Ray is attributed, journalled and survived.

``Tuner.fit()`` returns when the session gives out no more trials (a trial whose worker was lost before it began may be
left over then: it gets a Tuner of its own). It raises when Ray's memory monitor kills a worker,
and for defects of Ray's; then the trials that were running are looked at, the one that died is recorded, and a new
Tuner goes on with the rest from their checkpoints.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from raynas.engine.cluster import Slots
from raynas.engine.session import WORKER_RETRIES, Session
from raynas.engine.worker.failure import reason_of
from raynas.engine.worker.process import WorkerProcess, read_note
from raynas.errors import DiskFull, WorkerLost
from raynas.journal.events import ErrorFields

if TYPE_CHECKING:
    from raynas.engine.worker.setup import WorkerSetup

#: Ray ended so often without any trial making progress: something is broken that trying again does not mend.
_FRUITLESS = 3


def supervise(session: Session, worker_setup: WorkerSetup, slots: Slots) -> None:
    """Runs the session's trials to its end.

    Raises:
        BaseException: what a hook raised (a journal that cannot be written), or Ray's own error when it cannot go on.
    """
    from raynas.engine.ray_errors import why_ray_ended

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    logging.getLogger("ray").setLevel(logging.ERROR)
    fruitless = 0
    while True:
        facts = session.facts
        try:
            _fit(session, worker_setup, slots)
        except Exception as error:
            if session.fatal is not None:
                raise session.fatal from error
            why = why_ray_ended(error)
            if isinstance(why, DiskFull):
                session.disk_full(str(why))
                return
            fruitless = fruitless + 1 if session.facts == facts else 0
            if fruitless >= _FRUITLESS:
                raise
            blame(session, error, why)
            session.queue_unfinished()
        else:
            if session.fatal is not None:
                raise session.fatal
            if not session.left_over:
                return
        finally:
            shutil.rmtree(session.folder.ray, ignore_errors=True)
        if session.stop_reason is not None and session.folder.stop.exists():
            return


def _fit(session: Session, worker_setup: WorkerSetup, slots: Slots) -> None:
    from ray import tune

    from raynas.engine.adapters import JournallingScheduler, ProposalQueue, StartCallback
    from raynas.engine.worker.trainable import TrialRunner

    trainable = tune.with_parameters(TrialRunner, worker=worker_setup)
    scheduler = JournallingScheduler(session)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": slots.cpus, **({"GPU": slots.gpus} if slots.gpus else {})}),
        tune_config=tune.TuneConfig(
            search_alg=ProposalQueue(session, scheduler, slots.workers),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial-{trial.config['trial']}",
            trial_dirname_creator=lambda trial: f"{trial.config['trial']}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=f"{time.time_ns()}",
            storage_path=str(session.folder.ray),
            verbose=0,
            callbacks=[StartCallback(session)],
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()


def blame(session: Session, error: Exception, lost: WorkerLost) -> None:
    """Records the end of the trial whose worker Ray's error is about.

    The workers' notes say which process, on which machine, had which trial. Where Ray names no process of theirs, the
    only running trial is the one; where several ran, none is blamed and all go on from their checkpoints.

    Args:
        error: what ended Ray.
        lost: what it means.
    """
    from raynas.engine.ray_errors import full_text, lost_processes

    running = session.history.under_way
    found = [_trial_of(session, process, running) for process in lost_processes(error)]
    blamed = sorted(number for number in found if number is not None)
    if not blamed and len(running) == 1:
        blamed = list(running)
    text = full_text(error)
    fields: ErrorFields = {"type": type(error).__name__, "message": text.partition("\n")[0], "traceback": text}
    for number in blamed[:1]:
        session.failed(number, reason_of(lost), fields)


def _trial_of(session: Session, process: WorkerProcess, running: Collection[int]) -> int | None:
    """The trial that a process had in hand; None where it had none of those that run.

    A process has one trial at a time. The notes of earlier ones may name it as well: those of promoted trials that no
    worker has begun again. The newest note counts.
    """
    found = {number: read_note(session.folder.worker_note(number)) for number in running}
    notes = {number: note for number, note in found.items() if note is not None and note.process.matches(process)}
    return max(notes, key=lambda number: notes[number].written, default=None)
