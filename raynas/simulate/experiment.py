"""Several strategies on several numbers of workers over one table, and what came out as one JSON document."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raynas.errors import SpecError
from raynas.objectives.objective import Objective
from raynas.registry import find
from raynas.simulate import statistics
from raynas.simulate.candidates import TableSpace
from raynas.simulate.faults import Faults
from raynas.simulate.runs import simulate
from raynas.simulate.table import Table
from raynas.simulate.trajectories import Trajectories

#: Called before each simulation: strategy, workers.
Tell = Callable[[str, int], None]


@dataclass(frozen=True)
class Experiment:
    """What is simulated.

    Attributes:
        strategies: names (``raynas.strategies``), or ``path/to/file.py:name``.
        schedulers: names (``raynas.schedulers``); with several, a result is called ``strategy+scheduler``.
        options: strategy to its own settings, beyond what it chooses for the number of trials.
        grace_period, reduction_factor: of the schedulers (default: theirs).

    The others are as in ``raynas.simulate.simulate``.
    """

    strategies: Sequence[str]
    metric: str
    mode: Literal["min", "max"] = "max"
    schedulers: Sequence[str] = ("none",)
    workers: Sequence[int] = (1,)
    trials: int | None = None
    seconds: float | None = None
    seeds: Sequence[int] = tuple(range(20))
    report: Sequence[str | Objective] = ()
    cost: str | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grace_period: int | None = None
    reduction_factor: int | None = None
    faults: Faults = Faults()
    proposal_seconds: float | None = None
    processes: int | None = None

    def run(self, table: Table, space: TableSpace, tell: Tell | None = None) -> list[Trajectories]:
        """Simulates every strategy with every scheduler on every number of workers."""
        if not self.strategies:
            raise SpecError("no strategy is named; give one or more with --strategy")
        if self.trials is None and self.seconds is None:
            raise SpecError("a simulation needs a budget: give trials, virtual seconds, or both")
        found = []
        for workers, strategy, scheduler in itertools.product(self.workers, self.strategies, self.schedulers):
            name = strategy if len(self.schedulers) == 1 else f"{strategy}+{scheduler}"
            if tell is not None:
                tell(name, workers)
            found.append(
                simulate(
                    self._searcher(strategy),
                    table,
                    space=space,
                    metric=self.metric,
                    mode=self.mode,
                    seeds=self.seeds,
                    trials=self.trials,
                    seconds=self.seconds,
                    workers=workers,
                    rule=self._rule(scheduler),
                    cost=self.cost,
                    report=self.report,
                    faults=self.faults,
                    proposal_seconds=self.proposal_seconds,
                    processes=self.processes,
                    strategy=name,
                )
            )
        return found

    def _searcher(self, strategy: str) -> Callable[[TableSpace, int], Any]:
        """As a real search makes it: the strategy's options for the number of trials, then those that were given."""
        made = find("raynas.strategies", strategy)
        options = {**made.options(self.trials), **self.options.get(strategy, {})}
        objective = Objective(self.metric, self.mode)

        def make(space: TableSpace, seed: int) -> Any:
            try:
                return made(space, seed=seed, objective=objective, **options)
            except TypeError as error:
                raise SpecError(f"strategy {strategy!r} does not take these options {options}: {error}") from None

        return make

    def _rule(self, scheduler: str) -> Callable[[int, str], Any]:
        made = find("raynas.schedulers", scheduler)
        return lambda max_steps, mode: made(
            max_steps, mode=mode, grace_period=self.grace_period, reduction_factor=self.reduction_factor
        )


def document(
    experiment: Experiment,
    found: Sequence[Trajectories],
    table: Table,
    space: TableSpace,
    *,
    evaluations: Sequence[int] = (),
    points: Sequence[float] = (),
    within: float = 0.0,
) -> dict[str, Any]:
    """The result as JSON; its keys stand in docs/json.md.

    Args:
        evaluations, points: at which numbers of ended trials and moments of virtual time (default: a few of each).
        within: how near to the table's best counts as there, for how soon it was reached.
    """
    most = max((len(run["number"]) for one in found for run in one.runs), default=1)
    counts = list(evaluations) or statistics.series(experiment.trials or most)
    moments = list(points) or statistics.moments(found)
    best = found[0].optimum[experiment.metric]
    target = best - within * found[0].objective.sign
    by_workers = {str(workers): [one for one in found if one.workers == workers] for workers in experiment.workers}

    def each(what: Callable[[Trajectories], Any]) -> dict[str, dict[str, Any]]:
        return {workers: {one.strategy: what(one) for one in group} for workers, group in by_workers.items()}

    by_evaluations = each(lambda one: statistics.at_evaluations(one, counts))
    return {
        "table": table.source,
        "rows": len(table),
        "networks": len({ids[1] for ids in space.row_ids}),
        "objective": {"metric": experiment.metric, "mode": experiment.mode},
        "optimum": best,
        "seeds": len(experiment.seeds),
        "trials": experiment.trials,
        "budget_seconds": experiment.seconds,
        "strategies": by_evaluations[str(experiment.workers[0])],
        "workers": by_evaluations,
        "seconds": each(lambda one: statistics.at_moments(one, moments)),
        "end": each(statistics.at_end),
        "target": {
            "value": target,
            "evaluations": each(lambda one: statistics.reached(one.evaluations_to(target))),
            "seconds": each(lambda one: statistics.reached(one.seconds_to(target))),
        },
        "proposal_ms": each(lambda one: 1000 * one.propose_seconds / max(1, one.proposals)),
        "comparison": [
            {"workers": a.workers, "a": a.strategy, "b": b.strategy, **statistics.compare(a, b)}
            for group in by_workers.values()
            for a, b in itertools.combinations(group, 2)
        ],
    }
