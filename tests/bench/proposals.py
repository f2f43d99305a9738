"""What a proposal costs late in a search, CPU and wall time: ``make bench-search ARGS=proposals``.

The trials before are made up cheaply: a third random, the others mutants of the best ten so far, as those of a search
are. Then a strategy proposes, and each of its proposals is measured and told, so that its caches are as old as in a
search. NAS-Bench-201's table by look-up; ``resnet`` at 32x32 (34 holes, no table) and deep and wide spaces by the
made-up objective of ``tests.bench.structures``.

Machines differ, and so does one machine from hour to hour. So after every proposal a fixed piece of numpy work is timed
(``numpy_work``: about what a proposal does), and the CPU time is given as a multiple of it, too.
"""

from __future__ import annotations

import random
import statistics
import time
from bisect import insort
from collections.abc import Callable

import numpy as np

from raynas import registry
from raynas.journal import History
from raynas.objectives.objective import Objective
from raynas.searchers.searcher import ArchitectureSearcher, Proposal
from raynas.searchers.threads import one_blas_thread
from raynas.simulate import Table, TableSpace
from raynas.simulate.landscape import full_value
from raynas.space import Architecture, Space
from tests.bench.structures import SPACES, Landscape

Value = Callable[[Architecture], float]


def made_up(name: str) -> tuple[Space, Value]:
    space, rng = SPACES[name](), random.Random("noise")
    landscape = Landscape(space, 0)
    return space, lambda architecture: landscape.observed(architecture, rng)


def tabled(table: Table, space: TableSpace, metric: str) -> tuple[Space, Value]:
    """A table's space and its values."""
    values = full_value(table, metric)
    return space, lambda architecture: float(values[space.row(architecture)])


def filled(searcher: ArchitectureSearcher, value: Value, trials: int) -> History:
    """A history of so many ended trials."""
    space, rng = searcher.space, random.Random("history")
    history = History(Objective("value", "max"))
    best: list[tuple[float, int]] = []
    while history.next_number < trials:
        if len(best) < 10 or rng.random() < 1 / 3:
            architecture = space.sample(rng)
        else:
            architecture = space.mutate(history.trials[rng.choice(best[-10:])[1]].architecture, rng)
        if space.trial_id(architecture) not in history.seen:
            measured = value(architecture)
            insort(best, (measured, history.next_number))
            tell(history, searcher.proposal(architecture, {"kind": "random"}), measured)
    return history


def tell(history: History, proposal: Proposal, measured: float) -> None:
    number = history.next_number
    ids = {"trial_id": proposal.trial_id, "network_id": proposal.network_id, "origin": dict(proposal.origin)}
    history.apply({"event": "trial_proposed", "trial": number, "architecture": proposal.architecture.to_json(), **ids})
    stop = {"rung": 1, "decision": "stop", "stop_reason": "budget"}
    history.apply({"event": "measured", "trial": number, "step": 1, "metrics": {"value": measured}, **stop})


def timed(
    strategy: str, space: Space, value: Value, trials: int, proposals: int
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of CPU and of wall time of proposals, and of CPU of ``numpy_work`` beside each.

    So many proposals after so many trials; five of them first untimed.
    """
    made = registry.find("raynas.strategies", strategy)
    searcher = made(space, seed=0, **made.options(trials + proposals + 5))
    history = filled(searcher, value, trials)
    cpu, wall, yardstick = [], [], []
    for _ in range(proposals + 5):
        begun = time.process_time(), time.perf_counter()
        searcher.update(history)
        proposal = searcher.propose(history, history.next_number)
        cpu.append(1_000 * (time.process_time() - begun[0]))
        wall.append(1_000 * (time.perf_counter() - begun[1]))
        yardstick.append(numpy_work())
        tell(history, proposal, value(proposal.architecture))
    return cpu[5:], wall[5:], yardstick[5:]


@one_blas_thread()
def numpy_work() -> float:
    """CPU milliseconds of ten Cholesky factors and products of a matrix of 300 rows, one thread."""
    begun = time.process_time()
    for _ in range(10):
        np.linalg.cholesky(_MATRIX @ _MATRIX.T)
    return 1_000 * (time.process_time() - begun)


_MATRIX = np.random.default_rng(0).normal(size=(300, 300)) + 30 * np.eye(300)


def show(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ({sorted(times)[int(0.95 * len(times))]:.1f})"
