"""The simulator against the engine's own session: the same trials, measurements and decisions, event by event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raynas.engine.session import Session
from raynas.journal import History, Writer, read
from raynas.objectives.objective import Objective
from raynas.schedulers.hyperband import HyperbandRungs
from raynas.schedulers.promotion import PromotionRungs
from raynas.schedulers.rungs import FullBudget, Rungs
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.random import RandomSearcher
from raynas.simulate import Faults, Table, TableSpace, space_of_table
from raynas.simulate.clock import Clock
from raynas.simulate.landscape import make_landscape
from raynas.simulate.run import Limits
from raynas.storage.search_folder import SearchFolder
from tests.simulate.tables import curves

TRIALS = 22


def random_search(space: TableSpace) -> RandomSearcher:
    return RandomSearcher(space, seed=5)


def evolution(space: TableSpace) -> EvolutionSearcher:
    return EvolutionSearcher(space, seed=5, population=6, sample=3, crossover=0.5)


def real_session(tmp_path: Path, table: Table, space: TableSpace, searcher: Any, rule: Any) -> History:
    """One worker: a trial is taken up, its steps are looked up until it stops or pauses, the next one is taken up."""
    folder = SearchFolder(tmp_path, "twin")
    folder.create()
    with_writer = Writer(folder.journal)
    session = Session(
        folder, number=0, space=space, searcher=searcher, rule=rule, objective=Objective("value"), strategy="s",
        history=History(Objective("value")), writer=with_writer, trials=TRIALS,
        keep_best=1, cost=lambda architecture: {},
    )  # fmt: skip
    while (trial := session.next_trial()) is not None:
        session.started(trial.number)
        row = space.row(trial.architecture)
        assert row is not None
        for step, value in list(enumerate(table.columns["value"][row], 1))[trial.steps :]:
            if session.measured(trial.number, step, {"value": value}, table.columns["seconds"][row]) != "continue":
                break
    with_writer.close()
    return History.from_events(read(folder.journal), Objective("value"))


@pytest.mark.parametrize("factory", [random_search, evolution])
@pytest.mark.parametrize("rule", [Rungs, FullBudget, PromotionRungs, HyperbandRungs])
def test_a_simulated_search_is_a_real_one(tmp_path: Path, factory: Callable[[TableSpace], Any], rule: Any) -> None:
    table = curves()
    space = space_of_table(table, holes="3x3")
    real = real_session(tmp_path, table, space, factory(space), rule(9))
    landscape = make_landscape(table, space, "value")
    limits = Limits(trials=TRIALS, default_first=True)
    clock = Clock(factory(space), landscape, Objective("value"), rule(9), limits, Faults(), seed=0)
    clock.run()
    simulated = clock.history
    assert simulated.ended == real.ended
    assert simulated.scored == real.scored
    assert (simulated.judged, simulated.reached) == (real.judged, real.reached)
    assert not simulated.running
    assert simulated.seen == real.seen
    assert simulated.counts == real.counts
    for number, record in real.trials.items():
        twin = simulated.trials[number]
        assert twin.architecture == record.architecture
        assert (twin.trial_id, twin.network_id, twin.state, twin.reason) == (
            record.trial_id, record.network_id, record.state, record.reason,
        )  # fmt: skip
        assert twin.origin == record.origin
        facts = [(m.step, dict(m.metrics), m.seconds, m.rung, m.decision, m.stop_reason) for m in record.measurements]
        assert [
            (m.step, dict(m.metrics), m.seconds, m.rung, m.decision, m.stop_reason) for m in twin.measurements
        ] == facts
