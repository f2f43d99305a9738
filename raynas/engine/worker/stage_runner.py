"""A stage on a worker: driven, checkpointed and reported like a trial (see ``trainable``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypedDict

from raynas.engine.worker.checkpointed import CheckpointedEvaluation
from raynas.engine.worker.failure import failure_of
from raynas.engine.worker.messages import FailureFields, MeasurementFields
from raynas.engine.worker.setup import WorkerSetup, seed_for, use_threads
from raynas.engine.worker.stop_flag import StopFlag
from raynas.errors import StorageError
from raynas.evaluators.evaluator import TrialContext
from raynas.storage.working_folder import enter


class StageReport(TypedDict, total=False):
    """What is reported after a step: one of these. ``paused`` and ``ended`` are true where they are there."""

    measurements: list[MeasurementFields]
    failure: FailureFields
    paused: bool
    ended: bool


def run_stage(setup: WorkerSetup, name: str, threads: int) -> Iterator[str]:
    """Runs the stage from its newest checkpoint to its end, or until the search is stopped.

    Yields:
        A ``StageReport`` in JSON for each step; first, the measurements of an earlier process.

    Raises:
        StorageError: a checkpoint cannot be written.
    """
    enter(setup.working_folder)
    use_threads(threads)
    try:
        for report in _reports(setup, name, threads):
            yield json.dumps(report)
    except StorageError:
        raise  # not the stage's doing
    except Exception as error:
        yield json.dumps({"failure": failure_of(error)})


def _reports(setup: WorkerSetup, name: str, threads: int) -> Iterator[StageReport]:
    space, evaluator = setup.make_components()
    stage = next(one for one in evaluator.stages(space) if one.name == name)
    context = TrialContext(0, seed_for(setup.seed, f"stage/{name}"), stage.steps, threads, setup.device)
    evaluation = stage.start(space, context)
    run = CheckpointedEvaluation(setup.folder.stage_folder(name), evaluation, StopFlag(setup.folder.stop))
    yield {"measurements": run.measured}
    while (measured := run.step()) is not None:
        yield {"measurements": [measured]}
    yield {"ended": True} if run.ended else {"paused": True}
