"""The journal folded into the one view that searchers, schedulers, trackers, ``status`` and reports learn from.

``History.apply`` takes one event, at a cost that does not grow with the journal. Nothing here reads files or knows Ray.
The same events give the same history, whether they are applied as they happen or read back later. This makes resume a
replay.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raynas.journal import searcher_history
from raynas.journal.events import ELAPSED, STATE_OF_STOP, SessionEnd
from raynas.objectives import objectives
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import LOWEST as LOWEST  # for those who ask a history for keys
from raynas.objectives.objectives import Key, Objectives, Standing
from raynas.space import Architecture

#: The strategy of the trial of a space's default.
DEFAULT = "default"

#: Fields of events that are folded into what strategies see, and that they do not see themselves.
_NOT_SEEN = ("warm_start", "void")

_RUNNING_STATES = ("proposed", "running")


@dataclass(frozen=True)
class MeasurementRecord:
    """One ``measured`` event. ``seconds``: what the step took; ``time``: when it was written, seconds since 1970."""

    step: int
    metrics: Mapping[str, float]
    seconds: float = 0.0
    rung: int | None = None
    decision: str = "continue"
    stop_reason: str | None = None
    attempt: int = 0
    time: float = 0.0


@dataclass
class TrialRecord:
    """What is known of one trial. Written by ``History`` alone."""

    number: int
    values: Mapping[str, Any]  # the architecture as JSON
    trial_id: str
    network_id: str
    name: str = ""
    strategy: str = ""
    repeat_of: int | None = None  # a finalist trained again: the number of the trial that it repeats
    repeat: int = 0  # which repeat of it, from 1
    origin: Mapping[str, Any] = field(default_factory=dict)
    session: int = 0
    state: str = "proposed"  # "proposed", "running", "completed", "stopped", "failed"
    reason: str | None = None
    error: Mapping[str, str] | None = None
    measurements: list[MeasurementRecord] = field(default_factory=list)
    score: tuple[int, Mapping[str, float]] | None = None  # the highest rung reached, and the metrics there
    standing: Standing | None = None  # the same, as the objectives see it
    seconds: float = 0.0
    attempts: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)  # known before training: params, flops, others
    proposed_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    end_written: bool = False  # a trial_ended event was seen (a stop alone makes a trial terminal, too)

    @cached_property
    def architecture(self) -> Architecture:
        """The architecture (made from its JSON on first use: most readers ask for few of them)."""
        return Architecture.from_json(dict(self.values))

    @property
    def title(self) -> str:
        """What the trial is called before people: by its holes, or as the space's default."""
        return "default: the hand-made network" if self.is_default else self.name

    @property
    def is_default(self) -> bool:
        """Whether this is the space's default: trial 0, unless a constraint left that out, or a later one."""
        return self.strategy == DEFAULT or (self.number == 0 and self.origin.get("kind", DEFAULT) == DEFAULT)

    @property
    def terminal(self) -> bool:
        """Whether the trial is finished and never runs again."""
        return self.state not in _RUNNING_STATES

    @property
    def steps(self) -> int:
        """Steps of budget measured so far."""
        return self.measurements[-1].step if self.measurements else 0


@dataclass
class StageRecord:
    """What is known of a stage, which is work done once before the trials. Written by ``History`` alone."""

    name: str
    steps: int
    state: str = "running"  # "running" (also: interrupted), "completed", "failed"
    error: Mapping[str, str] | None = None
    measurements: list[MeasurementRecord] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps_done(self) -> int:
        """Steps measured so far."""
        return self.measurements[-1].step if self.measurements else 0


@dataclass
class SessionRecord:
    """One session: from its start to its end, or to its last event if it was killed."""

    number: int
    started_at: float
    last_event_at: float
    started: Mapping[str, Any]  # the session_started event
    reason: SessionEnd | None = None
    message: str = ""
    recommended: Mapping[str, Any] | None = None  # what the strategy recommended at its end (docs/journal.md)
    elapsed: float | None = None  # seconds that it had run at its last event; None in an earlier release's journal

    @property
    def seconds(self) -> float:
        """Seconds that the session has run, up to its last event; by the wall clock where its journal says no more."""
        return max(0.0, self.last_event_at - self.started_at) if self.elapsed is None else self.elapsed


