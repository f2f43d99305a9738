"""The size of random templates against enumeration, and of templates whose shared holes bind everything to everything.

``RAYNAS_TEMPLATES=20000`` looks at so many random templates instead of a few.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from typing import Any

from space_templates import Lin, Scale
from torch import nn

from raynas.report.wording import format_size
from raynas.searchers.auto import AutoSearcher
from raynas.space import Chain, Choice, Graph, Int, Repeat, Space, Sum, Zero, op
from raynas.space.walk.size import Size, size

TEMPLATES = int(os.environ.get("RAYNAS_TEMPLATES", "150"))
LIMIT = 600


class Templates:
    """Random templates in which few names stand in many places, also inside an option of the same name."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def name(self, of: str, often: float = 0.5) -> str | None:
        return f"{of}{self.rng.randrange(2)}" if self.rng.random() < often else None

    def value(self) -> Any:
        kind = self.rng.randrange(4)
        if kind == 0:
            return Choice(2, 3, name=self.name("width"))
        if kind == 1:
            return Int(1, 3, name=self.name("depth"))
        return Choice({"n": Int(1, 2, name=self.name("n")), "five": 5}, name=self.name("of")) if kind == 2 else 3

    def part(self, nested: int) -> Any:
        kind = self.rng.randrange(5) if nested else 0
        if kind == 0:
            return op(Lin, hidden=self.value())
        if kind == 1:
            count = self.rng.randint(2, 3)
            options = {f"o{index}": self.part(nested - 1) for index in range(count)}
            return Choice(options, name=self.name(f"one_of_{count}_"))
        if kind == 2:
            return Chain([(f"c{index}", self.part(nested - 1)) for index in range(2)])
        if kind == 3:
            name = self.name("depth", 0.3)
            low = 1 if name else self.rng.randrange(2)
            return Repeat(self.part(nested - 1), low, 3 if name else 2, name=name)
        edge = Choice({"absent": Zero(), "there": self.part(nested - 1)}, name=self.name("edge"))
        return Graph(
            {
                "a": Sum("input", ("input", edge)),
                "b": Sum((Choice("input", "a", name=self.name("from")), self.part(nested - 1))),
            }
        )

    def space(self) -> Space:
        parts = {f"p{index}": self.part(3) for index in range(self.rng.randint(1, 2))}
        return Space(recipe={"width": self.value()}, **parts)


def test_random_templates_are_counted_as_they_are_enumerated() -> None:
    checked = nested = 0
    for seed in range(TEMPLATES):
        space = Templates(seed).space()
        count, exact = size(space)
        assert exact
        found = len(set(itertools.islice(space.enumerate(), LIMIT)))
        assert found == min(count, LIMIT), f"seed {seed}: {space!r}"
        bound = size(space, steps=0)  # no work at all on what is bound by names
        assert 1 <= bound.fillings <= count, f"seed {seed}: {space!r}"
        assert bound.fillings == count or not bound.exact
        checked += count <= LIMIT
        nested += bound.fillings < count
    assert checked > TEMPLATES / 4
    assert nested > TEMPLATES / 4


def test_a_choice_inside_an_option_of_the_same_name_is_one_decision() -> None:
    inner = Choice({"x": op(Lin), "y": op(Lin, hidden=Choice(4, 5))}, name="c")
    space = Space(a=Choice({"x": Chain(b=inner), "y": op(Scale)}, name="c"))
    assert space.size() == 2 == len(list(space.enumerate()))


def cell(named_widths: bool) -> Graph:
    """A chain of 14 edges, each a choice of operations, shared by name; the width of one may be shared, too."""
    nodes = {}
    for index in range(14):
        width = Choice(2, 3, name=f"width{index}" if named_widths else None)
        options = {"skip": nn.Identity, "lin": op(Lin, hidden=width), "none": Zero()}
        nodes[f"n{index}"] = Sum((f"n{index - 1}" if index else "input", Choice(options, name=f"edge{index}")))
    return Graph(nodes)


def test_cells_shared_by_stages_are_counted_edge_by_edge() -> None:
    """A walk over the cells would remember all edges of the first until the last: 4^14 states."""
    assert Space(**{f"s{i}": cell(named_widths=True) for i in range(8)}).size() == 4**14
    assert Space(**{f"s{i}": cell(named_widths=False) for i in range(8)}).size() == (2 + 2**8) ** 14
    stages = Space(**{f"s{i}": Repeat(cell(named_widths=False), 1, 3) for i in range(3)})
    depths = [sum(chosen) for chosen in itertools.product((1, 2, 3), repeat=3)]
    assert Size(stages.size(), stages.size_exact) == Size(sum((2 + 2**depth) ** 14 for depth in depths), True)


def test_what_is_bound_too_closely_is_bounded() -> None:
    """Each part has one of two pairs of sixty shared widths: a count is as hard as a problem of satisfiability."""
    rng = random.Random(0)

    def pair() -> Chain:
        return Chain([(f"l{i}", op(Lin, hidden=Choice(2, 3, name=f"w{rng.randrange(60)}"))) for i in range(2)])

    space = Space(**{f"p{index}": Choice({"a": pair(), "b": pair()}) for index in range(100)})
    assert not space.size_exact
    assert 2**100 <= space.size() <= 2**160
    searcher = AutoSearcher(space, budget=10**60)
    assert re.fullmatch(r"predictor: .* trials in a space of at least [\de.+]+ architectures; .*", searcher.explain())
    assert format_size(str(space.size()), space.size_exact).startswith("at least ")


def test_a_name_in_long_chains() -> None:
    block = op(Lin, hidden=Choice(2, 3), act=Choice("relu", "tanh", name="act"))
    space = Space(a=Repeat(block, 0, 300), b=Repeat(block, 0, 300))
    assert space.size() == 1 + 2 * (sum(2**depth for depth in range(301)) ** 2 - 1)


def test_decisions_that_hang_on_each_other_in_a_long_row_fit_the_stack() -> None:
    def width(index: int) -> Any:
        return op(Lin, hidden=Choice(2, 3, name=f"width{index}"))

    options = [Choice({"own": width(i), "next": width(i + 1)}, name=f"choice{i}") for i in range(200)]
    space = Space(**{f"p{i}": option for i, option in enumerate(options)})
    assert space.size() >= 2**200
