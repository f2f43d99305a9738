"""An evaluation with its checkpoints: what a trial and a stage have in common on a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from raynas.engine.worker.messages import MeasurementFields, measurement_fields
from raynas.errors import DiskFull, EvaluatorError, StorageError, is_disk_full
from raynas.evaluators import checkpoint
from raynas.evaluators.checkpoint import ENDED, EVALUATION, MEASURED
from raynas.evaluators.evaluator import Evaluation, Measurement, State


class _Stop:
    """State: whether the search wants to end. Once it has said so that holds, also where the flag is gone again.

    (An object of its own: in a cycle with the evaluation it would keep the memory of a trial that is over.)
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self.said = False

    def __call__(self) -> bool:
        self.said = self.said or self._should_stop()
        return self.said


class CheckpointedEvaluation:
    """State: an evaluation at the point of the newest checkpoint in a folder, or at its beginning.

    Attributes:
        measured: all its measurements so far, those of earlier processes included.
        ended: the evaluation needs no further step.

    Args:
        folder: of its checkpoints, and of nothing else's.
        evaluation: a fresh one.
        should_stop: whether the search wants to end.
    """

    def __init__(self, folder: Path, evaluation: Evaluation, should_stop: Callable[[], bool]) -> None:
        self._folder = folder
        self._evaluation = evaluation
        self._stop = _Stop(should_stop)
        self.measured: list[MeasurementFields] = []
        self.ended = False
        found = checkpoint.newest(folder)
        if found is not None:
            self.measured = found.state.values[MEASURED]
            self.ended = found.state.values.get(ENDED, False)
            evaluation.load(State(found.state.tensors, found.state.values[EVALUATION]))
        self._measurements: Iterator[Measurement] = evaluation.measurements(self._stop)

    def step(self) -> MeasurementFields | None:
        """The next measurement, with a checkpoint behind it; None where there is none: it has ended, or was stopped.

        Raises:
            EvaluatorError: what came is no measurement of a further step, or there was none at all.
            StorageError: the checkpoint cannot be written.
        """
        if self.ended:
            return None
        measurement = next(self._measurements, None)
        if measurement is not None:
            _require_next(measurement, self.measured)
            self.measured.append(measurement_fields(measurement))
            self._save()
            return self.measured[-1]
        if self._stop.said:
            self._save(partial=True)
            return None
        if not self.measured:
            raise EvaluatorError("the evaluator ended without a measurement; it has to yield one for each step")
        self.ended = True
        self._save()
        return None

    def _save(self, *, partial: bool = False) -> None:
        state = self._evaluation.state()
        if state is None:
            if not partial:
                raise EvaluatorError("Evaluation.state() gave None after a step; it may only do so in mid-step")
            return  # the checkpoint of the last measurement stands
        last = Measurement(**self.measured[-1]) if self.measured else None
        values = {EVALUATION: state.values, MEASURED: self.measured, **({ENDED: True} if self.ended else {})}
        try:
            state = State(state.tensors, values)
            checkpoint.save(self._folder, last.step if last else 0, state, last, partial=partial)
        except OSError as error:
            words = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
            if is_disk_full(error):
                raise DiskFull(words) from error
            raise StorageError(f"checkpoint cannot be written: {words}") from error


def _require_next(measurement: Measurement, before: list[MeasurementFields]) -> None:
    """Raises EvaluatorError where something is no measurement, or not that of a further step."""
    if not isinstance(measurement, Measurement):
        raise EvaluatorError(
            f"the evaluator yielded a {type(measurement).__name__}; measurements() yields Measurement(step, metrics, "
            "seconds)"
        )
    done = before[-1]["step"] if before else 0
    if measurement.step <= done:
        raise EvaluatorError(
            f"the evaluator yielded a measurement of step {measurement.step} after that of step {done}; steps count "
            "from 1 and grow"
        )
