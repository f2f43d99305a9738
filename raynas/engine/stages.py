"""The stages of a search: work done once, before its trials, on a worker (``raynas.evaluators.evaluator.Stage``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from raynas.engine.cluster import Slots
from raynas.engine.session import WORKER_RETRIES, Session
from raynas.errors import DiskFull, EvaluatorError, WorkerLost
from raynas.journal.events import ErrorFields, shortened_error

if TYPE_CHECKING:
    from raynas.engine.worker.setup import WorkerSetup
    from raynas.engine.worker.stage_runner import StageReport
    from raynas.evaluators.evaluator import Stage


def run_stages(session: Session, stages: list[Stage], setup: WorkerSetup, slots: Slots, *, alone: bool) -> None:
    """Brings every stage that has not ended to its end, or until the session is stopped.

    Args:
        alone: whether Ray is this search's own: a stage then has all CPUs that its trials will have.

    Raises:
        EvaluatorError: a stage failed. The search can be resumed.
    """
    cpus = slots.cpus * slots.workers if alone else slots.cpus
    for stage in stages:
        known = session.history.stages.get(stage.name)
        if known is not None and known.state == "completed":
            continue
        if session.stop_reason is not None:
            return
        session.record("stage_started", stage=stage.name, steps=stage.steps, session=session.number)
        _run(session, stage.name, setup, replace(slots, cpus=cpus))


def _run(session: Session, name: str, setup: WorkerSetup, slots: Slots) -> None:
    """One stage; where its worker is lost another goes on from the newest checkpoint, as often as with a trial."""
    from ray.exceptions import RayError

    from raynas.engine.ray_errors import why_ray_ended

    for attempt in range(WORKER_RETRIES + 1):
        try:
            for report in _reports(setup, name, slots):
                _take(session, name, report)
            return
        except RayError as error:
            why = why_ray_ended(error)
            if isinstance(why, DiskFull):
                session.disk_full(str(why))
                return
            if attempt == WORKER_RETRIES:
                _failed(session, name, {"type": WorkerLost.__name__, "message": why.message, "traceback": why.details})


def _reports(setup: WorkerSetup, name: str, slots: Slots) -> Iterator[StageReport]:
    import ray

    from raynas.engine.worker.stage_runner import run_stage

    task = ray.remote(run_stage).options(
        num_cpus=slots.cpus, num_gpus=slots.gpus, num_returns="streaming", max_retries=0, name=f"stage-{name}"
    )
    for reference in task.remote(setup, name, max(1, int(slots.cpus))):
        yield json.loads(ray.get(reference))


def _take(session: Session, name: str, report: StageReport) -> None:
    record = session.history.stages[name]
    if "failure" in report:
        _failed(session, name, report["failure"]["error"])
    if "paused" in report:
        session.paused()
    for measured in report.get("measurements", ()):
        if measured["step"] > record.steps_done:
            session.record("stage_measured", stage=name, **measured)
    if "ended" in report:
        session.record("stage_ended", stage=name, state="completed", error=None, seconds=record.seconds)


def _failed(session: Session, name: str, error: ErrorFields) -> None:
    short = shortened_error(error)
    seconds = session.history.stages[name].seconds
    session.record("stage_ended", stage=name, state="failed", error=short, seconds=seconds)
    first = short["message"].strip().partition("\n")[0]
    raise EvaluatorError(
        f"stage {name!r} failed: {short['type']}: {first} (its traceback is in the journal); mend the reason, then: "
        f"raynas resume {session.folder.name}"
    )
