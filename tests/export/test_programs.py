"""The exported file: outputs equal bit for bit, parameters named as in the search, source that reads well."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from exporting import assert_clean, package, write
from torch import nn

from raynas.blocks import ClassifierHead, ConvNormAct
from raynas.export.errors import ExportError
from raynas.export.program import write_program
from raynas.space import Architecture, Chain, Choice, Concat, Graph, Repeat, Space, Sum, Zero, op
from raynas.spec import references as sources
from raynas.tasks.digits import Digits

SHAPE = (1, 8, 8)


@pytest.mark.parametrize("name", ["resnet", "mlp", "nasbench201", "nasbench_macro"])
def test_shipped_spaces(name: str, tmp_path: Path) -> None:
    space = sources.make_space(sources.source_of("raynas.spaces", name), Digits())
    rng = random.Random(1)
    for number, architecture in enumerate([space.default(), space.sample(rng), space.sample(rng)]):
        write(tmp_path / str(number), space, architecture, SHAPE)
    assert_clean(tmp_path)


def cells() -> Space:
    """Concatenation, names made of digits, absent edges, several edges from one source, a graph in a graph."""
    inner = Graph({"0": Sum("input", ("input", nn.Tanh)), "1": Concat("0", ("input", op(nn.PReLU, 1)))}, output="1")
    graph = Graph(
        {
            "nn": Sum(("input", op(nn.Conv2d, out_channels=8, kernel_size=1)), ("input", Zero())),
            "torch": Sum("nn", ("nn", inner_conv())),
            "out": Concat("nn", "torch", ("torch", inner)),
        }
    )
    listed = Chain([("0", op(nn.BatchNorm2d)), ("1", op(nn.ReLU))])
    odd = Chain([("0", op(nn.ReLU)), ("a", op(nn.Identity))])
    return Space(
        graph=graph,
        again=Repeat(Graph({"out": Sum("input", ("input", listed))}), 2),
        odd=odd,
        act=Choice(op(nn.ReLU), op(nn.SiLU)),
        head=op(ClassifierHead, num_classes=10),
    )


def inner_conv() -> Chain:
    return Chain(conv=op(nn.Conv2d, out_channels=8, kernel_size=3, padding=1), norm=op(nn.BatchNorm2d))


def test_graphs_of_every_kind(tmp_path: Path) -> None:
    space = cells()
    text = write(tmp_path, space, space.default(), SHAPE)
    assert_clean(tmp_path)
    assert text.count("class Again") == 1  # two equal graphs share a class
    assert "torch.cat([" in text


def test_a_graph_that_nothing_reaches_yields_zeros(tmp_path: Path) -> None:
    space = Space(dead=Graph({"out": Sum(("input", Zero()))}), head=op(ClassifierHead, num_classes=Choice(2, 3)))
    assert "torch.zeros_like(input)" in write(tmp_path, space, space.default(), SHAPE)
    assert_clean(tmp_path)


def test_only_what_is_used_is_there(tmp_path: Path) -> None:
    space = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=Choice(2, 3)))
    text = write(tmp_path, space, space.default(), SHAPE)
    assert "ConvNormAct" not in text
    assert "OrderedDict" not in text
    assert "raynas" not in text.replace("RayNAS", "")


def test_inputs_that_are_no_images(tmp_path: Path) -> None:
    space = Space(head=op(nn.Linear, out_features=Choice(2, 3)))
    text = write(tmp_path, space, space.default(), (7,))
    assert_clean(tmp_path)
    assert "PIL" not in text


OWN = {
    "parts": '''
"""Parts of a person's own."""
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

SCALES = {}


def register(cls):
    SCALES[cls.__name__] = 0.5
    return cls


# How strong a branch is.
SCALES["Plain"] = 2.0
SCALES.update(Other=3.0)


class ConvNormAct(nn.Module):
    """Named like one of raynas's."""

    def __init__(self, in_channels, width):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1)

    def forward(self, x: "Tensor") -> "Tensor":
        return F.relu(self.conv(x)) * SCALES["Plain"]


def unused():
    return never_there
''',
    "blocks": '''
import math

import torch as t
from raynas.blocks import activation as make
from torch.nn import *

from . import parts
from .parts import ConvNormAct as Conv, register as note


class Base(Module):
    def forward(self, x):
        return self.act(self.body(x)) + math.pi


