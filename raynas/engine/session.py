"""One session of a search: what the driver knows while it runs, and the one place where facts are written.

A session has a beginning (a new search, or a resumed one) and one end. In between the searcher's and the scheduler's
Ray adapters ask it for proposals and hand it reports; it decides, writes the fact to the journal, folds it into the
history, and only then answers. It knows nothing of Ray.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from raynas.engine.weight_retention import WeightRetention
from raynas.engine.worker.failure import reason_of
from raynas.engine.worker.messages import CheckFields
from raynas.errors import UserError, WorkerLost
from raynas.journal import History, TrialRecord, Writer
from raynas.journal.events import (
    ELAPSED,
    EVALUATOR_ENDED,
    STATE_OF_STOP,
    ErrorFields,
    FailureReason,
    SessionEnd,
    shortened_error,
)
from raynas.journal.finalists import next_repeat
from raynas.journal.history import DEFAULT
from raynas.journal.searcher_history import WARM
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import Objectives
from raynas.running_clock import RunningClock
from raynas.schedulers.replay import replay
from raynas.schedulers.rungs import Action, FullBudget, StoppingRule
from raynas.searchers import warm_start as warm
from raynas.searchers.admission import Admission
from raynas.searchers.proposal import Proposal, Proposer
from raynas.space import Architecture, Space
from raynas.storage import trial_log
from raynas.storage.search_folder import SearchFolder

#: So many failures in a row, and nothing else, end a session: the mistake is not the architectures'.
ALL_FAILED = 5

#: A dead worker's trial is tried again from its checkpoint so often; then it is recorded as failed.
WORKER_RETRIES = 2

#: Reasons to end a session with which a search is finished.
_LIMITS: tuple[SessionEnd, ...] = ("trials", "time", "exhausted")

#: While no reason to stop is known, or one of these, trials that were begun are brought to their end.
_ALL_PROPOSED: tuple[SessionEnd | None, ...] = (None, "trials", "exhausted")


class Session:
    """State of a running session.

    Args:
        number: 0 for the first session of the search.
        objective: what trials are compared by, one objective or several.
        trials: the limit on trials of the whole search (None: no limit).
        keep_best: of so many ended trials the last checkpoint, with the weights, is kept.
        cost: what is known of an architecture before it is trained (``params``, ``flops``, and by other models).
        admission: knows which architectures keep the search's constraints (None: there are none).
        finalists, repeats: after the last trial so many leading networks are trained again so many times.
        progress: called with every event after it was written.
        judge: why the search cannot go on, by what the check before its first trial showed (it returns None where the
            search can). None: there is no check.
        when_checked: called once that check has shown nothing.
    """

    def __init__(
        self,
        folder: SearchFolder,
        *,
        number: int,
        space: Space,
        searcher: Proposer,
        rule: StoppingRule,
        objective: Objective | Objectives,
        strategy: str,
        history: History,
        writer: Writer,
        trials: int | None,
        keep_best: int,
        cost: Callable[[Architecture], Mapping[str, float]],
        admission: Admission | None = None,
        finalists: int = 0,
        repeats: int = 0,
        progress: Callable[[dict[str, Any]], None] | None = None,
        judge: Callable[[CheckFields], UserError | None] | None = None,
        when_checked: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.number = number
        self.space = space
        self.searcher = searcher
        self.rule = rule
        self.objectives = Objectives.of(objective)
        self.strategy = strategy
        self.history = history
        self.writer = writer
        self.trials = trials
        self.finalists = finalists
        self.repeats = repeats
        # Of repeats: none is stopped early.
        self._full_budget = FullBudget(rule.max_steps, mode=self.objectives.first.mode)
        self.weights = WeightRetention(folder, history, keep_best, searcher)
        self._cost = cost
        self._admission = admission
        self._progress = progress
        self._judge = judge
        self.when_checked = when_checked
        #: The number: that of the trial whose worker does the check.
        self._check: Literal["to do", "done"] | int = "done" if judge is None else "to do"
        self.refused = False  # whether it showed that the search cannot go on
        self.stop_reason: SessionEnd | None = None  # why no more trials are given out; None while they are
        self.message = ""
        self.tracking_message = ""  # what is not in MLflow at the end, in one line
        self.fatal: BaseException | None = None  # what a hook raised: Ray turns it into text
        self.facts = 0  # events written in this session
        self.clock = RunningClock()  # of the limit on time; made again when that begins to count
        self._ended_here = self._failed_here = 0
        self._attempts: dict[int, int] = {}
        self._deaths: dict[int, tuple[WorkerLost, bool]] = {}  # of a trial's last worker: why, and had it begun?
        self._lost_before: Counter[int] = Counter()  # workers lost before they began the trial
        self._unfinished: deque[int] = deque()

    def __getstate__(self) -> dict[str, object]:
        """Nothing: Ray's Tuner pickles all that it is given into a file which nobody here reads."""
        return {}

    # -- facts ---------------------------------------------------------------------------------------------------

    def record(self, event: str, **fields: Any) -> None:
        """Writes a fact, then acts on it: the history and whoever watches learn it after it is on its way to disk."""
        try:
            written = self.writer.write(event, **fields, **{ELAPSED: round(self.clock.seconds(), 3)})
        except BaseException as error:
            self.fatal = error
            raise
        self.facts += 1
        self.history.apply(written)
        if self._progress is not None:
            self._progress(written)

    def replay(self) -> None:
        """Puts scheduler and searcher where the journal left them, and closes trials whose end was not written."""
        replay(self.rule, self.history)
        for trial in self.history.trials.values():
            if trial.terminal:
                if trial.end_written:
                    self.weights.ended(trial)
                else:
                    assert trial.reason is not None
                    self._write_end(trial, trial.reason)
        self.searcher.update(self.history.for_searchers)
        self.queue_unfinished()

    def queue_unfinished(self) -> None:
        """Trials without an end are proposed first, under their own numbers; paused ones wait for their promotion."""
        self._unfinished = deque(sorted(self.history.under_way))

    @property
    def left_over(self) -> bool:
        """Whether a trial was given back after Ray had been told that there are no more."""
        return self.stop_reason in _ALL_PROPOSED and any(not self.history.trials[n].terminal for n in self._unfinished)

    # -- proposals -----------------------------------------------------------------------------------------------

    def next_trial(self) -> TrialRecord | None:
        """The trial to start now: an unfinished, a promoted, or a new one.

        None where the search gives out no more: ``stop_reason`` says why. None without a reason means: not now. What
        those that run will show decides who is promoted, and who the finalists are.
        """
        if self.stop_reason in _ALL_PROPOSED:
            while self._unfinished:
                trial = self.history.trials[self._unfinished.popleft()]
                if not trial.terminal:
                    return trial
            promoted = self.rule.promotable()
            if promoted is not None:
                return self._promote(self.history.trials[promoted])
        if self.stop_reason is not None:
            return None
        number = len(self.history.trials)
        if self.trials is not None and self.history.searched >= self.trials:
            return self._all_proposed("trials")
        try:
            proposal = self._new_proposal(number)
        except warm.AlwaysInfeasible as error:
            self.message = str(error)
            self.stop("error")
            return None
        if proposal is None:
            return self._all_proposed("exhausted")
        of_warm_start = proposal.origin.get("kind") == WARM
        strategy = DEFAULT if proposal is self._default else WARM if of_warm_start else self.strategy
        self.record(
            "trial_proposed",
            trial=number,
            architecture=proposal.architecture.to_json(),
            trial_id=proposal.trial_id,
            network_id=proposal.network_id,
            name=self.space.short_name(proposal.architecture),
            strategy=strategy,
            origin=proposal.origin,
            session=self.number,
            **self._cost_fields(proposal.architecture),
            **proposal.refusal_fields,
        )
        return self.history.trials[number]

    def _new_proposal(self, number: int) -> Proposal | None:
        """The space's default first, unless it breaks a constraint; then the strategy's. None: nothing is left."""
        begun = 0 in self.history.trials and 0 not in self.history.void
        if self.history.default is None and not begun and self.left_out is None:
            return self._default
        begins = 1 if self.left_out is None else 0
        found = warm.proposed(self.searcher, self.history.for_searchers, number, self._admission, begins=begins)
        if found is not None and number == 0:  # a trial 0 of no kind would be taken for the default
            found = replace(found, origin={"kind": self.strategy, **found.origin})
        return found

    @cached_property
    def _default(self) -> Proposal:
        architecture = self.space.default()
        ids = self.space.trial_id(architecture), self.space.network_id(architecture)
        return Proposal(architecture, *ids, {"kind": DEFAULT})

    @cached_property
    def left_out(self) -> str | None:
        """Why the space's default is not trained, in a few words; None where it is."""
        if self._admission is None or self._admission.violation(self._default) == 0:
            return None
        return self._admission.broken_by(self._default)

    def _cost_fields(self, architecture: Architecture) -> dict[str, Any]:
        """What is known of an architecture, as ``trial_proposed`` has it."""
        known = dict(self._cost(architecture))
        own: dict[str, Any] = {name: known.pop(name) for name in ("params", "flops") if name in known}
        return {**own, **({"costs": known} if known else {})}

    def _all_proposed(self, reason: SessionEnd) -> TrialRecord | None:
        """The search has proposed all that it will: once that has ended, a finalist once more; else the end."""
        history = self.history
        if history.under_way - history.repeats and (self.rule.pauses or self.finalists):
            return None
        self._close_paused()
        if reason == "exhausted" and self._admission is not None and self._admission.constraints:
            self.message = self._admission.shortage.describe()
        found = next_repeat(history, self.finalists, self.repeats)
        if found is None:
            self.stop(reason)
            return None
        (record, turn), number = found, len(history.trials)
        self.record(
            "trial_proposed",
            trial=number,
            architecture=dict(record.values),
            trial_id=record.trial_id,
            network_id=record.network_id,
            name=record.name,
            strategy="finalist",
            origin={"kind": "repeat", "parents": [record.number]},
            session=self.number,
            repeat_of=record.number,
            repeat=turn,
            **self._cost_fields(record.architecture),
        )
        return history.trials[number]

    def _promote(self, trial: TrialRecord) -> TrialRecord:
        self.record("trial_promoted", trial=trial.number, rung=trial.steps, session=self.number)
        self.rule.leave(trial.number)
        return trial

    def _close_paused(self) -> None:
        """Ends the paused trials of a search that has proposed all: nobody will promote them.

        Where a limit on time, an interruption or a fault ends the session they stay as they are, as running ones do.
        """
        for trial in list(self.history.paused.values()):
            self.rule.leave(trial.number)
            self._write_end(trial, "early_stopped")

    def started(self, number: int) -> None:
        """A worker took the trial in hand."""
        attempt = self._attempts.get(number, self.history.trials[number].attempts)
        self._attempts[number] = attempt + 1
        self.record("trial_started", trial=number, attempt=attempt, session=self.number)

    # -- the check before the first trial --------------------------------------------------------------------------

    def takes_check(self, number: int) -> bool:
        """Whether the worker of trial ``number`` is to check first, with one step, that trials can run at all."""
        if self._check == "to do":
            self._check = number
        return self._check == number

    def checked(self, said: CheckFields) -> None:
        """Takes in what the check showed; a search that cannot go on ends."""
        if self._check == "done" or self._judge is None:
            return  # Ray has tried that trial once more
        error = self._judge(said)
        if error is not None:
            self.refused, self.fatal = True, error
            raise error
        self._check_is_done()

    def _check_is_done(self) -> None:
        self._check = "done"
        try:
            self.when_checked()
        except BaseException as error:
            self.fatal = error
            raise

    # -- reports -------------------------------------------------------------------------------------------------

    def measured(self, number: int, step: int, metrics: dict[str, float], seconds: float) -> Action:
        """Takes in a measurement; what becomes of the trial."""
        trial = self.history.trials[number]
        if trial.terminal:
            return "stop"
        if step <= trial.steps:
            return "continue"  # known: emitted again after a promotion, or a death between report and checkpoint
        names = self.objectives.missing(metrics, trial.costs)
        missing = self._metric_missing(names[0], metrics) if names else None
        if missing is not None and all(map(math.isfinite, metrics.values())):
            self.failed(number, "exception", missing)
            return "stop"
        if missing is not None:  # a trial that diverged has no value to be compared by
            metrics = {**metrics, **dict.fromkeys(names, math.nan)}
        rule = self.rule if trial.repeat_of is None else self._full_budget
        decision = rule.record_values(number, step, self.objectives.values(metrics, trial.costs))
        self.record(
            "measured",
            trial=number,
            attempt=max(0, self._attempts.get(number, 1) - 1),
            step=step,
            metrics=metrics,
            seconds=seconds,
            rung=decision.rung,
            decision=decision.action,
            stop_reason=decision.reason,
        )
        if decision.action == "stop":
            assert decision.reason is not None
            self._write_end(trial, decision.reason, missing)
        return decision.action

    def evaluator_ended(self, number: int) -> None:
        """The evaluator needs no further step: the last measurement counts as that of the full budget."""
        trial = self.history.trials[number]
        if trial.terminal:
            return
        if trial.repeat_of is None:
            values = self.objectives.values(trial.measurements[-1].metrics, trial.costs)
            self.rule.record_values(number, self.rule.max_steps, values)
        self._write_end(trial, EVALUATOR_ENDED, rung=self.rule.max_steps)

    def failed(self, number: int, reason: FailureReason, error: ErrorFields | None) -> None:
        """The trial cannot go on."""
        trial = self.history.trials[number]
        if not trial.terminal:
            self._write_end(trial, reason, error)

    def died(self, number: int, lost: WorkerLost, *, begun: bool) -> None:
        """A worker was lost with the trial, or before it had begun it; Ray tries it again, or gives up and says so."""
        self._deaths[number] = lost, begun
        self._lost_before[number] += not begun

    def gave_up(self, number: int) -> None:
        """Ray tries the trial no more: its worker was lost as often as it may be, or before it had begun the trial.

        In the second case the trial is not to blame, and is given to another worker first, as often as it may be.
        """
        lost, begun = self._deaths.get(number, (WorkerLost("its worker process died"), True))
        if not begun and self._lost_before[number] <= WORKER_RETRIES:
            if not self.history.trials[number].terminal:
                self._unfinished.appendleft(number)
            return
        error: ErrorFields = {"type": WorkerLost.__name__, "message": lost.message, "traceback": lost.details}
        self.failed(number, reason_of(lost), error)

    def disk_full(self, words: str) -> None:
        """A checkpoint found no room: trials stay unfinished until there is some."""
        self.message = f"{words}; make room and resume the search"
        self.stop("disk_full")

    def _write_end(
        self, trial: TrialRecord, reason: str, error: ErrorFields | None = None, rung: int | None = None
    ) -> None:
        state = STATE_OF_STOP.get(reason, "failed")
        error = error and self._shortened(trial.number, error)
        self.record(
            "trial_ended",
            trial=trial.number,
            state=state,
            reason=reason,
            error=error,
            steps=trial.steps,
            seconds=trial.seconds,
            **({} if rung is None else {"rung": rung}),
        )
        self.weights.ended(trial)
        if trial.number == self._check:
            self._check_is_done()  # its worker died in it
        self._ended_here += 1
        self._failed_here += state == "failed"
        enough = min(ALL_FAILED, self.trials or ALL_FAILED)
        unknown = self._check != "done"  # what the check will say is clearer
        all_failed = len(self.history.ended) == self.history.counts["failed"]
        if self._failed_here == self._ended_here >= enough and not unknown and all_failed:
            self.message = self._first_error()
            self.stop("all_failed")

    def _shortened(self, number: int, error: ErrorFields) -> ErrorFields:
        """An error as the journal takes it; a message or traceback that is too long for it goes to the trial's log."""
        short = shortened_error(error)
        if short != error:
            trial_log.append(self.folder.logs, number, "\n".join(("", error["message"], error["traceback"], "")))
        return short

    def _first_error(self) -> str:
        ended = [number for number in self.history.ended if number not in self.history.void]
        first = self.history.trials[ended[0]]
        error = first.error or {}
        what = f"{error.get('type', first.reason)}: {error.get('message', '')}".rstrip(": ")
        failed = "the only trial failed" if len(ended) == 1 else f"the first {len(ended)} trials all failed"
        return f"{failed}; trial {first.number} with {what}"

    def _metric_missing(self, name: str, metrics: dict[str, float]) -> ErrorFields:
        odd = {one: f"{one} {value}" for one, value in metrics.items() if not math.isfinite(value)}
        there = ", ".join(odd.get(one, one) for one in sorted(metrics))
        message = f"metric {name!r} is not among those reported ({there}); choose one with --metric"
        if name not in self.objectives.metrics:
            message = f"the constraint on {name!r} cannot be checked: it is no cost, and not among {there}"
        return {"type": UserError.__name__, "message": message, "traceback": ""}

    def paused(self) -> None:
        """A worker was asked to stop, and has; it may have seen the flag before the driver's watcher did."""
        if self.stop_reason in _ALL_PROPOSED:
            self.stop("interrupted", checkpoint=True)

    # -- the end -------------------------------------------------------------------------------------------------

    def stop(self, reason: SessionEnd, *, checkpoint: bool = False) -> None:
        """Gives out no more trials; with ``checkpoint`` running ones are asked to checkpoint and end at once.

        The first reason stays, unless an interruption comes on top of it. May be called from any thread.
        """
        if self.stop_reason is None or checkpoint:
            self.stop_reason = reason
        if checkpoint:
            self.folder.stop.write_text(f"{reason} {time.time()}\n")

    def end(self, reason: SessionEnd, message: str = "", recommended: int | None = None) -> None:
        """Writes the session's end. A search whose trials all failed is not finished, whatever limit it has reached."""
        if reason in _LIMITS and self.history.all_failed:
            reason, message = "all_failed", self._first_error()
        known = {} if recommended is None else {"recommended": {"trial": recommended}}
        self.record("session_ended", session=self.number, reason=reason, message=message, **known)
