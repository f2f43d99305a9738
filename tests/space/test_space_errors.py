"""Every mistake in a template or an architecture: one line that names the place, the value and the way out."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from space_templates import HIDDEN, Lin, Project, Scale, Shift
from torch import Tensor, nn

from raynas.errors import SpaceError
from raynas.space import Architecture, Chain, Choice, Concat, Float, Graph, Int, Repeat, Space, Sum, Zero, op
from raynas.space.network.shapes import layers, time_limit


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0)


class Picky(nn.Module):
    """Looks at values, which the meta device does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) == 0 else x + 1


class Starred(nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()


def local_class() -> type:
    class Inner(nn.Module):
        pass

    return Inner


def two(**named: Any) -> Graph:
    return Graph(named)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "lambda": (lambda: op(lambda x: x), "op(.*<lambda>): it is a function; give an nn.Module class"),
    "lambda as a part": (lambda: Space(a=lambda x: x), "<lambda>' is a function; lambdas and functions have no source"),
    "lambda as an argument": (
        lambda: op(Lin, act=lambda x: x),
        "op(Lin), argument 'act': .*<lambda>' is a function; .* give a name",
    ),
    "local class": (lambda: op(local_class()), "Inner): the class is defined inside a function, .* top level"),
    "local class as a part": (lambda: Space(a=local_class()), "defined inside a function"),
    "no module class": (lambda: op(int), "op(int): the class is not an nn.Module"),
    "built module": (lambda: Space(a=nn.ReLU()), "ReLU(…) is a built module; write op(ReLU, …)"),
    "value as a part": (lambda: Space(a=3), "Chain, part 'a': 3 is not a part; give an op"),
    "hole of values as a part": (lambda: Space(a=Choice(3, 5)), "Choice(3, 5) chooses between values"),
    "number as a part": (lambda: Space(a=Int(1, 2)), "Int(1, 2) is a value; a part is an op"),
    "op as an argument": (lambda: op(Lin, op(Scale)), "argument 'hidden': op(Scale) is an operation"),
    "class as an argument": (lambda: op(Lin, nn.ReLU), "argument 'hidden': .* is an operation; arguments are literals"),
    "choice of ops as an argument": (lambda: op(Lin, Choice(op(Scale))), "cannot choose between operations"),
    "odd argument": (lambda: op(Lin, {"a": 1}), "argument 'hidden': {'a': 1} is not a literal; give None, a bool"),
    "nan": (lambda: op(Shift, by=math.nan), "nan is not a literal"),
    "too many": (lambda: op(Shift, 1, 2, 3, 4), "4 positional arguments are too many; it takes (by, twice, pair)"),
    "unknown argument": (lambda: op(Lin, hiden=3), "there is no argument 'hiden'; did you mean 'hidden'?"),
    "doubled argument": (lambda: op(Lin, 3, hidden=3), "argument 'hidden' is given twice"),
    "missing by place": (lambda: op(nn.Conv2d, 8, kernel_size=3), "(the first positional argument is 'in_channels')"),
    "missing argument": (lambda: op(nn.Conv2d, kernel_size=3), "argument 'out_channels' is missing; give a value"),
    "star arguments": (lambda: op(Starred), r"Starred takes \*sizes: .*int.*, which has no name"),
    "no options": (lambda: Choice(), "nothing to choose from"),
    "mixed options": (lambda: Choice(op(Lin), None), "None is a value, but other options are operations"),
    "equal options": (lambda: Choice(1, 2, 1), "the option 1 stands there twice"),
    "equal labels": (lambda: Choice(Chain(a=op(Lin)), Chain(a=op(Scale))), "several options would be called 'chain'"),
    "bad label": (lambda: Choice({"a.b": op(Lin)}), "option label 'a.b' cannot stand in a path"),
    "unknown default": (lambda: Choice(1, 2, default=1.0), "the default 1.0 is not an option; give one of 1, 2"),
    "bounds": (lambda: Int(3, 1), "Int(3, 1): the lower bound lies above the upper"),
    "bounds not whole": (lambda: Int(1, 2.5), "bounds must be ints; for other numbers use Float"),  # type: ignore
    "log of zero": (lambda: Float(0, 1, log=True), "a logarithmic hole needs a lower bound above 0"),
    "default outside": (lambda: Int(1, 4, default=7), "the default 7 is outside; give an int from 1 to 4"),
    "bool for an int": (lambda: Int(0, 4, default=True), "the default True is outside"),
    "repeat bounds": (lambda: Repeat(op(Lin), 3, 2), "give two whole numbers with 0 <= low <= high"),
    "first copy": (lambda: Repeat(op(Lin), 1, 2, stride=2), "Lin takes no argument 'stride' for the first copy"),
    "first copy of a chain": (lambda: Repeat(Chain(a=op(Lin)), 1, hidden=2), "only an op or a choice of ops"),
    "no parts": (lambda: Space(), "Space(): there are no parts"),
    "doubled part": (lambda: Chain([("a", op(Lin)), ("a", op(Lin))]), "the name 'a' is taken twice"),
    "part name": (lambda: Chain([("a b", op(Lin))]), "part name 'a b' cannot stand in a path"),
    "keyword": (lambda: Chain([("class", op(Lin))]), "part name 'class' cannot stand in a path"),
    "edge from nowhere": (
        lambda: two(a=Sum("b"), b=Sum("input")),
        "node 'a': an edge comes from 'b', which is not an earlier node; there are: input",
    ),
    "choice of nowhere": (lambda: two(a=Sum(Choice("input", "x"))), "an edge comes from 'x'"),
    "no merge": (lambda: two(a=op(Lin)), "node 'a': op(Lin) is not a merge; write Sum(…) or Concat(…)"),
    "no edges": (lambda: Sum(), "Sum(): a node needs at least one edge"),
    "odd edge": (lambda: Sum(("input", op(Lin), 3)), "is not (source, part)"),
    "odd source": (lambda: Sum(3), "3 is not a source"),
    "no nodes": (lambda: Graph({}), "give at least one node"),
    "output": (lambda: Graph({"a": Sum("input")}, output="b"), "the output 'b' is not a node; there are: a"),
    "input's name": (lambda: two(input=Sum("input")), "a node cannot be called 'input'"),
    "batch": (lambda: Concat("input", dim=0), "dim=0 cannot be joined"),
    "zero in a chain": (lambda: Space(a=Chain(b=Choice(op(Lin), Zero()))), "a.b.zero: Zero() stands outside a graph"),
    "one name, two holes": (
        lambda: Space(a=op(Lin, HIDDEN), b=op(Lin, Int(1, 4, name="hidden"))),
        "two different holes are called 'hidden' (at 'b.hidden'): Int(1, 3, name='hidden') and Int(1, 4,",
    ),
    "a name like a path": (
        lambda: Space(a=op(Lin, hidden=Int(1, 3)), b=op(Lin, hidden=Int(1, 3, name="a.hidden"))),
        "two different holes are called 'a.hidden'",
    ),
    "recipe": (lambda: Space(a=op(Lin), recipe={"optimizer": op(Lin)}), "recipe.optimizer: op(Lin) is an operation"),
}


