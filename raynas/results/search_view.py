"""A search as its journal tells it: its settings, its trials, the best of them, what it recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from raynas.errors import JournalError
from raynas.journal import History, TrialRecord, read
from raynas.journal.events import SessionEnd
from raynas.journal.finalists import Finalist, finalists, leaders, next_repeat
from raynas.journal.recent_gain import recent_gain
from raynas.objectives.objective import Objective
from raynas.report.search_report import (
    FinalistReport,
    RecommendationReport,
    SearchReport,
    StageReport,
    TrialCounts,
    TrialReport,
)
from raynas.spec.settings import ResolvedSpec
from raynas.storage.search_folder import SearchFolder, is_locked
from raynas.storage.trial_log import log_path, tail

#: Why a session ended, as the search's status.
_STATUS: dict[SessionEnd, str] = {
    "trials": "finished",
    "time": "finished",
    "exhausted": "finished",
    "interrupted": "interrupted",
    "disk_full": "interrupted",
    "all_failed": "failed",
    "error": "failed",
}


@dataclass(frozen=True)
class Recommendation:
    """The trial that a search recommends.

    Attributes:
        trial: one whose weights are kept; of a finalist its best repeat, but for the best observed trial of all.
        by: ``"finalists"`` (the best mean of networks that were trained again), or ``"posterior"`` (the strategy's).
        finalist: with ``"finalists"``: the network, its mean and its interval.
    """

    trial: TrialRecord
    by: Literal["finalists", "posterior"]
    finalist: Finalist | None = None


def current_spec(history: History) -> dict[str, Any]:
    """The settings in force as the journal has them: those of the search's start with what each resume changed."""
    assert history.search is not None
    spec = dict(history.search["spec"])
    for session in history.sessions:
        spec.update(session.started.get("changes") or {})
    return spec


class SearchView:
    """A search, running or not, as its journal tells it.

    Attributes:
        folder: where it lies.
        history: the fold of its journal, read once; make a new view to look again.
        begun: the journal's ``search_started`` event.
        tracking_message: what was not in MLflow when the search ended, in one line ("" where all was).
        changed_files: after ``resume``: files of one's own that changed since the search began, and were not taken.
        spec: the settings in force.
        objective: what is good.
    """

    def __init__(self, folder: SearchFolder, history: History | None = None, *, tracking_message: str = "") -> None:
        if history is None:
            folder.require()
            history = History.from_events(read(folder.journal))
        self.history = history
        self.name = folder.name
        self.tracking_message = tracking_message
        self.changed_files: tuple[Path, ...] = ()
        self.folder: Path = folder.path
        self._folder = folder
        if history.search is None:
            raise JournalError(
                f"journal {folder.journal} does not begin with a search; restore it, or remove {folder.path}"
            )
        self.begun = history.search
        assert history.objective is not None
        self.objective: Objective = history.objective
        self.spec = ResolvedSpec.of_journal(current_spec(history), name=self.name, objective=self.objective)

    @property
    def best(self) -> TrialRecord | None:
        """The best trial: the highest rung reached, and the best value there. None before the first measurement."""
        return self.history.best_trial

    def best_trials(self, n: int = 5) -> list[TrialRecord]:
        """The ``n`` best trials, the best first; failed and unmeasured ones are left out."""
        return self.history.best(n)

    @property
    def recommended(self) -> Recommendation | None:
        """The trial to take, where more is known than what each trial was observed to do; None where it is not.

        The finalist with the best mean, where there are finalists; else what the strategy recommended at the search's
        end (``predictor`` and ``auto``: the best posterior mean). Of many noisy values the best is a lucky one.
        """
        leading = next(iter(self.finalists), None)
        if leading is not None and leading.settled:
            return Recommendation(leading.trial(self.history), "finalists", leading)
        said = self.history.sessions[-1].recommended if self.history.sessions else None
        return None if said is None else Recommendation(self.history.trials[said["trial"]], "posterior")

    @property
    def finalists(self) -> list[Finalist]:
        """The networks that were trained again: the best mean first, those of whom too many repeats failed last."""
        return finalists(self.history)

    @property
    def default(self) -> TrialRecord | None:
        """The trial of the space's default network: better than what?"""
        return self.history.default

    @property
    def left_out(self) -> str | None:
        """Which constraint keeps the space's default from being trained; None where none does."""
        return self.history.sessions[-1].started.get("left_out") if self.history.sessions else None

    @cached_property
    def status(self) -> str:
        """``running``, ``finished``, ``interrupted`` or ``failed``."""
        if is_locked(self._folder):
            return "running"
        status = "interrupted" if self.reason is None else _STATUS.get(self.reason, "interrupted")
        return "failed" if status == "finished" and self.history.all_failed else status

    @property
    def tracking_problem(self) -> str | None:
        """What keeps the search, or something of it, out of MLflow, in one line; None where nothing is known to."""
        from raynas.tracking.position import load_position

        position = load_position(self.folder)
        return None if position is None else position.trouble

    @property
    def reason(self) -> SessionEnd | None:
        """Why the last session ended; None where it was killed, or runs."""
        return self.history.sessions[-1].reason if self.history.sessions else None

    @property
    def message(self) -> str:
        """What the last session's end had to say beyond its reason."""
        return self.history.sessions[-1].message if self.history.sessions else ""

    @property
    def max_steps(self) -> int:
        """A trial's full budget, in steps (epochs)."""
        return self.spec.epochs

    @property
    def saved_share(self) -> float:
        """The share of training that early stopping saved, in [0, 1]."""
        return self.history.training_saved(self.max_steps)

    def log_file(self, number: int) -> Path:
        """Where what trial ``number`` printed is kept (the file is not there where it printed nothing)."""
        return log_path(self._folder.logs, number)

    def log_tail(self, number: int, lines: int = 20) -> list[str]:
        """The last lines of what trial ``number`` printed."""
        return tail(self._folder.logs, number, lines) if lines else []

    def report(self) -> SearchReport:
        """Everything that is told of the search, as values: what the tables, the JSON and the files draw from."""
        history, session = self.history, self.history.sessions[-1] if self.history.sessions else None
        trials = {number: TrialReport.of(record, history) for number, record in history.trials.items()}
        finalists = tuple(FinalistReport.of(one, trials[one.original.number]) for one in self.finalists)
        return SearchReport(
            name=self.name,
            folder=self.folder,
            status=self.status,
            reason=self.reason,
            message=self.message,
            spec=self.spec,
            objective=self.objective,
            step_name=history.step_name,
            started_at=self.begun.get("time", 0.0),
            elapsed_seconds=history.elapsed_seconds,
            sessions=len(history.sessions),
            workers=int((session.started.get("workers") if session else None) or 1),
            counts=self._counts(),
            planned=planned_trials(self.spec.trials, self.spec.finalists, self.spec.repeats),
            training_saved=self.saved_share,
            all_failed=history.all_failed,
            nothing_measured=history.nothing_measured,
            repeats_left=next_repeat(history, self.spec.finalists or 0, self.spec.repeats or 0) is not None,
            trials=tuple(trials.values()),
            ended=tuple(history.ended),
            ranking=tuple(trials[record.number] for record in history.best(len(trials))),
            leaders=tuple(trials[record.number] for record in leaders(history, len(trials))),
            default=None if self.default is None else trials[self.default.number],
            left_out=self.left_out,
            stages=tuple(
                StageReport(stage.name, stage.state, stage.steps, stage.steps_done) for stage in history.stages.values()
            ),
            finalists=finalists,
            recommended=self._recommended(trials, finalists),
            gain=recent_gain(history),
            tracking_problem=self.tracking_problem,
            tracking_message=self.tracking_message,
        )

    def _counts(self) -> TrialCounts:
        history, counts, under_way = self.history, self.history.counts, len(self.history.under_way)
        running = self.status == "running"
        return TrialCounts(
            total=len(history.trials),
            repeats=len(history.repeats),
            searched=history.searched,
            open=len(history.running),
            running=under_way if running else 0,
            paused=len(history.paused),
            unfinished=0 if running else under_way,
            completed=counts["completed"],
            stopped=counts["stopped"],
            failed=counts["failed"],
            refused=history.refused,
            beyond=history.beyond,
            infeasible=history.infeasible,
        )

    def _recommended(
        self, trials: Mapping[int, TrialReport], finalists: Sequence[FinalistReport]
    ) -> RecommendationReport | None:
        found = self.recommended
        if found is None:
            return None
        leading = None if found.finalist is None else finalists[0]
        return RecommendationReport(trials[found.trial.number], found.by, leading)

    def summary(self) -> dict[str, Any]:
        """The search in plain JSON: the keys of ``raynas status --json`` (docs/json.md)."""
        from raynas.report.documents import status

        return status(self.report())

    def __repr__(self) -> str:
        best = self.best
        found = "nothing yet" if best is None else f"best trial {best.number}, {_value_text(best, self.objective)}"
        return f"{type(self).__name__}({self.name!r}, {self.status}, {len(self.history.trials)} trials, {found})"


def planned_trials(trials: int | None, finalists: int | None, repeats: int | None) -> int | None:
    """How many trials a search may make in all, the repeats of its finalists included; None without a limit."""
    return None if trials is None else trials + (finalists or 0) * (repeats or 0)


def _value_text(trial: TrialRecord, objective: Objective) -> str:
    if trial.score is None:
        return "unmeasured"
    step, metrics = trial.score
    return f"{objective.metric} {metrics[objective.metric]:.4f} after {step} steps"
