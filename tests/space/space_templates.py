"""Tiny modules, random templates over them, and the spaces whose ids are kept in golden_ids.json."""

from __future__ import annotations

import random
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from raynas.space import Chain, Choice, Concat, Float, Graph, Int, Repeat, Space, Sum, Zero, op

WIDTH = 4  # every part of a random template takes and yields vectors of this size


class Lin(nn.Module):
    """(N, in) → (N, in), through a hidden layer of a width of its own."""

    def __init__(self, hidden: int = 3, act: str = "relu", in_features: int = 0) -> None:
        super().__init__()
        self.into = nn.Linear(in_features, hidden)
        self.out = nn.Linear(hidden, in_features)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.out(getattr(torch, self.act)(self.into(x)))


class Scale(nn.Module):
    """(N, *shape) → the same, times a parameter."""

    def __init__(self, by: float = 1.0, in_shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(in_shape, float(by)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Shift(nn.Module):
    """(N, *shape) → the same plus a constant; no parameters."""

    def __init__(self, by: float = 1.0, twice: bool = False, pair: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.by = by * (2 if twice else 1) + sum(pair)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class Project(nn.Module):
    """(N, in) → (N, out)."""

    def __init__(self, out: int, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


ACT = Choice("relu", "tanh", name="act")
HIDDEN = Int(1, 3, name="hidden")
KIND = Choice(
    {"lin": op(Lin, hidden=Choice(2, 3), act=ACT), "nothing": op(nn.Identity)}, name="kind", default="nothing"
)


def int_values() -> st.SearchStrategy[Any]:
    return st.sampled_from(
        [2, 3, Choice(1, 2), Choice(1, 2, 3, default=2), Int(1, 2), HIDDEN, Choice({"n": Int(1, 2)})]
    )


def ops() -> st.SearchStrategy[Any]:
    lin = st.builds(lambda hidden, act: op(Lin, hidden, act), int_values(), st.sampled_from(["relu", ACT]))
    shift = st.builds(
        lambda by, pair: op(Shift, by=by, pair=pair),
        st.sampled_from([1.0, Choice(0, 0.0, True, False), Choice(1, True)]),
        st.sampled_from([(0, 1), (Choice(0, 1), 2), Choice((0, 1), (1, 1))]),
    )
    return lin | shift | st.sampled_from([op(Scale), nn.Identity, nn.ReLU, KIND])


def names(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from("abcdef"), min_size=count, max_size=count, unique=True)


def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Chains, choices, repeats and graphs over smaller parts."""

    @st.composite
    def chain(draw: Any) -> Chain:
        return Chain([(name, draw(inner)) for name in draw(names(draw(st.integers(1, 2))))])

    @st.composite
    def choice(draw: Any) -> Choice:
        return Choice({label: draw(inner) for label in draw(names(2))}, default=None)

    @st.composite
    def repeat(draw: Any) -> Repeat:
        low, more, name = draw(st.sampled_from([(0, 1, None), (1, 1, None), (1, 0, None), (0, 1, "depth")]))
        return Repeat(draw(inner), low, low + more, name=name)

    @st.composite
    def graph(draw: Any) -> Any:
        nodes: dict[str, Any] = {}
        for name in draw(names(draw(st.integers(1, 3)))):
            known = ["input", *nodes]
            edges = []
            for _ in range(draw(st.integers(1, 2))):
                source = draw(st.sampled_from([*known, Choice(*known)]))
                part = draw(st.none() | inner | st.just(Choice({"none": Zero(), "skip": nn.Identity, "lin": op(Lin)})))
                edges.append((source, part))
            nodes[name] = Sum(*edges)
        if draw(st.booleans()):
            nodes["joined"] = Concat(*nodes)
            return Chain(cell=Graph(nodes), project=op(Project, WIDTH))
        return Graph(nodes)

    return chain() | choice() | repeat() | graph()


@st.composite
def spaces(draw: Any, infinite: bool = True) -> Space:
    part = st.recursive(ops(), extend, max_leaves=4)
    parts = {name: draw(part) for name in draw(names(draw(st.integers(1, 2))))}
    recipes: list[Any] = [None, {"epochs": 3}, {"batch": Choice(8, 16), "act": ACT}]
    if infinite:
        recipes.append({"lr": Float(1e-3, 1.0, log=True), "steps": Int(1, 100)})
    return Space(recipe=draw(st.sampled_from(recipes)), **parts)


# -- a cell as in NAS-Bench-201 (Dong and Yang, 2020): four nodes, six edges, five operations -------------------------


def cell_space() -> Space:
    def edge() -> Choice:
        return Choice(
            {
                "none": Zero(),
                "skip_connect": nn.Identity,
                "nor_conv_1x1": op(Project, WIDTH),
                "nor_conv_3x3": op(Lin),
                "avg_pool_3x3": op(nn.Tanh),  # any operation without parameters that is not linear
            }
        )

    return Space(
        cell=Graph(
            {
                "n1": Sum(("input", edge())),
                "n2": Sum(("input", edge()), ("n1", edge())),
                "n3": Sum(("input", edge()), ("n1", edge()), ("n2", edge())),
            }
        )
    )


def golden_spaces() -> dict[str, Space]:
    return {
        "cell": cell_space(),
        "chain": Space(
            body=Repeat(op(Lin, hidden=Choice(2, 3, default=3), act=ACT), 1, 4),
            shift=op(Shift, by=Choice(0, 0.0, False, True)),
            head=op(Project, out=Int(2, 9)),
            recipe={"lr": Float(1e-3, 1.0, log=True), "act": ACT},
        ),
        "nested": Space(
            a=Choice({"x": Chain(p=KIND, q=Repeat(KIND, 0, 2, name="depth")), "y": op(nn.Identity)}),
            b=Graph({"m": Sum("input", (Choice("input"), KIND)), "n": Concat("m", "input")}),
            c=op(Project, 4),
        ),
    }


def golden() -> dict[str, Any]:
    """What must stay the same for ever: fingerprints, and ids of the default and of five samples of each space."""
    found: dict[str, Any] = {}
    for name, space in golden_spaces().items():
        rng = random.Random(0)
        architectures = [space.default(), *(space.sample(rng) for _ in range(5))]
        found[name] = {
            "fingerprint": space.fingerprint,
            "architectures": [
                {"values": a.to_json(), "network_id": space.network_id(a), "trial_id": space.trial_id(a)}
                for a in architectures
            ],
        }
    return found
