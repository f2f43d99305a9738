"""NAS-Bench-Macro's layers: the benchmark's notation, and its parameters and FLOPs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
import torch

from raynas import costs
from raynas.simulate import read_table
from raynas.simulate.spaces import TableTask
from raynas.space import Space
from raynas.testing import SpaceContract
from search_spaces.nasbench_macro import nasbench_macro, parse, text
from tests.simulate.tables import data


class TestNASBenchMacro(SpaceContract):
    tasks = {"CIFAR-10": TableTask()}
    samples = 3

    def space(self, task: TableTask) -> Space:
        return nasbench_macro(task)


@pytest.fixture(scope="module")
def space() -> Space:
    return nasbench_macro(TableTask())


def test_notation(space: Space) -> None:
    assert space.size() == 6_561
    assert text(parse("02012100")) == "02012100"
    assert parse("02012100")["layer1"] == "mb6_k5"
    assert space.replay(parse("02012100")) == parse("02012100")


@pytest.mark.parametrize("wrong", ["", "0201210", "020121003", "0201210x", "02012103"])
def test_what_is_no_network_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="no network of NAS-Bench-Macro"):
        parse(wrong)


def test_it_builds_and_trains(space: Space) -> None:
    x = torch.randn(2, 3, 32, 32)
    for notation in ("00000000", "02012100", "12121212"):
        out = space.build(parse(notation), (3, 32, 32))(x)
        assert out.shape == (2, 10)
        out.sum().backward()


def test_parameters_and_flops_are_the_tables(space: Space) -> None:
    table = read_table(data("nasbench_macro_cifar10.parquet"))
    for row in random.Random(0).sample(range(len(table)), 200):
        cost = costs.cost(space.network(parse(table.columns["architecture"][row])), (3, 32, 32))
        assert cost.params == table.columns["params"][row]
        assert cost.flops == 2 * table.columns["flops"][row]  # the table counts multiply-adds


def test_identities_within_a_stage_are_contracted(space: Space) -> None:
    # A stage is a first layer (three different ones) and layers whose identities vanish: one such layer in the first
    # stage (three networks), two in the others ("", 1, 2, 11, 12, 21, 22: seven). So 9 x 21 x 21 = 3,969 of the 6,561.
    def essence(notation: str) -> tuple[str, ...]:
        stages = (notation[:2], notation[2:5], notation[5:])
        return tuple(stage[0] + stage[1:].replace("0", "") for stage in stages)

    assert len({essence(f"{number:08d}") for number in _numbers()}) == 3_969
    sample = [f"{number:08d}" for number in random.Random(1).sample(list(_numbers()), 500)]
    by_essence: dict[tuple[str, ...], set[str]] = {}
    for notation in sample:
        by_essence.setdefault(essence(notation), set()).add(space.network_id(parse(notation)))
    assert all(len(ids) == 1 for ids in by_essence.values())
    assert len(set.union(*by_essence.values())) == len(by_essence) < len(sample)


def _numbers() -> Iterator[int]:
    """The notations as decimal numbers."""
    return (int("".join(digits)) for digits in itertools.product("012", repeat=8))
