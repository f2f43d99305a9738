"""Drives a searcher without Ray: a search simulated one event at a time, with any number of workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from raynas.journal import History
from raynas.schedulers.rungs import StoppingRule
from raynas.searchers import warm
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.space import Architecture, Choice, Space, op
from raynas.tasks.objective import Objective

OBJECTIVE = Objective("score", "max")


def recipe_space(**holes: Any) -> Space:
    """A space whose network is fixed: its holes are the recipe's."""
    return Space(body=op(torch.nn.Identity), recipe=holes)


def options_space(holes: int = 8, options: int = 4) -> Space:
    """A flat space of recipe holes: quick to fill, and a size that is known."""
    return recipe_space(**{f"h{index}": Choice(*range(options)) for index in range(holes)})


def target_score(architecture: Architecture) -> float:
    """How many holes are at the value 2 of their options; best where all are. Nothing else helps."""
    return sum(value == 2 for value in architecture.values()) / len(architecture)


def simulate(
    searcher: ArchitectureSearcher,
    score: Callable[[Architecture], float],
    trials: int,
    *,
    workers: int = 1,
    rule: StoppingRule | None = None,
    objective: Objective = OBJECTIVE,
    seed: int = 0,
    warm_start: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The events of a whole search; fewer proposals than ``trials`` if the searcher says that the space is exhausted.

    A score that raises is a failed trial. Which of the workers reports next is drawn from ``seed``.
    """
    history, events, rng = History(), [], random.Random(seed)

    def tell(event: str, **fields: Any) -> None:
        events.append({"seq": len(events), "event": event, "time": float(len(events)), **fields})
        history.apply(events[-1])

    begun: dict[str, Any] = {"objective": {"metric": objective.metric, "mode": objective.mode}}
    if warm_start:
        begun["warm_start"] = {"source": "earlier", "trials": warm_start}
    tell("search_started", **begun)
    exhausted = False
    while True:
        while len(history.running) < workers and history.next_number < trials and not exhausted:
            number = history.next_number
            known = history.for_searchers
            proposal = searcher.default_proposal() if number == 0 else warm.proposed(searcher, known, number)
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


def best(events: list[dict[str, Any]]) -> float:
    """The best value of a simulated search."""
    history = History.from_events(events)
    value = history.value(history.best()[0])
    assert value is not None
    return value
