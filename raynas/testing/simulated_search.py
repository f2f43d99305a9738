"""A search without Ray: one event at a time, with any number of workers, on a score that a function gives."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from raynas.journal.history import History
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import Objectives
from raynas.schedulers.rungs import StoppingRule
from raynas.searchers.random import RandomSearcher
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.space import Architecture, Space

#: A function of the architecture. One that raises ArithmeticError makes the trial fail.
Score = Callable[[Architecture], float]

OBJECTIVE = Objective("score", "max")


def simulate(
    searcher: ArchitectureSearcher,
    score: Score,
    trials: int,
    *,
    workers: int = 1,
    rule: StoppingRule | None = None,
    objective: Objective = OBJECTIVE,
    seed: int = 0,
    warm_start: Sequence[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The events of a whole search; fewer proposals than ``trials`` if the searcher says that the space is exhausted.

    Args:
        searcher: proposes the architectures.
        score: measures them, each step of a trial the same.
        trials: at most so many are proposed.
        workers: so many trials are under way at a time.
        rule: decides on each measurement; None: a trial has one step.
        objective: its metric is the score's name.
        seed: which of the workers reports next is drawn from it.
        warm_start: what is known before the search, as ``warm_start_of`` gives it.
    """
    history, rng = History(), random.Random(seed)
    events: list[dict[str, Any]] = []

    def tell(event: str, **fields: Any) -> None:
        events.append({"seq": len(events), "event": event, "time": float(len(events)), **fields})
        history.apply(events[-1])

    begun = Objectives.of(objective).to_event()
    if warm_start:
        begun["warm_start"] = {"source": "earlier", "trials": list(warm_start)}
    tell("search_started", **begun)
    exhausted = False
    while True:
        while len(history.running) < workers and history.next_number < trials and not exhausted:
            number = history.next_number
            known = history.for_searchers
            proposal = searcher.next_proposal(known, number)
            if proposal is None:
                exhausted = True
                break
            tell(
                "trial_proposed",
                trial=number,
                architecture=proposal.architecture.to_json(),
                trial_id=proposal.trial_id,
                network_id=proposal.network_id,
                origin=dict(proposal.origin),
                **proposal.refusal_fields,
            )
        if not history.running:
            return events
        record = history.trials[rng.choice(list(history.running))]
        step = record.steps + 1
        try:
            value = score(record.architecture)
        except ArithmeticError:
            tell("trial_ended", trial=record.number, state="failed", reason="exception")
            continue
        fields: dict[str, Any] = {"rung": step, "decision": "stop", "stop_reason": "budget"}
        if rule is not None:
            decision = rule.record(record.number, step, value)
            fields = {"rung": decision.rung, "decision": decision.action, "stop_reason": decision.reason}
        tell("measured", trial=record.number, step=step, metrics={objective.metric: value}, **fields)


def warm_start_of(space: Space, score: Score, count: int, *, rung: int = 9, seed: int = 5) -> list[dict[str, Any]]:
    """What a random search of ``count`` trials has measured, as the journal keeps a warm start.

    One trial in three did not get beyond the first rung; the others completed at ``rung``.
    """
    history = History.from_events(simulate(RandomSearcher(space, seed=seed), score, count))
    return [
        {
            "architecture": dict(record.values),
            "trial_id": record.trial_id,
            "network_id": record.network_id,
            "rung": rung if number % 3 else 1,
            "completed": bool(number % 3),
            "metrics": {OBJECTIVE.metric: history.value(record)},
        }
        for number, record in history.trials.items()
    ]
