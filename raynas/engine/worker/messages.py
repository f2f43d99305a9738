"""What the driver and a worker tell each other, as plain JSON: a trial's config, and the report after each step.

The fields' names are declared here, and mypy compares both sides with them.
"""

from __future__ import annotations

from typing import TypedDict

from raynas.errors import (
    ClusterError,
    EvaluatorError,
    JournalError,
    SearchFolderError,
    SpaceError,
    SpecError,
    TaskError,
    UserError,
)
from raynas.evaluators.evaluator import Measurement
from raynas.journal.events import ErrorFields, FailureReason


class _TrialConfig(TypedDict):
    trial: int
    architecture: str


class TrialConfig(_TrialConfig, total=False):
    """Ray's config of a trial: its number, its architecture in JSON, and whether the worker is to check first."""

    check: bool


class MeasurementFields(TypedDict):
    """A ``Measurement``."""

    step: int
    metrics: dict[str, float]
    seconds: float


class FailureFields(TypedDict):
    """Why a trial cannot go on."""

    reason: FailureReason
    error: ErrorFields


class CheckFields(TypedDict, total=False):
    """What the check before a session's first trial showed: one of these, or nothing where it cannot be told.

    ``error`` is the kind of a person's mistake (see ``mistake``), and comes with its ``message``.
    """

    measurement: MeasurementFields
    error: str
    message: str


class Report(TypedDict, total=False):
    """What a worker reports after a step: one of these.

    ``paused`` (true): it was asked to stop. ``ended`` (true): the evaluator needs no further step. ``disk_full``: a
    checkpoint found no room; what the system said.
    """

    measurements: list[MeasurementFields]
    failure: FailureFields
    paused: bool
    ended: bool
    disk_full: str
    checked: CheckFields


#: The kinds of mistakes by the names under which they travel.
_MISTAKES: dict[str, type[UserError]] = {
    kind.__name__: kind
    for kind in (
        UserError,
        SpaceError,
        TaskError,
        EvaluatorError,
        SpecError,
        JournalError,
        SearchFolderError,
        ClusterError,
    )
}


def measurement_fields(measurement: Measurement) -> MeasurementFields:
    """A measurement as it travels."""
    return {"step": measurement.step, "metrics": measurement.metrics, "seconds": measurement.seconds}


def mistake_fields(error: UserError) -> CheckFields:
    """A person's mistake as it travels: as the nearest of our own kinds, where it is of a kind of theirs."""
    kind = next(kind for kind in type(error).__mro__ if kind in _MISTAKES.values())
    return {"error": kind.__name__, "message": str(error)}


def mistake(fields: CheckFields) -> UserError:
    """The mistake again, of the same type."""
    return _MISTAKES[fields["error"]](fields["message"])
