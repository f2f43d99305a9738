"""What trials are compared by, as pure arithmetic: vectors, keys, the best and the front."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping

import pytest

from raynas.errors import SpecError
from raynas.objectives import Constraint, Objective, Objectives
from raynas.objectives.objectives import LOWEST, Standing, Vector, best, front

ACCURACY = Objective("accuracy", "max")
BOTH = Objectives((ACCURACY, Objective("params", "min")))
LIMITED = Objectives((ACCURACY,), (Constraint("params", "<=", 100), Constraint("latency_ms", "<=", 10)))


def at(*values: float, rung: int = 9, violation: float = 0.0) -> Standing:
    return Standing(rung, Vector(values, violation))


def front_by_pairs(standings: Mapping[int, Standing], objectives: Objectives) -> list[int]:
    """The front from its definition: every pair is compared, objective by objective."""
    able = {
        number: standing
        for number, standing in standings.items()
        if standing.vector.violation == 0 and not any(math.isnan(v) or math.isinf(v) for v in standing.vector.values)
    }

    def beaten(a: Standing, b: Standing) -> bool:
        triples = list(zip(a.vector.values, b.vector.values, objectives.objectives, strict=True))
        return any(one.better(y, x) for x, y, one in triples) and not any(one.better(x, y) for x, y, one in triples)

    highest = [number for number, one in able.items() if all(other.rung <= one.rung for other in able.values())]
    return sorted(number for number in highest if not any(beaten(able[number], able[other]) for other in highest))


@pytest.mark.parametrize("modes", [("max",), ("max", "min"), ("min", "max", "min")])
def test_the_front_is_that_of_all_pairs(modes: tuple[str, ...]) -> None:
    objectives = Objectives(tuple(Objective(f"m{place}", mode) for place, mode in enumerate(modes)))  # type: ignore[arg-type]
    rng = random.Random(len(modes))
    sizes = set()
    for _ in range(150):
        standings = {
            number: at(
                *(rng.choice([rng.randrange(4) / 2, rng.random(), math.nan, math.inf]) for _ in modes)
                if rng.random() < 0.2
                else (rng.randrange(5) / 4 for _ in modes),
                rung=rng.choice([3, 9]),
                violation=rng.choice([0.0, 0.0, 0.0, 0.5]),
            )
            for number in rng.sample(range(-3, 60), rng.randrange(1, 25))
        }
        found = front(standings, objectives)
        assert found == front_by_pairs(standings, objectives)
        sizes.add(len(found))
    assert {1, 2, 3} <= sizes


def test_equal_vectors_stand_in_the_front_together_and_the_earlier_is_the_best() -> None:
    standings = {4: at(0.9, 50), 2: at(0.9, 50), 3: at(0.8, 60), 7: at(0.8, 40)}
    assert front(standings, BOTH) == [2, 4, 7]
    assert best(standings, BOTH, 3) == [2, 4, 3]
    assert front({}, BOTH) == best({}, BOTH) == []


def test_one_objective_has_its_best_and_the_equals_of_it_for_a_front() -> None:
    one = Objectives.of(Objective("loss", "min"))
    standings = {0: at(0.5), 1: at(0.2), 2: at(0.2), 3: at(0.1, rung=3), 4: at(math.nan)}
    assert front(standings, one) == [1, 2]
    assert best(standings, one, 9) == [1, 2, 0, 3]


def test_a_vector_that_lacks_a_value_has_no_place_in_the_front() -> None:
    vector = BOTH.vector({"accuracy": 0.9})
    assert vector.values[0] == 0.9
    assert math.isnan(vector.values[1])
    assert BOTH.missing({"accuracy": 0.9}) == ("params",)
    standings = {0: Standing(9, vector), 1: at(0.5, 10), 2: at(math.nan, 1), 3: at(0.4, 20)}
    assert front(standings, BOTH) == [1]
    assert best(standings, BOTH, 9) == [0, 1, 3], "by the first objective, which trial 0 has"


def test_a_cost_may_be_an_objective_but_the_first_is_measured() -> None:
    costs = {"params": 20, "accuracy": 7}
    assert BOTH.values({"accuracy": 0.5}, costs) == (0.5, 20.0)
    assert BOTH.values({"accuracy": 0.5, "params": 30}, costs) == (0.5, 30.0), "what was measured comes before a cost"
    assert BOTH.missing({"accuracy": 0.5}, costs) == ()
    assert BOTH.missing({}, costs) == ("accuracy",)
    assert math.isnan(BOTH.values({}, costs)[0])


def test_a_trial_that_keeps_the_constraints_is_before_every_one_that_does_not() -> None:
    standings = {
        number: Standing(rung, LIMITED.vector({"accuracy": accuracy, "latency_ms": latency}, {"params": params}))
        for number, (rung, accuracy, params, latency) in enumerate(
            [
                (9, 0.99, 101, 10),  # 1 % beyond
                (9, 0.10, 100, 10),
                (9, 0.95, 100, 20),  # 100 % beyond
                (3, 0.20, 50, 1),
                (9, 0.97, 150, 15),  # twice 50 % beyond
                (3, 0.98, 110, 10),  # 10 % beyond
                (9, math.nan, 50, 1),
            ]
        )
    }
    assert [standings[number].vector.violation for number in (0, 1, 2, 4)] == pytest.approx([0.01, 0, 1, 1])
    assert best(standings, LIMITED, 99) == [1, 3, 0, 5, 2, 4]
    assert best({number: standings[number] for number in (4, 5, 2)}, LIMITED) == [5], "where none keeps them"
    assert front(standings, LIMITED) == [1]
    assert front({0: standings[0]}, LIMITED) == []


def test_what_is_not_known_is_not_held_against_a_trial_and_what_is_not_finite_is() -> None:
    assert LIMITED.vector({"accuracy": 0.9}, {"params": 10}).feasible
    assert LIMITED.missing({"accuracy": 0.9}, {"params": 10}) == ("latency_ms",)
    odd = Standing(9, LIMITED.vector({"accuracy": 0.9, "latency_ms": math.nan}, {"params": 10}))
    assert odd.vector.violation == math.inf
    assert LOWEST < LIMITED.key(odd) < LIMITED.key(Standing(1, Vector((0.0,), 1e300))), "yet it has not failed"
    assert LIMITED.key(None) == LIMITED.key(at(math.nan)) == LIMITED.key(at(math.inf)) == LOWEST


def test_keys_sort_as_the_rungs_and_the_first_objective_do() -> None:
    for objective, sign in ((Objective("v", "max"), 1), (Objective("v", "min"), -1)):
        one = Objectives.of(objective)
        assert one.key(at(0.25)) == (9, sign * 0.25)
        for a, b in itertools.permutations((-1.0, 0.0, 0.5, 2.0), 2):
            assert (one.key(at(a)) > one.key(at(b))) == objective.better(a, b)
            assert one.key(at(a)) > one.key(at(b, rung=3))


@pytest.mark.parametrize("objectives", [Objectives.of(ACCURACY), BOTH, LIMITED])
def test_they_come_back_from_the_journal(objectives: Objectives) -> None:
    event = json.loads(json.dumps(objectives.to_event()))
    assert Objectives.of_event(event) == objectives
    assert event["objective"] == {"metric": "accuracy", "mode": "max"}
    assert Objectives.of(objectives) is objectives


def test_the_event_of_one_objective_is_that_of_earlier_releases() -> None:
    assert Objectives.of(ACCURACY).to_event() == {"objective": {"metric": "accuracy", "mode": "max"}}


def test_none_or_the_same_metric_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="no objective to compare trials by"):
        Objectives(())
    with pytest.raises(SpecError, match="'accuracy' is named by two objectives"):
        Objectives((ACCURACY, Objective("accuracy", "min")))
