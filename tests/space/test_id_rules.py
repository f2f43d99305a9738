"""What ids join and what they keep apart, by today's rule and by the rule of searches that were begun before."""

from __future__ import annotations

import random
from typing import Any

import cloudpickle
import numpy
import pytest
import torch
from torch import Tensor, nn

from raynas.costs import cost
from raynas.errors import SpaceError
from raynas.space import Architecture, Choice, Graph, Op, Space, Sum, op
from raynas.space.identity.canonical import RULE
from raynas.space.identity.repeatable import is_repeatable


class Mixer(nn.Module):
    """(N, in_features) → the same, through a layer as wide as the input, or of a width that is given."""

    def __init__(self, in_features: int, embed_dim: int = 64) -> None:
        super().__init__()
        self.into = nn.Linear(in_features, embed_dim)
        self.out = nn.Linear(embed_dim, in_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.into(x)))


class NoBias(nn.Linear):
    """A layer whose own default is not that of the class that it hands its arguments to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("bias", False)
        super().__init__(*args, **kwargs)


class Masked(nn.Module):
    """(N, *) → the same; sets some values to 0, at random by one of several generators."""

    def __init__(self, by: str = "torch", rate: float = 0.5) -> None:
        super().__init__()
        self.by, self.rate = by, rate
        self.own = random.Random(0)
        self.start = random.random() if by == "at construction" else 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.by == "torch":
            return nn.functional.dropout(x, self.rate, self.training)
        if self.by == "own":
            return x * (self.own.random() > self.rate)
        if self.by == "python":
            return x * (random.random() > self.rate)
        if self.by == "numpy":
            return x * float(numpy.random.rand() > self.rate)
        return x + self.start


class Halved(nn.Module):
    """(N, C, H, W) → the same, times a number: nothing random."""

    def __init__(self, by: float = 0.5) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        _, _, _, _ = x.shape
        return x * self.by


def conv(kernel_size: Any, **arguments: Any) -> Op:
    return op(nn.Conv2d, out_channels=4, kernel_size=kernel_size, **arguments)


def upwards(kernel_size: Any, **arguments: Any) -> Op:
    return op(nn.ConvTranspose2d, out_channels=4, kernel_size=kernel_size, **arguments)


def ids(*parts: Any, rule: int = RULE) -> list[str]:
    """The ids of networks of one part each."""
    space = Space(part=Choice({f"o{index}": part for index, part in enumerate(parts)})).with_id_rule(rule)
    return [space.network_id(architecture) for architecture in space.enumerate()]


def once_and_twice(part: Any) -> tuple[Graph, Graph]:
    """A value that is added to itself, and two values that are added."""
    once = Graph({"a": Sum(("input", part)), "out": Sum("a", "a")})
    return once, Graph({"out": Sum(("input", part), ("input", part))})


def test_an_argument_that_a_shape_fills_is_not_its_default() -> None:
    space = Space(a=Choice({"same": op(Mixer), "fixed": op(Mixer, embed_dim=64)}))
    same, fixed = space.enumerate()
    assert cost(space.network(same), (8,)) != cost(space.network(fixed), (8,))
    assert space.network_id(same) != space.network_id(fixed)
    before = space.with_id_rule(1)
    assert before.network_id(same) == before.network_id(fixed)


def test_a_default_that_another_constructor_has_is_not_assumed() -> None:
    bias, nothing = ids(op(NoBias, out_features=3, bias=True), op(NoBias, out_features=3))
    assert bias != nothing
    known, shorter = ids(op(nn.LSTM, hidden_size=3, num_layers=1), op(nn.LSTM, hidden_size=3))
    assert known == shorter, "torch's own hand on what they are given"


@pytest.mark.parametrize("part", [op(nn.FractionalMaxPool2d, 2, output_size=4), nn.RReLU, op(nn.Dropout, 0.3)])
def test_torchs_random_modules_are_kept_apart(part: Any) -> None:
    once, twice = ids(*once_and_twice(part))
    assert once != twice


@pytest.mark.parametrize("by", ["torch", "own", "python", "numpy", "at construction"])
def test_a_persons_random_module_is_found_and_leaves_the_generators_alone(by: str) -> None:
    before = random.getstate(), torch.get_rng_state(), numpy.random.get_state()[1].tolist()
    once, twice = ids(*once_and_twice(op(Masked, by=by)))
    assert once != twice
    assert before[0] == random.getstate()
    assert torch.equal(before[1], torch.get_rng_state())
    assert before[2] == numpy.random.get_state()[1].tolist()


def test_a_persons_module_that_is_not_random_is_one_value_on_one_input() -> None:
    once, twice = ids(*once_and_twice(Halved))
    assert once == twice


@pytest.mark.filterwarnings("ignore")
def test_torchs_modules_that_are_known_as_repeatable_repeat() -> None:
    """All of torch's modules that can be made with a few numbers, on images."""
    x = torch.linspace(-2, 2, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    tried = 0
    for name in dir(nn):
        cls = getattr(nn, name)
        for given in ({}, {"kernel_size": 2}, {"kernel_size": 2, "output_size": 2}, {"output_size": 2}, {"padding": 1}):
            try:
                made = op(cls, **given)
                if not is_repeatable(made, RULE):
                    break
                outputs = [cls(**made.kwargs)(x.clone()) for _ in range(4)]
            except Exception:
                continue
            tried += 1
            assert all(torch.equal(output, outputs[0]) for output in outputs), name
            break
    assert tried > 30


EQUAL = [
    (conv(3), conv((3, 3)), conv(3, stride=(1, 1), padding=(0, 0), dilation=1)),
    (upwards(2, stride=2), upwards((2, 2), stride=(2, 2), output_padding=(0, 0))),
    (op(nn.MaxPool2d, 2), op(nn.MaxPool2d, (2, 2)), op(nn.MaxPool2d, 2, stride=2), op(nn.MaxPool2d, 2, (2, 2))),
    (op(nn.AdaptiveAvgPool2d, 2), op(nn.AdaptiveAvgPool2d, (2, 2))),
    (nn.Identity, op(nn.Dropout, 0.0), op(nn.Dropout2d, p=0), op(nn.AlphaDropout, 0.0)),
]


@pytest.mark.parametrize("parts", EQUAL, ids=lambda parts: str(parts[-1]))
def test_one_network_in_several_spellings(parts: tuple[Any, ...]) -> None:
    assert len(set(ids(*parts))) == 1
    x = torch.randn(2, 4, 8, 8)
    modules = [Space(a=part).build(Architecture(), (4, 8, 8)) for part in parts]
    for module in modules:
        module.load_state_dict(modules[0].state_dict())
    assert all(torch.equal(module(x), modules[0](x)) for module in modules)


def test_what_only_looks_equal_is_not_joined() -> None:
    kinds = (conv(3), conv((3, 5)), op(nn.MaxPool2d, 2, 1), op(nn.MaxPool2d, (2, 3), 2))
    kinds += (op(nn.Dropout), op(nn.Dropout, 0.1), op(nn.Dropout, False), op(nn.Identity))
    assert len(set(ids(*kinds))) == len(kinds)


#: From a release whose ids followed rule 1.
GOLDEN_1 = [
    "f43032ae7f2be438",
    "b859fe50f56f6416",
    "a44d9f67bab3c11e",
    "947d96f3698231c8",
    "fee975f0d0f2ebec",
    "fee975f0d0f2ebec",
]


def test_ids_by_the_first_rule_are_those_of_the_releases_that_had_it() -> None:
    parts = (conv((3, 3)), op(nn.MaxPool2d, 2, 2), op(nn.Dropout, 0.0), op(nn.FractionalMaxPool2d, 2, 4))
    parts += once_and_twice(op(nn.FractionalMaxPool2d, 2, 4))
    assert ids(*parts, rule=1) == GOLDEN_1


def test_a_space_keeps_its_rule() -> None:
    space = Space(a=op(nn.Dropout, Choice(0.0, 0.1)))
    before = space.with_id_rule(1)
    assert (space.id_rule, before.id_rule, space.with_id_rule(RULE) is space) == (RULE, 1, True)
    assert before.fingerprint == space.fingerprint
    again = cloudpickle.loads(cloudpickle.dumps(before))
    assert again.network_id(space.default()) == before.network_id(space.default()) != space.network_id(space.default())
    with pytest.raises(SpaceError, match="rule 99 are of another release"):
        space.with_id_rule(99)