def pattern(words: str) -> str:
    """The words as a pattern in which only ``.*`` (and what is already escaped) is special."""
    return ".*".join(re.escape(piece.replace("\\", "")) for piece in words.split(".*"))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_templates(mistake: str) -> None:
    make, words = MISTAKES[mistake]
    with pytest.raises(SpaceError, match=pattern(words)) as caught:
        make()
    assert "\n" not in str(caught.value)


SPACE = Space(
    stem=op(Lin, hidden=Choice(2, 3)),
    body=Repeat(op(Shift, by=Float(0.0, 1.0)), 0, 2),
    kind=Choice({"lin": op(Lin, hidden=Int(1, 3)), "shift": op(Shift)}),
)
RIGHT = {"stem.hidden": 2, "body.depth": 1, "body.0.by": 0.5, "kind": "shift"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stem.hidden": 4}, "stem.hidden = 4 is outside the space; give one of 2, 3"),
        ({"stem.hidden": 2.0}, "stem.hidden = 2.0 is outside the space"),
        ({"body.depth": True}, "body.depth = True is outside the space; give an int from 0 to 2"),
        ({"body.0.by": 1}, "body.0.by = 1 is outside the space; give a float from 0.0 to 1.0"),
        ({"kind": "linear"}, "kind = 'linear' is outside the space; give one of 'lin', 'shift'"),
        ({"kind": None}, "kind = None is outside the space"),
        ({"body.depth": 2}, "no value for 'body.1.by'"),
        ({"body.depth": 0}, "'body.0.by' is not reached by the other values; drop it"),
        ({"kind.lin.hidden": 2}, "'kind.lin.hidden' is not reached by the other values; drop it"),
        ({"stem.hiden": 2}, "'stem.hiden' is no such hole in the space; did you mean 'stem.hidden'?"),
    ],
)
def test_mistakes_in_architectures(change: dict[str, Any], words: str) -> None:
    assert SPACE.replay(RIGHT) == Architecture(RIGHT)
    with pytest.raises(SpaceError, match=re.escape(words)):
        SPACE.replay({**RIGHT, **change})


