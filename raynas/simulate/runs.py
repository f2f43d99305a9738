"""Simulates a strategy over many seeds, on all cores: ``simulate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from raynas.errors import SpecError
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import FullBudget, StoppingRule
from raynas.simulate.candidates import TableSpace
from raynas.simulate.clock import Clock
from raynas.simulate.faults import Faults
from raynas.simulate.landscape import full_value, make_landscape
from raynas.simulate.processes import for_all
from raynas.simulate.run import Limits, Run
from raynas.simulate.spaces import space_of_table
from raynas.simulate.table import Table
from raynas.simulate.trajectories import Trajectories
from raynas.space import Space

#: Makes a fresh searcher for a run: ``factory(space, seed)``.
SearcherFactory = Callable[[TableSpace, int], Any]
#: Makes a fresh stopping rule: ``factory(max_steps, mode)``.
RuleFactory = Callable[[int, str], StoppingRule]


def simulate(
    searcher: SearcherFactory,
    table: Table,
    *,
    metric: str,
    mode: Literal["min", "max"] = "max",
    space: TableSpace | Space | str | None = None,
    holes: str | None = None,
    seeds: int | Sequence[int] = 20,
    trials: int | None = None,
    seconds: float | None = None,
    workers: int = 1,
    rule: RuleFactory | None = None,
    cost: str | None = None,
    report: Sequence[str | Objective] = (),
    also: Sequence[str] = (),
    faults: Faults | None = None,
    proposal_seconds: float | None = None,
    default_first: bool = False,
    recommend_after: Sequence[int] = (),
    processes: int | None = None,
    strategy: str = "",
) -> Trajectories:
    """Runs a strategy over a table in virtual time, once a seed.

    Args:
        searcher: makes the searcher of a run, as ``lambda space, seed: RandomSearcher(space, seed=seed)``.
        table: measured architectures (``read_table``).
        metric: what is searched for: a column, or arithmetic (``"last(valid_accuracy)"``). A column of curves gives a
            measurement a step; anything else one measurement a trial.
        space: the rows' space or its name; a ``TableSpace`` made once serves many calls.
        holes: see ``space_of_table``.
        seeds: how many (0, 1, …), or which.
        trials, seconds: how many trials a run proposes; how much virtual time it has (what ends later does not count).
        workers: virtual workers.
        rule: makes the stopping rule of a run (default: every trial has its full budget).
        cost: seconds a step, as arithmetic over columns (default: the column ``seconds``; without it 1).
        report: further columns that are followed at the incumbent; as an ``Objective``, with the direction in which
            the column's best is looked for.
        also: further columns that measurements carry as metrics.
        faults: what goes wrong.
        proposal_seconds: what a proposal takes, one after the other; ``-1`` charges what it really takes.
        default_first: trial 0 is the space's default, as in a real search (left out unless asked for: strategies are to
            be compared, not defaults).
        recommend_after: after so many ended trials, ask the searcher which trial it recommends, where it has a method
            ``recommend(history)``: see ``Trajectories.recommended``.
        processes: how many (default: all cores). The result does not depend on it.
        strategy: a name for the result.

    Raises:
        SpecError: a column that is not there, or limits that make no sense.

    Example:
        >>> table = read_table("nasbench201_cifar10.parquet")
        >>> found = simulate(
        ...     lambda space, seed: RandomSearcher(space, seed=seed),
        ...     table, space="nasbench201", metric="test_accuracy", seeds=200, trials=100,
        ... )
        >>> found.after(100).mean()
    """
    if trials is not None and trials < 1:
        raise SpecError(f"{trials} trials simulate nothing; give 1 or more")
    if workers < 1:
        raise SpecError(f"{workers} workers do no work; give 1 or more")
    if seconds is not None and not seconds > 0:
        raise SpecError(f"a budget of {seconds!r} virtual seconds; give more than 0")
    rows = space if isinstance(space, TableSpace) else space_of_table(table, space, holes=holes)
    landscape = make_landscape(table, rows, metric, cost=cost, also=also)
    objective = Objective(metric, mode)
    limits = Limits(trials, seconds, workers, proposal_seconds, default_first, tuple(recommend_after))
    make_rule = rule or (lambda max_steps, mode: FullBudget(max_steps, mode=mode))  # type: ignore[arg-type]

    def one(seed: int) -> Run:
        fresh = make_rule(landscape.max_steps, mode)
        return Clock(searcher(rows, seed), landscape, objective, fresh, limits, faults or Faults(), seed).run()

    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    runs = for_all(one, chosen, processes)
    names = [one.metric if isinstance(one, Objective) else one for one in report]
    modes = {one.metric: one.mode for one in (objective, *report) if isinstance(one, Objective) and one.metric in names}
    reported = {name: full_value(table, name) for name in names}
    return Trajectories.of(runs, objective, landscape, reported, modes=modes, strategy=strategy, workers=workers)
