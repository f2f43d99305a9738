"""A limit on a metric or a cost: read, kept to, written."""

import math

import pytest

from raynas.errors import SpecError
from raynas.objectives import Constraint


@pytest.mark.parametrize(
    ("text", "metric", "bound", "value", "written"),
    [
        ("params<=500k", "params", "<=", 500_000, "params<=500k"),
        ("params<=500K", "params", "<=", 500_000, "params<=500k"),
        ("  flops <= 1.1M ", "flops", "<=", 1_100_000, "flops<=1.1M"),
        ("val_accuracy>=0.9", "val_accuracy", ">=", 0.9, "val_accuracy>=0.9"),
        ("params<=1234567", "params", "<=", 1_234_567, "params<=1234567"),
        ("bytes<=2G", "bytes", "<=", 2e9, "bytes<=2G"),
        ("params<=500_000", "params", "<=", 500_000, "params<=500k"),
        ("latency_ms<=1e-3", "latency_ms", "<=", 0.001, "latency_ms<=0.001"),
        ("score>=-3", "score", ">=", -3, "score>=-3"),
        ("params<=0", "params", "<=", 0, "params<=0"),
    ],
)
def test_a_constraint_is_read_and_written(text: str, metric: str, bound: str, value: float, written: str) -> None:
    found = Constraint.parse(text)
    assert (found.metric, found.bound, found.value) == (metric, bound, value)
    assert str(found) == written
    assert Constraint.parse(written) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("params", r"'params' is no constraint; .* for example 'params<=500k'"),
        ("", "is no constraint"),
        ("<=3", "is no constraint"),
        ("params<=", "is no constraint"),
        (3, "3 is no constraint"),
        ("params<500k", r"sign '<' is not known; the signs are <= and >=, for example 'params<=500k'"),
        ("params=>500k", r"for example 'params>=500k'"),
        ("params<=many", "'many' is no number"),
        ("params<=20m", "'20m' is no number; write 500000, 500k"),
        ("params<=k", "'k' is no number"),
        ("params<=nan", "limits nothing"),
        ("params<=inf", "limits nothing"),
        ("params<=1e999", "limits nothing"),
        ("params<=1e99999999", "is no number"),
    ],
)
def test_what_is_no_constraint_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as error:
        Constraint.parse(text)
    assert "\n" not in str(error.value)


def test_a_violation_is_a_share_of_the_limit() -> None:
    most, least, zero = (Constraint.parse(text) for text in ("params<=100", "accuracy>=0.8", "score>=0"))
    assert most.holds(100)
    assert not most.holds(101)
    assert (most.violation(100), most.violation(150)) == (0.0, 0.5)
    assert (least.violation(0.9), least.violation(0.4)) == (0.0, 0.5)
    assert zero.violation(-3) == 3
    assert not most.holds(math.nan)
    assert most.violation(math.nan) == math.inf