def test_a_missing_path_is_named() -> None:
    values = {path: value for path, value in RIGHT.items() if path != "stem.hidden"}
    with pytest.raises(SpaceError, match=re.escape("no value for 'stem.hidden'; give one of 2, 3")):
        SPACE.replay(values)


def test_an_infinite_space_is_not_enumerated() -> None:
    assert SPACE.size() == math.inf
    with pytest.raises(SpaceError, match="cannot be enumerated: 'body.0.by' is Float"):
        next(SPACE.enumerate())


def test_nothing_to_mutate() -> None:
    import random

    with pytest.raises(SpaceError, match="cannot be mutated"):
        Space(a=op(Lin)).mutate(Architecture(), random.Random(0))


@pytest.mark.parametrize(
    ("parts", "shape", "words"),
    [
        (
            {
                "a": op(nn.Conv2d, out_channels=8, kernel_size=3),
                "c": Repeat(op(nn.Conv2d, out_channels=8, kernel_size=5), 2),
            },
            (3, 8, 8),
            "c.1: Conv2d(out_channels=8, kernel_size=5, in_channels=8) .* input of shape (8, 2, 2): .*Kernel",
        ),
        ({"a": op(nn.Conv2d, 3, 8, 1, groups=2)}, (3, 8, 8), "a: Conv2d(.*groups=2) .* must be divisible by groups"),
        ({"a": op(nn.Conv2d, 4, 8, 1)}, (3, 8, 8), "a: Conv2d(in_channels=4.*) .*shape (3, 8, 8)"),
        ({"a": Pair}, (4,), "a: Pair() yields a tuple for an input of shape (4,); an operation yields one tensor"),
        ({"a": Mean}, (4,), "a: Mean() turns an input of shape (2, 4) into (4,); the first dimension is the batch"),
        (
            {"g": two(n=Sum("input", ("input", op(Project, 3))))},
            (4,),
            "g.n: cannot add edges of unequal shapes (0: (4,), 1: (3,))",
        ),
        (
            {"g": two(n=Concat("input", ("input", nn.Flatten)))},
            (4, 2),
            "g.n: cannot join edges along dimension 1 (0: (4, 2), 1: (8,))",
        ),
        ({"forward": op(Lin)}, (4,), "forward: a part cannot be called 'forward'"),
        ({"g": two(n=Sum(("input", Chain(train=op(Lin)))))}, (4,), "g.n.input.train: a part cannot be called 'train'"),
    ],
)
def test_impossible_combinations(parts: dict[str, Any], shape: tuple[int, ...], words: str) -> None:
    space = Space(**parts)
    for _ in range(2):  # the second answer comes from memory
        with pytest.raises(SpaceError, match=pattern(words)) as caught:
            space.build(Architecture(), shape)
    assert "\n" not in str(caught.value)


def test_a_module_that_looks_at_values_still_has_a_shape() -> None:
    state = torch.random.get_rng_state()
    assert Space(a=Picky, b=op(Lin)).check(Architecture(), (4,)) == (4,)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_shapes_of_sequences_and_tokens() -> None:
    space = Space(
        embed=op(nn.Embedding, 10, 6),
        norm=op(nn.LayerNorm, 6),
        mix=op(nn.TransformerEncoderLayer, nhead=2),
        out=op(Lin),
    )
    found = layers(space.network(Architecture()), (5,), "int64")
    assert [layer.out_shape for layer in found] == [(5, 6)] * 4
    assert found[0].in_dtype is torch.int64
    assert found[2].arguments["d_model"] == 6
    assert found[3].params == (6 * 3 + 3) + (3 * 6 + 6)
    assert space.build(Architecture(), (5,), torch.int64)(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 6)
    with pytest.raises(SpaceError, match="LSTM.* yields a tuple"):
        Space(a=op(nn.LSTM, hidden_size=3)).check(Architecture(), (5, 6))


def test_values_of_equal_worth_are_different() -> None:
    values = [0, 0.0, False, "0", None, (0,), (0.0,)]
    assert len({Architecture({"a": value}) for value in values}) == len(values)
    assert len({op(Shift, by=value) for value in (0, 0.0, False)}) == 3
    space = Space(a=op(Shift, by=Choice(*values)))
    assert space.size() == len(values) == len({space.network_id(a) for a in space.enumerate()})
    assert Architecture({"a": 1}) != {"a": 1}
    with pytest.raises(AttributeError, match="does not change"):
        Architecture({}).x = 1  # type: ignore[attr-defined]
    with pytest.raises(SpaceError, match="is not a literal"):
        Architecture({"a": object()})


