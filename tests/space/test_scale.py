"""The scale of a number: where values lie on it, and which value is nearest to a point of it."""

import math

import pytest

from raynas.space import Float, Int
from raynas.space.template.holes import Number

HOLES = [Int(1, 4), Int(-7, 9), Int(1, 1000, log=True), Float(-1.0, 3.0), Float(1e-4, 1.0, log=True)]


@pytest.mark.parametrize("hole", HOLES, ids=repr)
def test_a_range_goes_from_0_to_1(hole: Number) -> None:
    assert (hole.position(hole.low), hole.position(hole.high)) == (0.0, 1.0)


def test_the_middle_of_a_logarithmic_range_is_the_geometric_mean() -> None:
    assert Float(1e-4, 1.0, log=True).position(1e-2) == pytest.approx(0.5)
    assert Float(0.0, 4.0).position(1.0) == 0.25


@pytest.mark.parametrize("hole", [Int(-7, 9), Int(1, 1000, log=True)], ids=repr)
def test_every_whole_number_is_the_nearest_to_its_own_point(hole: Int) -> None:
    values = range(hole.low, hole.high + 1)
    assert [hole.value_at(hole.scaled(value)) for value in values] == list(values)


def test_a_whole_number_takes_in_half_a_step_on_either_side() -> None:
    assert Int(1, 4).ends == (0.5, 4.5)
    assert Int(2, 8, log=True).ends == (math.log(1.5), math.log(8.5))
    assert Int(2, 8, log=True).value_at(math.log(8.5)) == 8


@pytest.mark.parametrize("hole", HOLES, ids=repr)
def test_no_value_lies_outside(hole: Number) -> None:
    low, high = hole.ends
    assert (hole.value_at(low - 1.0), hole.value_at(high + 1.0)) == (hole.low, hole.high)
