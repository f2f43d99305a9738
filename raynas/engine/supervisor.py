"""The loop that keeps a search going: Ray runs the trials; whatever ends Ray is attributed, journalled and survived.

``Tuner.fit()`` returns when the session gives out no more trials (a trial whose worker was lost before it began may be
left over then: it gets a Tuner of its own). It raises when Ray's memory monitor kills a worker,
and for defects of Ray's; then the trials that were running are looked at, the one that died is recorded, and a new
Tuner goes on with the rest from their checkpoints.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from typing import Any

from raynas.engine.cluster import Slots
from raynas.engine.session import WORKER_RETRIES, Session

#: Ray ended so often without any trial making progress: something is broken that trying again does not mend.
_FRUITLESS = 3

_PID = re.compile(r"pid[=: ]+(\d+)", re.IGNORECASE)


def supervise(session: Session, worker_setup: Any, slots: Slots) -> None:
    """Runs the session's trials to its end.

    Raises:
        BaseException: what a hook raised (a journal that cannot be written), or Ray's own error when it cannot go on.
    """
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
            if _is_disk_full(error):
                session.disk_full("no space left on the device")
                return
            fruitless = fruitless + 1 if session.facts == facts else 0
            if fruitless >= _FRUITLESS:
                raise
            _attribute(session, error)
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


def _fit(session: Session, worker_setup: Any, slots: Slots) -> None:
    from ray import tune

    from raynas.engine.adapters import JournallingScheduler, ProposalQueue, StartCallback
    from raynas.engine.trainable import TrialRunner

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


def _attribute(session: Session, error: Exception) -> None:
    """Records the end of the trial whose worker Ray's error is about.

    The workers' notes say which process had which trial. Where Ray names no process, the only running trial is the
    one; where several ran, none is blamed and all go on from their checkpoints.
    """
    text = _chain_text(error)
    running = sorted(session.history.under_way)
    pids = {int(found) for found in _PID.findall(text)}
    blamed = [number for number in running if _worker_pid(session, number) in pids]
    if not blamed and len(running) == 1:
        blamed = running
    out_of_memory = "memory" in text.lower()
    for number in blamed[:1]:
        session.failed(
            number,
            "out_of_memory" if out_of_memory else "worker_died",
            {"type": type(error).__name__, "message": text.splitlines()[0], "traceback": text},
        )


def _is_disk_full(error: BaseException) -> bool:
    """Whether Ray ended since the file system has no room (it tells some of its errors as text only)."""
    return "no space left" in _chain_text(error).lower()


def _worker_pid(session: Session, number: int) -> int | None:
    try:
        return int(json.loads(session.folder.worker_note(number).read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _chain_text(error: BaseException) -> str:
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        parts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)
