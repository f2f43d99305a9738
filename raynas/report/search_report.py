"""A search as values: what people and programs are told of it, computed once.

``SearchView.report()`` makes a :class:`SearchReport` from a search's journal. Everything that shows a search draws from
it and computes nothing of its own: the tables of the command line (``cli/render``), the documents of ``--json``
(``documents``), CSV, Parquet and DataFrames (``tables``), the table in a notebook (``notebook``). A report does not
change. To look again, make another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from raynas.journal import History, TrialRecord
from raynas.journal.events import SessionEnd
from raynas.journal.finalists import Finalist
from raynas.journal.history import MeasurementRecord
from raynas.journal.recent_gain import RecentGain
from raynas.objectives.objective import Objective
from raynas.spec.settings import ResolvedSpec


@dataclass(frozen=True)
class TrialReport:
    """One trial.

    Attributes:
        title: what it is called before people: by its holes, or as the space's default.
        reason: why it ended; None before.
        origin: where the strategy has it from (docs/journal.md).
        repeat_of: of a finalist that is trained again, the trial that it repeats; ``repeat``: which repeat, from 1.
        attempts: how often a worker began it.
        costs: what is known of its network without training: ``params``, ``flops`` and others.
        architecture: its holes' values by path, as JSON.
        step: the highest rung that it reached, in steps; None before the first.
        value: the objective there (not signed); ``metrics``: all metrics there.
        steps: steps measured so far.
        seconds: what they took.
        curve: every measurement.
    """

    number: int
    name: str
    title: str
    state: str
    reason: str | None
    strategy: str
    origin: Mapping[str, Any]
    repeat_of: int | None
    repeat: int
    attempts: int
    costs: Mapping[str, float]
    error: Mapping[str, str] | None
    trial_id: str
    network_id: str
    architecture: Mapping[str, Any]
    step: int | None
    value: float | None
    metrics: Mapping[str, float]
    steps: int
    seconds: float
    curve: tuple[MeasurementRecord, ...] = field(repr=False)

    @classmethod
    def of(cls, record: TrialRecord, history: History) -> TrialReport:
        """What a history knows of a trial now."""
        step, metrics = record.score or (None, {})
        return cls(
            number=record.number,
            name=record.name,
            title=record.title,
            state=record.state,
            reason=record.reason,
            strategy=record.strategy,
            origin=dict(record.origin),
            repeat_of=record.repeat_of,
            repeat=record.repeat,
            attempts=record.attempts,
            costs=dict(record.costs),
            error=None if record.error is None else dict(record.error),
            trial_id=record.trial_id,
            network_id=record.network_id,
            architecture=dict(record.values),
            step=step,
            value=history.value(record),
            metrics=dict(metrics),
            steps=record.steps,
            seconds=record.seconds,
            curve=tuple(record.measurements),
        )


@dataclass(frozen=True)
class FinalistReport:
    """A network that was trained again.

    Attributes:
        trial: the trial that made it a finalist.
        repeats: numbers of its repeats with the full budget; ``values``: the objective in each of them.
        mean: of the values; ``interval``: its 95 % interval, where it can be had.
        failed: how many of its repeats failed.
    """

    trial: TrialReport
    repeats: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    failed: int

    @classmethod
    def of(cls, finalist: Finalist, trial: TrialReport) -> FinalistReport:
        """What is known of a finalist, the report of its original trial given."""
        repeats = tuple(record.number for record in finalist.repeats)
        return cls(trial, repeats, finalist.values, finalist.mean, finalist.interval, finalist.failed)


@dataclass(frozen=True)
class RecommendationReport:
    """The trial to take, where more is known than single measurements: see ``Recommendation``."""

    trial: TrialReport
    by: Literal["finalists", "posterior"]
    finalist: FinalistReport | None = None


@dataclass(frozen=True)
class StageReport:
    """Work that was to be done once, before the trials.

    Attributes:
        state: ``running`` (also: interrupted), ``completed`` or ``failed``.
        steps: how many it has at most; ``steps_done``: how many are measured.
    """

    name: str
    state: str
    steps: int
    steps_done: int


@dataclass(frozen=True)
class TrialCounts:
    """How many trials there are.

    Attributes:
        total: proposed so far, over all sessions.
        repeats: how many of them train a finalist again.
        searched: the others, without those that are void.
        open: not ended: under way, left unfinished, or paused.
        running: under way now; 0 unless the search runs.
        paused: waiting at a rung for their promotion.
        unfinished: interrupted, to be continued; 0 while the search runs.
        completed, stopped, failed: ended so.
        refused: not trials, but drawn architectures that were not proposed: far beyond what a trial can afford.
        beyond: trials that are as far beyond it, because nothing cheaper was drawn.
        infeasible: not trials, but drawn architectures that were not proposed, since they break a constraint.
    """

    total: int
    repeats: int
    searched: int
    open: int
    running: int
    paused: int
    unfinished: int
    completed: int
    stopped: int
    failed: int
    refused: int
    beyond: int
    infeasible: int


@dataclass(frozen=True)
class SearchReport:
    """A search, running or not.

    Attributes:
        folder: where it lies.
        status: ``running``, ``finished``, ``interrupted`` or ``failed``.
        reason: why the last session ended; None where it was killed, or runs.
        message: what that end had to say beyond its reason.
        spec: the settings in force.
        objective: what trials are compared by.
        step_name: what a step of budget is called: ``epoch`` or ``step``.
        started_at: seconds since 1970.
        elapsed_seconds: that all sessions have run.
        sessions: how often it was started or resumed.
        workers: trials at the same time in the last session.
        counts: of trials.
        planned: how many trials it may make, the repeats of finalists included; None without a limit.
        training_saved: the share of training that early stopping saved, in [0, 1].
        all_failed: whether all trials that count have ended and failed.
        nothing_measured: whether no trial has a measurement yet, at a rung or between them.
        repeats_left: whether finalists are still to be trained again.
        trials: all of them, by number.
        ended: numbers in the order in which the trials ended.
        ranking: the best observed first; without failed and unmeasured ones, and without repeats of finalists.
        leaders: the best of each network, the best first; with the full budget, if there are any.
        default: the trial of the space's default.
        left_out: which constraint keeps that default from being trained; None where none does.
        stages: the work that was to be done before the trials.
        finalists: the networks that were trained again: the best mean first.
        recommended: the trial to take, where more is known than single measurements.
        gain: what the last third of the trials has gained; None where it is too early to tell.
        tracking_problem: what keeps it, or something of it, out of MLflow, in one line.
        tracking_message: what was not in MLflow when it ended here, in one line; "" where all was.
    """

    name: str
    folder: Path
    status: str
    reason: SessionEnd | None
    message: str
    spec: ResolvedSpec
    objective: Objective
    step_name: str
    started_at: float
    elapsed_seconds: float
    sessions: int
    workers: int
    counts: TrialCounts
    planned: int | None
    training_saved: float
    all_failed: bool
    nothing_measured: bool
    repeats_left: bool
    trials: tuple[TrialReport, ...] = field(repr=False)
    ended: tuple[int, ...] = field(repr=False)
    ranking: tuple[TrialReport, ...] = field(repr=False)
    leaders: tuple[TrialReport, ...] = field(repr=False)
    default: TrialReport | None
    left_out: str | None
    stages: tuple[StageReport, ...]
    finalists: tuple[FinalistReport, ...]
    recommended: RecommendationReport | None
    gain: RecentGain | None
    tracking_problem: str | None
    tracking_message: str

    @property
    def best(self) -> TrialReport | None:
        """The best observed trial; None before the first measurement at a rung."""
        return self.ranking[0] if self.ranking else None

    def best_and_default(self, count: int) -> tuple[tuple[TrialReport, ...], TrialReport | None]:
        """The best trials, and the default where it is not among them: better than what?"""
        best = self.ranking[:count]
        return best, None if self.default is None or self.default in best else self.default