def test_labels_tell_operations_apart() -> None:
    convs = Choice(
        op(nn.Conv2d, out_channels=8, kernel_size=3), op(nn.Conv2d, out_channels=8, kernel_size=(5, 1)), nn.ReLU
    )
    assert convs.options == ("conv2d_kernel_size3", "conv2d_kernel_size5x1", "relu")
    assert Choice(op(Lin), nn.SiLU, default=nn.SiLU).default == "si_lu".replace("_", "")


def test_differences_are_readable() -> None:
    old = Space(a=op(Lin, hidden=Choice(2, 3)), b=Repeat(op(Lin), 1, 2), recipe={"lr": 0.1})
    new = Space(a=op(Lin, hidden=Choice(2, 3, 4)), b=Repeat(op(Lin, act="tanh"), 1, 3), c=nn.ReLU, recipe={"lr": 0.1})
    assert old.fingerprint != new.fingerprint
    assert new.differences(old.description()) == [
        "space: was a chain of a, b, is a chain of a, b, c",
        "a.hidden: was Choice(2, 3, default=2), is Choice(2, 3, 4, default=2)",
        "b: was repeated, depth Int(1, 2, default=1), is repeated, depth Int(1, 3, default=1)",
        "b.*.act: is new, 'tanh'",
        "c: is new, torch.nn.modules.activation.ReLU",
    ]


def test_huge_spaces_are_counted_exactly() -> None:
    block = op(Lin, hidden=Int(1, 10), act=Choice("relu", "tanh", name="act"))
    space = Space(a=Repeat(block, 0, 30), b=Repeat(block, 1, 30))
    # Depth 0 and up; the shared activation counts once, and is always reached.
    assert space.size() == 2 * sum(10**depth for depth in range(31)) * sum(10**depth for depth in range(1, 31))
    shared = Space(
        a=Repeat(op(Lin, hidden=Int(1, 10)), 1, 20, name="d"), b=Repeat(op(Lin, hidden=Int(1, 10)), 1, 20, name="d")
    )
    assert shared.size() == sum(100**depth for depth in range(1, 21))
    inner = Space(a=Repeat(op(Lin, hidden=Int(1, 3, name="d")), 1, 3, name="d"))
    assert inner.size() == 3 == len(list(inner.enumerate()))


MAIN = """
import cloudpickle, sys
from torch import nn
from raynas.space import Choice, Space, op

class Mine(nn.Module):
    def __init__(self, width=1, in_features=0):
        super().__init__()
        self.linear = nn.Linear(in_features, width)
    def forward(self, x):
        return self.linear(x)

space = Space(a=op(Mine, width=Choice(1, 2)))
space.size(), space.network_id(space.default())
sys.stdout.buffer.write(cloudpickle.dumps((space, space.network_id(space.default()))))
"""


def test_a_space_with_classes_from_main_travels(tmp_path: Path) -> None:
    import pickle

    script = tmp_path / "mine.py"
    script.write_text(MAIN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    space, network_id = pickle.loads(done.stdout)
    assert "_size" not in space.__dict__
    assert space.network_id(space.default()) == network_id
    assert space.build(space.default(), (4,))(torch.ones(2, 4)).shape == (2, 1)


def test_the_language_does_not_import_torch() -> None:
    code = (
        "import sys, raynas.space as s; s.Space.__init__; s.Choice(1, 2); s.Repeat; "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Padded(nn.Module):
    """Takes token numbers, of which 0 is padding; a sequence of nothing else has no length."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell = nn.Embedding(9, 4), nn.GRU(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.words(x), lengths, batch_first=True, enforce_sorted=False)
        return self.cell(packed)[1][-1]


def test_tokens_are_tried_as_tokens() -> None:
    space = Space(words=op(Padded), head=op(nn.Linear, out_features=Choice(2, 3)))
    assert space.check(space.default(), (6,), "int64") == (2,)


built = threading.Event()


class Slow(nn.Module):
    """Is never built."""

    def __init__(self, width: int) -> None:
        super().__init__()
        built.wait()


def test_an_operation_that_is_not_built_in_time_is_refused() -> None:
    space = Space(slow=op(Slow, width=Choice(1, 2)))
    try:
        with (
            time_limit(0.01),
            pytest.raises(SpaceError, match=r"slow: Slow\(width=1\) was not built .*--trial-timeout"),
        ):
            space.check(space.default(), (6,))
    finally:
        built.set()
