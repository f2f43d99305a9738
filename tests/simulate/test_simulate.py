"""Searches in virtual time: against sums done by hand, and against a real session of the engine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raynas.errors import SpecError
from raynas.journal.history import History
from raynas.objectives import Objective, Objectives
from raynas.schedulers.hyperband import HyperbandRungs
from raynas.schedulers.promotion import PromotionRungs
from raynas.schedulers.rungs import FullBudget, Rungs
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.random import RandomSearcher
from raynas.simulate import Faults, Table, TableSpace, Trajectories, simulate, space_of_table
from raynas.simulate.clock import Clock
from raynas.simulate.landscape import make_landscape
from raynas.simulate.run import Limits
from tests.simulate.tables import curves, grid

CURVES = space_of_table(curves(), holes="3x3")


def random_search(space: TableSpace, seed: int) -> RandomSearcher:
    return RandomSearcher(space, seed=seed)


def evolution(space: TableSpace, seed: int) -> EvolutionSearcher:
    return EvolutionSearcher(space, seed=seed, population=5, sample=2)


class InOrder:
    """Proposes the rows one after the other, and keeps what it saw of the history each time."""

    def __init__(self, space: TableSpace) -> None:
        self.space = space
        self.seen: list[tuple[list[int], list[int]]] = []

    def propose(self, history: History, number: int) -> Any:
        from raynas.searchers.searcher import Proposal

        self.seen.append((list(history.ended), sorted(history.running)))
        if number >= len(self.space.rows):
            return None
        row = self.space.rows[number]
        return Proposal(row, self.space.trial_id(row), self.space.network_id(row), {})


def in_order(space: TableSpace, seed: int) -> InOrder:
    return InOrder(space)


def same(a: Trajectories, b: Trajectories) -> bool:
    for one, other in zip(a.runs, b.runs, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    return a.seeds == b.seeds


def test_every_row_is_found_once_and_the_space_is_exhausted() -> None:
    found = simulate(random_search, grid(), metric="value", holes="3x3", seeds=3, trials=100, processes=1)
    for run in found.runs:
        assert sorted(run["row"]) == list(range(27))
        assert run["incumbent"].tolist() == np.maximum.accumulate(run["value"]).tolist()
    assert found.after(27).tolist() == [26.0] * 3
    assert found.after(5_000).tolist() == [26.0] * 3
    assert np.all(found.evaluations_to(26.0) <= 27)
    assert np.all(np.isinf(found.evaluations_to(27.0)))


def test_least_is_best_where_the_mode_says_so() -> None:
    found = simulate(random_search, grid(), metric="value", mode="min", holes="3x3", seeds=2, trials=27, processes=1)
    assert found.after(27).tolist() == [0.0, 0.0]
    assert found.optimum["value"] == 0.0


@pytest.mark.parametrize("factory", [random_search, evolution])
def test_the_number_of_processes_does_not_matter(factory: Callable[[TableSpace, int], Any]) -> None:
    def run(processes: int) -> Trajectories:
        faults = Faults(noise=2.0, failures=0.1, stragglers=0.2, node_loss_seconds=30.0, workers_per_node=2)
        table = curves()
        return simulate(
            factory, table, metric="value", holes="3x3", seeds=6, trials=20, workers=4,
            rule=lambda steps, mode: Rungs(steps, mode=mode), faults=faults, processes=processes,
        )  # fmt: skip

    assert same(run(1), run(3))


def test_time_on_several_workers_by_hand() -> None:
    # Rows take 9, 18, 9, 18, … seconds (nine steps). Two workers: rows 0 and 1 begin at 0; row 2 at 9; rows 3 and 4 at
    # 18 (row 1's end was planned before row 2's).
    found = simulate(in_order, curves(), metric="value", holes="3x3", seeds=1, trials=5, workers=2, processes=1)
    run = found.runs[0]
    assert dict(zip(run["number"].tolist(), run["started"].tolist(), strict=True)) == {0: 0, 1: 0, 2: 9, 3: 18, 4: 18}
    assert dict(zip(run["number"].tolist(), run["ended"].tolist(), strict=True)) == {0: 9, 1: 18, 2: 18, 3: 36, 4: 27}
    assert found.at(17.9).tolist() == [0.0]
    assert found.at(27.0).tolist() == [4.0]
    assert found.seconds_to(2.0).tolist() == [18.0]


def test_what_a_searcher_sees_is_what_has_ended_by_then() -> None:
    table, searchers = curves(), []

    def factory(space: TableSpace, seed: int) -> InOrder:
        searchers.append(InOrder(space))
        return searchers[-1]

    simulate(factory, table, metric="value", holes="3x3", seeds=1, trials=4, workers=2, processes=1)
    assert searchers[0].seen == [([], []), ([], [0]), ([0], [1]), ([0, 1], [2])]


def test_what_ends_after_the_budget_does_not_count() -> None:
    found = simulate(in_order, curves(), metric="value", holes="3x3", seeds=1, seconds=27.0, processes=1)
    assert found.runs[0]["ended"].tolist() == [9.0, 27.0]


def test_cost_and_start_up_and_proposals_take_time() -> None:
    def ends(**more: Any) -> list[float]:
        table = grid(2, 2)
        found = simulate(in_order, table, metric="value", holes="2x2", seeds=1, processes=1, **more)
        return found.runs[0]["ended"].tolist()

    assert ends() == [1.0, 2.0, 3.0, 4.0]
    assert ends(cost="10 + value") == [10.0, 21.0, 33.0, 46.0]
    assert ends(faults=Faults(startup_seconds=2.0)) == [3.0, 6.0, 9.0, 12.0]
    assert ends(proposal_seconds=0.5) == [1.5, 3.0, 4.5, 6.0]
    # Four workers, but one driver: proposals come one after the other.
    assert ends(proposal_seconds=0.5, workers=4) == [1.5, 2.0, 2.5, 3.0]


def test_a_rule_decides_as_it_does_in_a_real_search() -> None:
    rule = Rungs(9, grace_period=3, reduction_factor=3)
    found = simulate(
        in_order, curves(), metric="value", holes="3x3", seeds=1, trials=27, processes=1,
        rule=lambda steps, mode: Rungs(steps, mode=mode, grace_period=3, reduction_factor=3),
    )  # fmt: skip
    run = found.runs[0]
    for number, steps in zip(run["number"].tolist(), run["steps"].tolist(), strict=True):
        decisions = [rule.record(number, step, number * step / 9) for step in range(1, steps + 1)]
        assert [decision.action for decision in decisions] == ["continue"] * (steps - 1) + ["stop"]


def test_nan_fails_and_a_short_curve_ends_where_the_table_does() -> None:
    table = Table({"loss": [[3.0, math.nan, 1.0], [2.0, 1.5], [2.5, 2.0, 1.0]]})
    found = simulate(in_order, table, metric="loss", mode="min", seeds=1, trials=3, processes=1)
    states = found.table().column("state").to_pylist()
    assert states == ["failed", "stopped", "completed"]
    assert found.runs[0]["steps"].tolist() == [2, 2, 3]
    assert found.after(3).tolist() == [1.0]
    assert np.isnan(found.after(2)).all()


def test_failures_are_as_frequent_as_asked_and_are_not_bred() -> None:
    table = grid(4, 5)
    faults = Faults(failures=0.3)
    found = simulate(evolution, table, metric="value", holes="4x5", seeds=10, trials=100, faults=faults, processes=1)
    share = np.mean([state == "failed" for state in found.table().column("state").to_pylist()])
    assert 0.24 < share < 0.36


def test_noise_picks_the_lucky_and_the_true_value_is_reported() -> None:
    space = space_of_table(grid(3, 4), holes="3x4")
    runs = [
        simulate(
            random_search,
            grid(3, 4),
            space=space,
            metric="value",
            seeds=20,
            trials=64,
            processes=1,
            faults=Faults(noise=sd),
        )
        for sd in (0.0, 20.0)
    ]
    assert runs[0].after(64).mean() == 63.0
    assert runs[1].after(64).mean() < 62.0
    observed = runs[1].runs[0]["observed"] - runs[1].runs[0]["value"]
    assert 10 < observed.std() < 30


def test_stragglers_take_longer() -> None:
    quick = simulate(in_order, grid(), metric="value", holes="3x3", seeds=1, processes=1)
    faults = Faults(stragglers=1.0, straggler_factor=7.0)
    slow = simulate(in_order, grid(), metric="value", holes="3x3", seeds=1, processes=1, faults=faults)
    assert slow.runs[0]["ended"].tolist() == [7 * end for end in quick.runs[0]["ended"]]


def test_a_lost_node_costs_time_and_no_trial() -> None:
    def run(**faults: Any) -> dict[str, Any]:
        return simulate(
            random_search, curves(), metric="value", holes="3x3", seeds=1, trials=20, workers=4, processes=1,
            faults=Faults(workers_per_node=2, **faults),
        ).runs[0]  # fmt: skip

    calm, stormy = run(), run(node_loss_seconds=20.0, recovery_seconds=5.0, retries=100)
    assert sorted(stormy["number"]) == sorted(calm["number"]) == list(range(20))
    assert stormy["steps"].tolist() == [9] * 20
    assert stormy["ended"].max() > calm["ended"].max()


def test_a_trial_that_was_lost_goes_on_from_its_last_step_as_a_second_attempt() -> None:
    table, space = curves(), space_of_table(curves(), holes="3x3")
    landscape, objective = make_landscape(table, space, "value"), Objective("value")
    faults = Faults(node_loss_seconds=6.0, recovery_seconds=1.0, retries=100)
    clock = Clock(InOrder(space), landscape, objective, Rungs(9, grace_period=9), Limits(trials=6), faults, 0)
    clock.run()
    records = clock.history.trials.values()
    assert max(record.attempts for record in records) > 1
    for record in records:
        assert [measured.step for measured in record.measurements] == list(range(1, 10))
        attempts = [measured.attempt for measured in record.measurements]
        assert attempts == sorted(attempts)


def test_reported_columns_are_the_best_trials_own() -> None:
    table = grid()
    values = table.columns["value"]
    more = Table({**table.columns, "size": [100 - value for value in values]})
    report = ["size", Objective("value", "min")]
    found = simulate(random_search, more, metric="value", holes="3x3", seeds=2, trials=27, report=report, processes=1)
    for run in found.runs:
        assert run["incumbent:size"].tolist() == (100 - run["incumbent"]).tolist()
    assert found.optimum == {"value": 26.0}
    less = simulate(
        random_search, more, metric="value", holes="3x3", seeds=2, trials=27, processes=1,
        report=[Objective("size", "min")],
    )  # fmt: skip
    assert less.optimum == {"value": 26.0, "size": 74.0}


def test_an_infinite_figure_is_a_failure_and_no_optimum() -> None:
    table = Table({"value": [0.1, math.inf, 0.4, 0.3]})
    found = simulate(in_order, table, metric="value", seeds=1, trials=4, processes=1)
    assert found.optimum == {"value": 0.4}
    assert found.table().column("state").to_pylist() == ["completed", "failed", "completed", "completed"]
    assert found.after(4).tolist() == [0.4]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "valeu"}, "did you mean 'value'"),
        ({"metric": "value", "trials": 0}, "0 trials"),
        ({"metric": "value", "workers": 0}, "0 workers"),
        ({"metric": "value", "seconds": -1.0}, "virtual seconds"),
        ({"metric": "value", "cost": "1 +"}, "no arithmetic"),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        simulate(random_search, grid(), holes="3x3", seeds=1, processes=1, **settings)


@pytest.mark.parametrize("faults", [{"failures": 2}, {"noise": -1}, {"straggler_factor": 0.5}, {"workers_per_node": 0}])
def test_faults_that_cannot_be(faults: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Faults(**faults)


@pytest.mark.parametrize("evaluations", [5, 20, 60])
def test_random_search_is_as_good_as_the_closed_form_says(evaluations: int) -> None:
    # The best of n different values among N: P(best <= k-th smallest) = C(k, n) / C(N, n).
    table, total = grid(3, 5), 125
    found = simulate(random_search, table, metric="value", holes="3x5", seeds=400, trials=evaluations, processes=1)
    below = [math.comb(k, evaluations) / math.comb(total, evaluations) for k in range(total + 1)]
    expected = sum(k * (below[k + 1] - below[k]) for k in range(total))
    values = found.after(evaluations)
    assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(400)


def test_mann_whitney_and_quantiles() -> None:
    from raynas.simulate import statistics

    runs = {
        n: simulate(random_search, grid(), metric="value", holes="3x3", seeds=40, trials=n, processes=1)
        for n in (3, 20)
    }
    verdict = statistics.compare(runs[3], runs[20])
    assert verdict["p_value"] < 1e-4
    assert verdict["superiority"] < 0.2
    assert verdict["interval"][0] < verdict["difference"] < verdict["interval"][1] < 0
    same = statistics.compare(runs[20], runs[20])
    assert (same["p_value"], same["superiority"], same["difference"]) == (1.0, 0.5, 0.0)
    spread = math.sqrt(sum(runs[count].after(count).var() for count in (3, 20)) / 40)
    width = verdict["interval"][1] - verdict["interval"][0]
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.1)  # as the normal distribution has it
    described = statistics.describe(np.array([1.0, 2.0, 3.0, np.nan]), 3.0)
    assert (described["mean"], described["quantiles"]["0.5"], described["optimum_rate"]) == (2.0, 2.0, 0.25)
    assert described["without_result"] == 1
    soon = statistics.reached(np.array([3.0, 4.0, np.inf]))
    assert (soon["share"], soon["quantiles"]["0.5"], soon["quantiles"]["0.95"]) == (2 / 3, 4.0, np.inf)
    assert statistics.series(150) == [10, 20, 50, 100, 150]
    assert statistics.series(3) == [3]


def test_of_single_runs_the_interval_is_the_difference() -> None:
    from raynas.simulate import statistics

    first, other = (
        simulate(in_order, Table({"value": [value]}), metric="value", seeds=1, trials=1, processes=1)
        for value in (0.75, 0.5)
    )
    verdict = statistics.compare(first, other)
    assert (verdict["difference"], verdict["interval"]) == (0.25, [0.25, 0.25])


def test_a_run_that_finds_nothing_is_worse_than_any_that_finds_something() -> None:
    from raynas.simulate import statistics

    def found(value: float, fails: float) -> Trajectories:
        table, faults = Table({"value": [value]}), Faults(failures=fails)
        return simulate(in_order, table, metric="value", seeds=60, trials=1, faults=faults, processes=1)

    rare, steady = found(0.9, 0.8), found(0.8, 0.0)
    share = np.isfinite(rare.after(1)).mean()
    assert 0 < share < 0.4
    verdict = statistics.compare(rare, steady)
    assert verdict["p_value"] < 1e-4
    assert verdict["superiority"] == share
    assert np.isnan([verdict["difference"], *verdict["interval"]]).all()


class Recommending(InOrder):
    """Recommends the trial before the last ended one."""

    def recommend(self, history: History) -> int:
        return history.ended[-2]


def test_what_a_searcher_recommends_is_reported_with_its_true_value() -> None:
    found = simulate(
        lambda space, seed: Recommending(space), grid(), metric="value", holes="3x3", seeds=2, trials=20, processes=1,
        faults=Faults(noise=9.0), recommend_after=(5, 12),
    )  # fmt: skip
    assert {count: values.tolist() for count, values in found.recommended.items()} == {5: [3.0, 3.0], 12: [10.0, 10.0]}


def test_a_trial_that_is_lost_too_often_has_failed() -> None:
    faults = Faults(node_loss_seconds=0.01, recovery_seconds=1.0)
    found = simulate(in_order, curves(), metric="value", holes="3x3", seeds=1, trials=5, faults=faults, processes=1)
    assert found.table().column("state").to_pylist() == ["failed"] * 5


def test_promotions_are_no_losses() -> None:
    """Every trial may be lost once; those that were promoted more often than that, and lost once, do not fail."""
    table, space = curves(), space_of_table(curves(), holes="3x3")
    rule = PromotionRungs(9, grace_period=1, reduction_factor=2)
    failed, survived = 0, 0
    for seed in range(8):
        faults = Faults(node_loss_seconds=25.0, recovery_seconds=1.0, retries=1)
        clock = Clock(
            random_search(space, seed), make_landscape(table, space, "value"), Objective("value"),
            PromotionRungs(9, grace_period=1, reduction_factor=2), Limits(trials=20, workers=4), faults, seed,
        )  # fmt: skip
        losses = Counter[int]()
        lost = clock.lost

        def count(node: int, _: int, clock: Clock = clock, losses: Counter[int] = losses, lost: Any = lost) -> None:
            workers = clock.workers_of(node)
            losses.update(trial.number for trial in clock.trials.values() if trial.worker in workers)
            lost(node, _)

        clock.lost = count  # type: ignore[method-assign]
        clock.run()
        for number, record in clock.history.trials.items():
            assert (record.reason == "worker_died") == (losses[number] > 1)
            failed += losses[number] > 1
            survived += losses[number] == 1 and record.attempts > 2 and record.steps > rule.levels[1]
    assert failed
    assert survived


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9),
    st.builds(
        Faults,
        noise=st.sampled_from([0.0, 3.0]),
        failures=st.floats(0, 0.5),
        stragglers=st.floats(0, 0.5),
        node_loss_seconds=st.none() | st.floats(3, 100),
        workers_per_node=st.integers(1, 4),
        recovery_seconds=st.floats(0, 30),
        startup_seconds=st.floats(0, 3),
    ),
    st.none() | st.floats(0, 2),
    st.sampled_from([FullBudget, Rungs, PromotionRungs, HyperbandRungs]),
)
def test_whatever_goes_wrong_every_trial_ends_once(
    workers: int, faults: Faults, proposal_seconds: float | None, made: Any
) -> None:
    found = simulate(
        random_search, curves(), space=CURVES, metric="value", seeds=1, trials=20, workers=workers, processes=1,
        faults=faults, proposal_seconds=proposal_seconds,
        rule=lambda steps, mode: made(steps, mode=mode),
    )  # fmt: skip
    run = found.runs[0]
    assert sorted(run["number"]) == list(range(20))
    assert len(set(run["row"])) == 20
    assert np.all(np.diff(run["ended"]) >= 0)
    assert np.all(run["started"] <= run["ended"])
    if not faults.node_loss_seconds and not made.pauses:
        for moment in run["started"]:
            assert np.sum((run["started"] <= moment) & (moment < run["ended"])) <= workers


def test_of_several_objectives_all_are_measured_and_the_rule_goes_by_the_first():
    table = Table({**curves().columns, "size": [float(7 * row % 5) for row in range(27)]})
    landscape = make_landscape(table, CURVES, "value", also=["size"])
    objectives = Objectives((Objective("value"), Objective("size", "min")))
    histories = []
    for objective in (objectives.first, objectives):
        clock = Clock(random_search(CURVES, 5), landscape, objective, Rungs(9), Limits(trials=20), Faults(), seed=0)
        clock.run()
        histories.append(clock.history)
    alone, both = histories
    assert [tuple(entry) for entry in both.reached] == [tuple(entry) for entry in alone.reached]
    completed = [record for record in both.trials.values() if record.state == "completed"]
    front = both.front()
    assert 1 < len(front) < len(completed)
    for record in completed:
        value, size = both.values(record)
        assert (record in front) != any(
            (other[0] >= value and other[1] < size) or (other[0] > value and other[1] <= size)
            for other in map(both.values, completed)
        )
