"""Costs of whole networks: per layer, in chains and graphs, remembered, and of modules that cannot run on meta."""

import pytest
import torch
from torch import Tensor, nn

from raynas.costs import Cost, LayerCost, cost, layer_costs, totals
from raynas.costs.cost import _flops
from raynas.errors import SpaceError
from raynas.space import Choice, Graph, Space, Sum, Zero, op


def residual() -> Space:
    branch = op(nn.Conv2d, out_channels=4, kernel_size=3, padding=1)
    return Space(
        stem=op(nn.Conv2d, out_channels=4, kernel_size=1),
        block=Graph({"sum": Sum(("input", Choice(branch, Zero(), nn.Identity)), "input")}, output="sum"),
        pool=op(nn.AdaptiveAvgPool2d, 1),
        flatten=nn.Flatten,
        head=op(nn.Linear, out_features=10, bias=False),
    )


def test_layers_of_a_graph_against_closed_forms() -> None:
    space = residual()
    found = layer_costs(space.network(space.default()), (3, 8, 8))
    stem, conv, pool, flatten, head = found
    assert stem == LayerCost("stem", "Conv2d", 3 * 4 + 4, 2 * 64 * 12, (3, 8, 8), (4, 8, 8))
    assert (conv.params, conv.flops) == (4 * 4 * 9 + 4, 2 * 64 * 4 * 4 * 9)
    assert (pool.flops, flatten.flops) == (0, 0)
    assert (head.params, head.flops) == (40, 80)
    assert totals(found) == Cost(16 + 148 + 40, 2 * (64 * 12 + 64 * 144 + 40))


def test_what_is_not_built_costs_nothing() -> None:
    space = residual()
    without = [a for a in space.enumerate() if cost(space.network(a), (3, 8, 8)).params == 56]
    assert len(without) == 2


def test_a_layer_is_counted_once() -> None:
    space = residual()
    network = space.network(space.default())
    cost(network, (3, 9, 9))
    misses = _flops.cache_info().misses
    cost(space.network(space.default()), (3, 9, 9))
    assert _flops.cache_info().misses == misses


def test_a_network_that_does_not_fit_is_named() -> None:
    space = Space(flatten=nn.Flatten, head=op(nn.Linear, 5, Choice(3, 4)))
    with pytest.raises(SpaceError, match="head"):
        cost(space.network(space.default()), (3, 8, 8))


class LooksAtValues(nn.Module):
    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.sum().item() >= 0 else x[:, :3]


def test_modules_that_look_at_values_are_counted_and_leave_the_generator_alone() -> None:
    space = Space(odd=LooksAtValues, head=op(nn.Linear, out_features=Choice(2, 4)))
    before = torch.get_rng_state()
    found = layer_costs(space.network(space.default()), (6,))
    assert [layer.flops for layer in found] == [2 * 6 * 3, 2 * 3 * 2]
    assert torch.equal(torch.get_rng_state(), before)


def test_token_sequences_have_a_dtype() -> None:
    space = Space(embed=op(nn.Embedding, 100, Choice(8, 16)), rnn=op(First, hidden=5))
    found = layer_costs(space.network(space.default()), (7,), dtype="int64")
    assert [layer.flops for layer in found] == [0, 2 * 7 * 3 * 5 * (8 + 5)]


class First(nn.Module):
    """A recurrent layer whose output is one tensor."""

    def __init__(self, in_features: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(in_features, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]
