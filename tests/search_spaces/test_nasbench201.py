"""NAS-Bench-201's cells: the benchmark's notation, its parameters and FLOPs, and how many networks there are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raynas import costs
from raynas.simulate import read_table, space_of_table
from raynas.simulate.spaces import TableTask
from raynas.space import Space
from raynas.testing import SpaceContract
from search_spaces.nasbench201 import EDGES, OPERATIONS, nasbench201, parse, text
from tests.simulate.tables import data

#: Channels of the stages, and the side of their maps, for CIFAR-10.
STAGES = ((16, 32), (32, 16), (64, 8))
CELLS = 5


class TestNASBench201(SpaceContract):
    tasks = {"CIFAR-10": TableTask()}
    samples = 3

    def space(self, task: TableTask) -> Space:
        return nasbench201(task)


@pytest.fixture(scope="module")
def space() -> Space:
    return nasbench201(TableTask())


def convolution(kernel: int) -> tuple[int, int]:
    """Parameters and multiply-adds of one edge's convolution in all 15 cells, batch norm's parameters included."""
    params = sum(CELLS * (kernel**2 * width**2 + 2 * width) for width, _ in STAGES)
    return params, sum(CELLS * kernel**2 * width**2 * side**2 for width, side in STAGES)


COSTS = {"nor_conv_1x1": convolution(1), "nor_conv_3x3": convolution(3)}


def dead_edges(cell: dict[tuple[int, int], str]) -> list[str]:
    """The operations of edges that no input reaches or that reach no output, by looking along all ways."""
    present = [edge for edge, name in cell.items() if name != "none"]

    def ways(start: int, along: tuple[tuple[int, int], ...] = ()) -> list[tuple[tuple[int, int], ...]]:
        if start == 3:
            return [along]
        return [way for edge in present if edge[1] == start for way in ways(edge[0], (*along, edge))]

    used = {edge for way in ways(0) for edge in way}
    return [cell[edge] for edge in present if edge not in used]


def test_notation(space: Space) -> None:
    written = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
    cell = parse(written)
    assert cell["node2.from0"] == "skip_connect"
    assert text(cell) == written
    assert space.replay(cell) == cell
    assert space.size() == 15_625
    rng = random.Random(0)
    for _ in range(50):
        sample = space.sample(rng)
        assert parse(text(sample)) == sample


@pytest.mark.parametrize(
    "wrong", ["", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|", "|n~0|+|n~0|n~1|+|n~0|n~1|n~2|"]
)
def test_what_is_no_cell_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="no cell of NAS-Bench-201"):
        parse(wrong)


def test_parameters_and_flops_are_the_tables(space: Space) -> None:
    table = read_table(data("nasbench201_cifar10.parquet"))
    written, params, flops = (table.columns[name] for name in ("architecture", "params", "flops"))
    whole = 0
    for row in random.Random(2).sample(range(len(table)), 150):
        cell = parse(written[row])
        cost = costs.cost(space.network(cell), (3, 32, 32))
        operations = {(node, source): cell[f"node{node}.from{source}"] for node, source in EDGES}
        dropped = [COSTS[name] for name in dead_edges(operations) if name in COSTS]
        whole += not dropped
        assert cost.params == params[row] - sum(lost for lost, _ in dropped)
        # The table counts multiply-adds, and the classifier's bias as 10 of them.
        assert cost.flops == 2 * (flops[row] - 10 - sum(lost for _, lost in dropped))
    assert whole > 50
    assert set(COSTS) < set(OPERATIONS)


@pytest.mark.slow
def test_there_are_5260_different_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table = read_table(data("nasbench201_cifar10.parquet"))
    space = space_of_table(table, "nasbench201")
    assert space.complete
    assert space.size() == 15_625
    assert len({network for network, _ in space.row_ids}) == 5_260
    again = space_of_table(table, "nasbench201")  # from what was kept
    assert again.row_ids == space.row_ids