@note
class Block(Base):
    def __init__(self, in_channels, width, act="relu"):
        super().__init__()
        make_it = make
        self.body = Sequential(Conv(in_channels, width), parts.ConvNormAct(width, width), BatchNorm2d(width))
        self.act = make_it(act)
        self.scale = t.tensor(parts.SCALES["Block"])


class Network(Module):
    """Named like the exported class."""

    def forward(self, x):
        return x.tanh()
''',
}


def test_names_in_f_strings_of_several_lines(tmp_path: Path) -> None:
    block = '''
from torch import nn

NAMES = ("a", "b")

class Block(nn.Module):
    def forward(self, x):
        return x + len(f"""
            {NAMES} and {len(NAMES)}""" f"{NAMES[0]}") + len(
            "a" f"{NAMES}"
        )
'''
    package(tmp_path, "own_strings", blocks=block)
    module = __import__("own_strings.blocks", fromlist=["Block"])
    space = Space(block=op(module.Block), flatten=op(nn.Flatten), head=op(nn.Linear, out_features=Choice(2, 3)))
    assert block.split("class Block")[1] in write(tmp_path / "out", space, space.default(), SHAPE)


def test_a_persons_own_modules(tmp_path: Path) -> None:
    package(tmp_path / "lib", "own_parts_1", **OWN)
    import own_parts_1.blocks as own

    space = Space(
        stem=op(ConvNormAct, out_channels=8),
        block=op(own.Block, width=Choice(8, 16), act="silu"),
        tanh=op(own.Network),
        head=op(ClassifierHead, num_classes=10),
    )
    text = write(tmp_path / "out", space, space.default(), SHAPE)
    assert "own_parts_1" not in text.replace("# From own_parts_1", "")
    assert "never_there" not in text
    assert "# How strong a branch is." in text
    assert "class Conv(nn.Module)" in text  # its own name is taken, so it gets the one that it is called by
    assert "@register" in text  # by its own name, not by that of the module that uses it
    assert "from torch.nn import BatchNorm2d, Module, Sequential" in text
    assert "class Network_2" in text


REFUSED = {
    "inner": (
        "import_inside",
        "def f():\n    from .parts import ConvNormAct\n    return ConvNormAct",
        "head of the file",
    ),
    "value": ("module_as_value", "from . import parts\n\ndef f():\n    return vars(parts)", "single names"),
    "hidden": ("made_elsewhere", "globals()['f'] = lambda: 1", "not found in the file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_copied(case: str, tmp_path: Path) -> None:
    name, code, words = REFUSED[case]
    block = f"""
from torch import nn
{code}

class Block(nn.Module):
    def forward(self, x):
        return x if x is None else x + 0 * len(str(f))
"""
    package(tmp_path, f"own_{name}", parts=OWN["parts"], blocks=block)
    module = __import__(f"own_{name}.blocks", fromlist=["Block"])
    space = Space(block=op(module.Block), head=op(nn.Linear, out_features=Choice(2, 3)))
    with pytest.raises(ExportError, match=words):
        write_program(space.network(space.default()), SHAPE, "", [], images=True)


def test_a_class_typed_into_a_notebook() -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec("from torch import nn\nclass Typed(nn.Module):\n    def forward(self, x): return x", namespace)
    space = Space(block=op(namespace["Typed"]), head=op(nn.Linear, out_features=Choice(2, 3)))  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="Typed"):
        write_program(space.network(space.default()), SHAPE, "", [], images=True)


def test_other_packages_are_imported_and_named(tmp_path: Path) -> None:
    block = """
import numpy as np
from torch import nn

class Block(nn.Module):
    def forward(self, x):
        return x * float(np.float32(2))
"""
    package(tmp_path, "own_numpy", blocks=block)
    module = __import__("own_numpy.blocks", fromlist=["Block"])
    space = Space(block=op(module.Block), head=op(nn.Linear, out_features=Choice(2, 3)))
    program = write_program(space.network(space.default()), SHAPE, "A test.", [], images=True)
    assert dict(program.needs) == {"numpy": "own_numpy.blocks"}
    assert "torch, safetensors and Pillow and numpy" in program.text


def test_the_source_is_the_architectures(tmp_path: Path) -> None:
    space = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=Choice(2, 3)))
    text = write(tmp_path, space, space.replay(Architecture({"head.out_features": 3})), SHAPE)
    assert "self.head = nn.Linear(in_features=64, out_features=3)" in text
