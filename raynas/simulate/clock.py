"""One simulated search: a real searcher and a real stopping rule in virtual time, over a table.

The loop does what a session of a real search does (raynas.engine): it asks ``propose(history, number)`` whenever a
worker is free and no paused trial is to be promoted, folds the same events into a ``History``, and lets the rule decide
on every measurement. A paused trial frees its worker; those that nobody promotes end with the search. Only the
training is a look-up, and only the clock is made up. Trials count from 0, and the first is the strategy's own: a real
search's trial 0, the space's default, is left out unless asked for, so that strategies are compared and not defaults.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from raynas.journal.events import STATE_OF_STOP
from raynas.journal.history import History
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import LOWEST, Objectives
from raynas.schedulers.rungs import StoppingRule
from raynas.searchers.searcher import Proposal
from raynas.simulate.faults import Faults, Luck, luck, node_rng
from raynas.simulate.landscape import Landscape
from raynas.simulate.run import STATES, Limits, Run

_ASK, _STEP, _FAIL, _LOST, _BACK = range(5)


@dataclass
class _Trial:
    """A trial under way."""

    number: int
    row: int
    luck: Luck
    started: float
    worker: int | None = None  # None: paused, or lost with its node and not yet taken up again
    steps: int = 0
    attempt: int = -1  # how often it was taken up, promotions included
    losses: int = 0  # how often it went down with its node
    spent: float = 0.0


class Clock:
    """The state of one simulated search; ``run`` drives it to its end.

    Args:
        searcher: has ``propose(history, number)`` over ``landscape.space``.
        objective: the landscape's own, or several of which it is the first; the others are among its further columns.
        rule: a fresh stopping rule.
        seed: of the run's luck (the searcher brings its own).
    """

    def __init__(
        self,
        searcher: Any,
        landscape: Landscape,
        objective: Objective | Objectives,
        rule: StoppingRule,
        limits: Limits,
        faults: Faults,
        seed: int,
    ) -> None:
        self.searcher, self.landscape, self.objectives = searcher, landscape, Objectives.of(objective)
        self.rule, self.limits, self.faults, self.seed = rule, limits, faults, seed
        self.history = History(self.objectives)
        self.run_ = Run(seed)
        self.now = 0.0
        self.heap: list[tuple[float, int, int, int, int]] = []  # (time, order, what, trial or worker or node, attempt)
        self.order = 0
        self.trials: dict[int, _Trial] = {}  # under way
        self.left: deque[int] = deque()  # lost with their node: taken up first
        self.idle: list[int] = []
        self.life: dict[int, int] = {}  # how often a worker went down; what an earlier life asked for is void
        self.down: set[int] = set()
        self.driver_free = 0.0
        self.best = LOWEST
        self.best_place = -1
        self.nodes: dict[int, random.Random] = {}

    def run(self) -> Run:
        """Runs to the limits, or until the space is exhausted."""
        for worker in range(self.limits.workers):
            self.push(0.0, _ASK, worker)
        if self.faults.node_loss_seconds is not None:
            for node in range(-(-self.limits.workers // self.faults.workers_per_node)):
                self.nodes[node] = node_rng(self.seed, node)
                self.push(self.until_loss(node), _LOST, node)
        end = math.inf if self.limits.seconds is None else self.limits.seconds
        handlers = (self.ask, self.step, self.fail, self.lost, self.back)
        while self.heap and not self.over():
            self.now, _, what, which, attempt = heapq.heappop(self.heap)
            if self.now > end:
                break
            handlers[what](which, attempt)
        else:
            for number in sorted(self.history.paused):
                self.end(self.trials[number], "early_stopped")
        return self.run_

    def over(self) -> bool:
        """Whether nothing is left to do: all trials were given out, and those that have not ended wait for ever."""
        waiting = len(self.trials) == len(self.history.paused) and self.rule.promotable() is None
        return waiting and self.finished()

    def finished(self) -> bool:
        """Whether no more trials are given out."""
        limit = self.limits.trials
        return self.run_.exhausted or (limit is not None and len(self.history.trials) >= limit)

    def push(self, when: float, what: int, which: int, attempt: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.heap, (when, self.order, what, which, attempt))

    # -- what can happen -----------------------------------------------------------------------------------------

    def ask(self, worker: int, life: int) -> None:
        """A worker is free: it takes up a trial that was left, a promoted one, or a new one."""
        if worker in self.down or life != self.life.get(worker, 0):
            return
        if self.left:
            self.take_up(self.trials[self.left.popleft()], worker, self.now)
        elif (promoted := self.rule.promotable()) is not None:
            self.apply("trial_promoted", trial=promoted, rung=self.trials[promoted].steps, session=0)
            self.rule.leave(promoted)
            self.take_up(self.trials[promoted], worker, self.now)
        elif self.finished():
            self.idle.append(worker)
        elif self.limits.proposal_seconds is not None and self.driver_free > self.now:
            self.push(self.driver_free, _ASK, worker, life)
        else:
            self.propose(worker)

    def propose(self, worker: int) -> None:
        """Asks the strategy, and starts what it names."""
        charge = self.limits.proposal_seconds
        number = len(self.history.trials)
        began = time.perf_counter()
        if number == 0 and self.limits.default_first:
            proposal = self.default()
        else:
            proposal = self.searcher.propose(self.history, number)
        took = time.perf_counter() - began
        self.run_.propose_seconds += took
        if proposal is None:
            self.run_.exhausted = True
            self.idle.append(worker)
            return
        if charge is not None:
            self.driver_free = self.now + (took if charge < 0 else charge)
        row = self.landscape.space.row(proposal.architecture)
        if row is None:  # the strategy fills the holes by itself, and the table has not all of their combinations
            rng = random.Random(f"{self.seed}/{number}/row")
            row = self.landscape.space.nearest(proposal.architecture, self.history.seen, rng)
        if row is None:
            self.run_.exhausted = True
            self.idle.append(worker)
            return
        network_id, trial_id = self.landscape.space.row_ids[row]
        self.apply(
            "trial_proposed",
            trial=number,
            architecture=self.landscape.space.rows[row].to_json(),
            trial_id=trial_id,
            network_id=network_id,
            name="",
            strategy="",
            origin=proposal.origin,
            session=0,
        )
        self.history.trials[number].architecture = self.landscape.space.rows[row]  # spares making it from its JSON
        begins = max(self.now, self.driver_free)
        trial = _Trial(number, row, luck(self.faults, self.seed, number, self.landscape.max_steps), begins)
        self.trials[number] = trial
        self.take_up(trial, worker, begins)

    def default(self) -> Proposal:
        space = self.landscape.space
        default = space.default()
        return Proposal(default, space.trial_id(default), space.network_id(default), {"kind": "default"})

    def take_up(self, trial: _Trial, worker: int, when: float) -> None:
        trial.worker = worker
        trial.attempt += 1
        self.apply("trial_started", trial=trial.number, attempt=trial.attempt, session=0)
        self.next_step(trial, when + self.faults.startup_seconds)

    def next_step(self, trial: _Trial, begins: float) -> None:
        lengths = self.landscape.seconds[trial.row]
        takes = (lengths[trial.steps] if trial.steps < len(lengths) else lengths[-1]) * trial.luck.slowdown
        fails = trial.luck.fails_at
        if fails is not None and fails[0] == trial.steps + 1:
            self.push(begins + takes * fails[1], _FAIL, trial.number, trial.attempt)
        else:
            trial.spent = takes
            self.push(begins + takes, _STEP, trial.number, trial.attempt)

    def step(self, number: int, attempt: int) -> None:
        """A step of a trial is measured."""
        trial = self.trials.get(number)
        if trial is None or trial.attempt != attempt or trial.worker is None:
            return  # it went down with its node
        step = trial.steps = trial.steps + 1
        curve = self.landscape.curves[trial.row]
        value = curve[step - 1]
        observed = value + trial.luck.noise
        metrics = {self.objectives.first.metric: observed}
        for name, curves in self.landscape.also.items():
            metrics[name] = curves[trial.row][min(step, len(curves[trial.row])) - 1]
        decision = self.rule.record_values(number, step, self.objectives.values(metrics))
        self.apply(
            "measured",
            trial=number,
            attempt=attempt,
            step=step,
            metrics=metrics,
            seconds=trial.spent,
            rung=decision.rung,
            decision=decision.action,
            stop_reason=decision.reason,
        )
        if decision.stops:
            assert decision.reason is not None
            self.end(trial, decision.reason)
        elif step >= len(curve):
            self.end(trial, "early_stopped")  # the table knows no more of it
        elif decision.action == "pause":
            worker, trial.worker = trial.worker, None
            self.ask(worker, self.life.get(worker, 0))
            while self.idle and self.rule.promotable() is not None:
                self.ask(worker := self.idle.pop(0), self.life.get(worker, 0))
        else:
            self.next_step(trial, self.now)

    def fail(self, number: int, attempt: int) -> None:
        """A trial fails."""
        trial = self.trials.get(number)
        if trial is not None and trial.attempt == attempt and trial.worker is not None:
            self.end(trial, "exception")

    def end(self, trial: _Trial, reason: str) -> None:
        self.rule.leave(trial.number)
        record = self.history.trials[trial.number]
        state = STATE_OF_STOP.get(reason, "failed")
        self.apply(
            "trial_ended",
            trial=trial.number,
            state=state,
            reason=reason,
            error=None,
            steps=trial.steps,
            seconds=record.seconds,
        )
        self.write_down(trial, state)
        del self.trials[trial.number]
        if trial.worker is not None:
            self.ask(trial.worker, self.life.get(trial.worker, 0))

    def lost(self, node: int, _: int) -> None:
        """A node goes down with its workers; the trials that ran there are left for others."""
        workers = self.workers_of(node)
        for trial in [trial for trial in self.trials.values() if trial.worker in workers]:
            trial.worker = None
            trial.losses += 1
            if trial.losses <= self.faults.retries:
                self.left.append(trial.number)
            else:
                self.end(trial, "worker_died")
        for worker in workers:
            self.life[worker] = self.life.get(worker, 0) + 1
        self.down.update(workers)
        self.idle = [worker for worker in self.idle if worker not in workers]
        self.push(self.now + self.faults.recovery_seconds, _BACK, node)
        while self.left and self.idle:
            worker = self.idle.pop(0)
            self.ask(worker, self.life.get(worker, 0))

    def back(self, node: int, _: int) -> None:
        """A lost node is back."""
        self.push(self.now + self.until_loss(node), _LOST, node)
        for worker in self.workers_of(node):
            self.down.discard(worker)
            self.ask(worker, self.life[worker])

    def workers_of(self, node: int) -> range:
        count = self.faults.workers_per_node
        return range(node * count, min((node + 1) * count, self.limits.workers))

    def until_loss(self, node: int) -> float:
        assert self.faults.node_loss_seconds is not None
        return self.nodes[node].expovariate(1 / self.faults.node_loss_seconds)

    # -- records -------------------------------------------------------------------------------------------------

    def apply(self, event: str, **fields: Any) -> None:
        self.history.apply({"event": event, "time": self.now, **fields})

    def write_down(self, trial: _Trial, state: str) -> None:
        run, record = self.run_, self.history.trials[trial.number]
        rung = 0 if record.score is None else record.score[0]
        observed = math.nan if record.score is None else record.score[1][self.objectives.first.metric]
        key = self.history.key(record)
        if key > self.best:
            self.best, self.best_place = key, len(run.number)
        run.number.append(trial.number)
        run.row.append(trial.row)
        run.state.append(STATES.index(state))
        run.steps.append(trial.steps)
        run.rung.append(rung)
        run.observed.append(observed)
        run.value.append(self.landscape.curves[trial.row][rung - 1] if rung else math.nan)
        run.started.append(trial.started)
        run.ended.append(self.now)
        run.incumbent.append(self.best_place)
        if len(run.number) in self.limits.recommend_after and hasattr(self.searcher, "recommend"):
            number = self.searcher.recommend(self.history)
            if number is not None:
                known = self.landscape.space.row(self.history.trials[number].architecture)
                assert known is not None
                run.recommended[len(run.number)] = known