@dataclass(frozen=True)
class LogEntry:
    """A trial has reached a rung, was paused, or has ended; ``number, key = entry`` takes what one order needs.

    Attributes:
        number: the trial's.
        standing: where it stood then, as measured; None if it failed, or has no score.
        key: what sorted it then (``History.key``).
    """

    number: int
    standing: Standing | None
    key: Key

    def __iter__(self) -> Iterator[Any]:
        return iter((self.number, self.key))


class History:
    """The fold of a journal.

    Args:
        objective: what trials are compared by: one objective, or all of them with the constraints. None: what
            ``search_started`` says.

    Attributes:
        objectives: what "better" means; None until it is known.
        search: the ``search_started`` event, or None.
        sessions: one record for each session.
        stages: name to record, in the order in which they were begun.
        trials: number to record, in the order of proposals.
        repeats: numbers of the trials that train a finalist again.
        void: numbers of the trials that failed before the search's files were corrected; they do not count.
        seen, seen_networks: trial ids and network ids that were ever proposed, running and failed ones included.
        running: number to record, for the trials that are not terminal (under way, left unfinished, or paused).
        paused: of these, the ones that wait at a rung for their promotion.
        ended: numbers in the order of their terminal facts.
        reached: one entry, in order, for each time that a trial reached a rung or ended.
        judged: those of them after which the trial did not continue at once, because it ended or was paused.
        scored: numbers in the order in which they got their first score.
        counts: how many trials are in each state.
        refused: how many drawn architectures were far beyond what a trial can afford, and were not proposed.
        beyond: how many trials are as far beyond it, because the strategy drew nothing cheaper.
        infeasible: how many drawn architectures broke a constraint, and were not proposed.
        steps_trained: steps measured over all trials.
        last_seq: ``seq`` of the last event applied; -1 at first.
    """

    def __init__(self, objective: Objective | Objectives | None = None) -> None:
        self.objectives = None if objective is None else Objectives.of(objective)
        self.search: dict[str, Any] | None = None
        self.sessions: list[SessionRecord] = []
        self.stages: dict[str, StageRecord] = {}
        self.trials: dict[int, TrialRecord] = {}
        self.repeats: set[int] = set()
        self.void: set[int] = set()
        self.seen: set[str] = set()
        self.seen_networks: set[str] = set()
        self.running: dict[int, TrialRecord] = {}
        self.paused: dict[int, TrialRecord] = {}
        self.ended: list[int] = []
        self.reached: list[LogEntry] = []
        self.judged: list[LogEntry] = []
        self.scored: list[int] = []
        self.counts: Counter[str] = Counter()
        self.refused = self.beyond = self.infeasible = 0
        self.steps_trained = 0
        self.last_seq = -1
        self._for_searchers: History | None = None  # where it differs from this one
        self._judged_steps = 0  # of completed and stopped trials
        # A heap of (-rung, -signed value, number): the best first, of equals the earlier. A trial stands here with each
        # key that it had; ``best_trial`` takes those away that no longer hold, so an event costs O(log n).
        self._ranked: list[tuple[int, float, int]] = []
        self._past_seconds = 0.0  # of all sessions but the last

    @classmethod
    def from_events(
        cls, events: Iterable[Mapping[str, Any]], objective: Objective | Objectives | None = None
    ) -> History:
        """The history of a journal's events (``raynas.journal.read``)."""
        history = cls(objective)
        for event in events:
            history.apply(event)
        return history

    def apply(self, event: Mapping[str, Any]) -> None:
        """Takes one event; unknown events and fields are ignored."""
        self.last_seq = event.get("seq", self.last_seq)
        time = float(event.get("time", 0.0))
        handle = _HANDLERS.get(event["event"])
        if handle is not None:
            handle(self, event, time)
        if self._for_searchers is not None and event.get("trial") not in self.repeats:
            self._for_searchers.apply({key: value for key, value in event.items() if key not in _NOT_SEEN})
        if self.sessions and time > self.sessions[-1].last_event_at:
            self.sessions[-1].last_event_at = time
        if self.sessions and ELAPSED in event:
            self.sessions[-1].elapsed = max(self.sessions[-1].elapsed or 0.0, event[ELAPSED])

    @property
    def objective(self) -> Objective | None:
        """The first objective, for those who know only one: searches of several are ordered by it."""
        return None if self.objectives is None else self.objectives.first

    @property
    def step_name(self) -> str:
        """What a step of budget is called: an epoch, or (where a trial's budget is time) a step."""
        spec = self.search["spec"] if self.search else {}
        return "step" if spec.get("trial_time") else "epoch"

    @property
    def next_number(self) -> int:
        """The number that the next new trial gets."""
        return next(reversed(self.trials), -1) + 1

    @property
    def for_searchers(self) -> History:
        """The history as strategies are to see it (``searcher_history``); this very one where nothing differs.

        It lacks repeats of finalists and void trials, and has a warm start's measurements as ended trials under numbers
        below 0.
        """
        return self if self._for_searchers is None else self._for_searchers

    @property
    def under_way(self) -> set[int]:
        """Numbers of the trials that are not terminal and do not wait at a rung."""
        return self.running.keys() - self.paused.keys()

    @property
    def searched(self) -> int:
        """How many trials the search has proposed: all but the repeats of finalists and those that are void."""
        return len(self.trials) - len(self.repeats) - len(self.void)

    @property
    def default(self) -> TrialRecord | None:
        """The trial of the space's default: trial 0, or a later one where that is void.

        None before it was proposed, and where it breaks a constraint: then it never is.
        """
        if 0 not in self.void:
            first = self.trials.get(0)
            return first if first is not None and first.is_default else None
        own = (record for number, record in self.trials.items() if number not in self.void)
        return next((record for record in own if record.strategy == DEFAULT), None)

    @property
    def all_failed(self) -> bool:
        """Whether all trials that count have ended, and every one of them failed."""
        ended = len(self.ended) - len(self.void)
        return ended > 0 and not self.running and self.counts["failed"] - len(self.void) == ended

    @property
    def repeats_ended(self) -> int:
        """How many repeats of finalists have ended."""
        return sum(self.trials[number].terminal for number in self.repeats)

    @property
    def nothing_measured(self) -> bool:
        """Whether no trial has a measurement yet, at a rung or between them."""
        return not any(trial.measurements for trial in self.trials.values())

    @property
    def elapsed_seconds(self) -> float:
        """Seconds that all sessions have run; a killed one counts up to its last event."""
        return self._past_seconds + (self.sessions[-1].seconds if self.sessions else 0.0)

    def value(self, trial: TrialRecord | int) -> float | None:
        """The (first) objective's value at the highest rung the trial reached (not signed); None without a score."""
        record = self.trials[trial] if isinstance(trial, int) else trial
        if record.score is None or self.objectives is None:
            return None
        return record.score[1].get(self.objectives.first.metric)

    def values(self, trial: TrialRecord | int) -> tuple[float, ...] | None:
        """Its value there for each objective (not signed; NaN where it is missing); None without a score."""
        record = self.trials[trial] if isinstance(trial, int) else trial
        return None if record.standing is None else record.standing.vector.values

    def feasible(self, trial: TrialRecord | int) -> bool:
        """Whether the trial keeps all constraints at the highest rung that it reached; False without a score."""
        record = self.trials[trial] if isinstance(trial, int) else trial
        return record.standing is not None and record.standing.vector.feasible

    def key(self, trial: TrialRecord | int) -> Key:
        """Sorts trials, bigger is better: the highest rung reached, then the objective there (sign turned for "min").

        Failed trials, and those without a finite score, get ``LOWEST``. Between these and all others are the trials
        that violate a constraint (``Objectives.key``).
        """
        record = self.trials[trial] if isinstance(trial, int) else trial
        if self.objectives is None or record.state == "failed":
            return LOWEST
        return self.objectives.key(record.standing)

    @property
    def best_trial(self) -> TrialRecord | None:
        """``best(1)`` at a cost that does not grow with the trials: for those who ask after every event."""
        while self._ranked:
            rung, value, number = self._ranked[0]
            if self.key(number) == (-rung, -value):
                return self.trials[number]
            heapq.heappop(self._ranked)
        return None

    def _rank(self, record: TrialRecord) -> None:
        """Lets a trial compete with the key that it has got."""
        key = self.key(record)
        if record.repeat_of is None and key > LOWEST:
            heapq.heappush(self._ranked, (-key[0], -key[1], record.number))

    def best(self, n: int = 1) -> list[TrialRecord]:
        """The best trials, best first (of equals the earlier); those without a score are left out.

        Repeats of finalists are left out as well: they say how good these are, and do not compete with them.
        """
        if self.objectives is None:
            return []
        return [self.trials[number] for number in objectives.best(self._standings(), self.objectives, n)]

    def front(self) -> list[TrialRecord]:
        """The trials that no other beats in all objectives (``objectives.front``), by number; no repeats.

        With one objective these are the best trial and its equals.
        """
        if self.objectives is None:
            return []
        return [self.trials[number] for number in objectives.front(self._standings(), self.objectives)]

    def _standings(self) -> dict[int, Standing]:
        """Where the trials stand that compete: all with a score but failed ones and repeats."""
        return {
            number: record.standing
            for number, record in self.trials.items()
            if record.standing is not None and record.repeat_of is None and record.state != "failed"
        }

    def training_saved(self, max_steps: int) -> float:
        """Share of training that stopping early saved: over completed and stopped trials (failures save nothing)."""
        full = (self.counts["completed"] + self.counts["stopped"]) * max_steps
        return 1 - self._judged_steps / full if full else 0.0

    def _search_started(self, event: Mapping[str, Any], time: float) -> None:
        self.search = dict(event)
        if self.objectives is None:
            self.objectives = Objectives.of_event(event)
        if event.get("warm_start"):
            self._for_searchers = History(self.objectives)
            searcher_history.put_warm_start(self._for_searchers, event["warm_start"]["trials"])

    def _session_started(self, event: Mapping[str, Any], time: float) -> None:
        self._past_seconds = self.elapsed_seconds
        self.sessions.append(SessionRecord(event["session"], time, time, dict(event)))
        if event.get("void"):
            self.void.update(event["void"])
            self._for_searchers = searcher_history.without_void(self, History(self.objectives))

    def _session_ended(self, event: Mapping[str, Any], time: float) -> None:
        if self.sessions:
            self.sessions[-1].reason = event["reason"]
            self.sessions[-1].message = event.get("message") or ""
            self.sessions[-1].recommended = event.get("recommended")

    def _stage_started(self, event: Mapping[str, Any], time: float) -> None:
        record = self.stages.setdefault(event["stage"], StageRecord(event["stage"], event["steps"]))
        record.state, record.error = "running", None

    def _stage_measured(self, event: Mapping[str, Any], time: float) -> None:
        record = self.stages[event["stage"]]
        if event["step"] > record.steps_done:
            measured = MeasurementRecord(event["step"], event["metrics"], event["seconds"], time=time)
            record.measurements.append(measured)
            record.seconds += measured.seconds

    def _stage_ended(self, event: Mapping[str, Any], time: float) -> None:
        record = self.stages[event["stage"]]
        record.state, record.error = event["state"], event.get("error")

    def _trial_proposed(self, event: Mapping[str, Any], time: float) -> None:
        if event["trial"] in self.trials:
            return
        if event.get("repeat_of") is not None:
            if self._for_searchers is None:
                self._for_searchers = searcher_history.copied(self)
            self.repeats.add(event["trial"])
        record = TrialRecord(
            number=event["trial"],
            values=event["architecture"],
            trial_id=event["trial_id"],
            network_id=event["network_id"],
            name=event.get("name", ""),
            strategy=event.get("strategy", ""),
            origin=event.get("origin") or {},
            repeat_of=event.get("repeat_of"),
            repeat=event.get("repeat", 0),
            session=event.get("session", 0),
            costs={**{name: event[name] for name in ("params", "flops") if name in event}, **event.get("costs", {})},
            proposed_at=time,
        )
        self.trials[record.number] = self.running[record.number] = record
        self.seen.add(record.trial_id)
        self.seen_networks.add(record.network_id)
        self.counts["proposed"] += 1
        self.refused += event.get("refused", 0)
        self.beyond += bool(event.get("beyond"))
        self.infeasible += event.get("infeasible", 0)

    def _trial_started(self, event: Mapping[str, Any], time: float) -> None:
        record = self.running.get(event["trial"])
        if record is None:
            return
        record.attempts = event.get("attempt", 0) + 1
        if record.started_at is None:
            record.started_at = time
        self._move(record, "running")

    def _measured(self, event: Mapping[str, Any], time: float) -> None:
        record = self.running.get(event["trial"])
        if record is None or event["step"] <= record.steps:
            return  # measured again after a lost worker: the first answer stands
        measurement = MeasurementRecord(
            step=event["step"],
            metrics=event["metrics"],
            seconds=event.get("seconds", 0.0),
            rung=event.get("rung"),
            decision=event.get("decision", "continue"),
            stop_reason=event.get("stop_reason"),
            attempt=event.get("attempt", 0),
            time=time,
        )
        self.steps_trained += measurement.step - record.steps
        record.measurements.append(measurement)
        record.seconds += measurement.seconds
        if record.state == "proposed":
            self._move(record, "running")
        if measurement.rung is not None:
            self._score(record, measurement.rung, measurement.metrics)
        self.paused.pop(record.number, None)
        if measurement.decision == "pause":
            self.paused[record.number] = record
            self.judged.append(self._entry(record))
        if measurement.decision != "stop" and measurement.rung is not None:
            self.reached.append(self._entry(record))
        elif measurement.decision == "stop":
            reason = measurement.stop_reason or "early_stopped"
            self._end(record, STATE_OF_STOP.get(reason, "stopped"), reason, time)

    def _score(self, record: TrialRecord, rung: int, metrics: Mapping[str, float]) -> None:
        first = record.score is None
        record.score = (rung, metrics)
        if self.objectives is not None:
            record.standing = Standing(rung, self.objectives.vector(metrics, record.costs))
        self._rank(record)
        if first:
            self.scored.append(record.number)

    def _trial_promoted(self, event: Mapping[str, Any], time: float) -> None:
        self.paused.pop(event["trial"], None)

    def _trial_ended(self, event: Mapping[str, Any], time: float) -> None:
        record = self.trials.get(event["trial"])
        if record is None or record.end_written:
            return
        record.end_written = True
        record.error = event.get("error")
        record.seconds = event.get("seconds", record.seconds)
        if event.get("rung") is not None and record.measurements and not record.terminal:
            self._score(record, event["rung"], record.measurements[-1].metrics)
        if not record.terminal:
            self._end(record, event["state"], event["reason"], time)

    def _end(self, record: TrialRecord, state: str, reason: str, time: float) -> None:
        self._move(record, state)
        record.reason = reason
        record.ended_at = time
        del self.running[record.number]
        self.paused.pop(record.number, None)
        self.ended.append(record.number)
        self.judged.append(self._entry(record))
        self.reached.append(self.judged[-1])
        if state != "failed":
            self._judged_steps += record.steps

    def _entry(self, record: TrialRecord) -> LogEntry:
        standing = None if record.state == "failed" else record.standing
        return LogEntry(record.number, standing, self.key(record))

    def _move(self, record: TrialRecord, state: str) -> None:
        self.counts[record.state] -= 1
        self.counts[state] += 1
        record.state = state


_HANDLERS = {
    "search_started": History._search_started,
    "session_started": History._session_started,
    "session_ended": History._session_ended,
    "stage_started": History._stage_started,
    "stage_measured": History._stage_measured,
    "stage_ended": History._stage_ended,
    "trial_proposed": History._trial_proposed,
    "trial_started": History._trial_started,
    "measured": History._measured,
    "trial_promoted": History._trial_promoted,
    "trial_ended": History._trial_ended,
}
