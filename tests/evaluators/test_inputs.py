"""What goes into a network: several named inputs, and sequences of tokens with padding; trained, built, exported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from raynas.blocks import Pick
from raynas.costs import cost
from raynas.errors import SpaceError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.execution import Execution
from raynas.evaluators.training import Training
from raynas.export.program import write_program
from raynas.export.source import import_program
from raynas.report import diagram
from raynas.space import Chain, Choice, Concat, Graph, Space, Sum, op
from raynas.tasks.data import Data, each
from raynas.tasks.from_dataset import from_dataset
from raynas.tasks.samples import facts, sample_inputs
from raynas.tasks.task import Task
from raynas.testing import SpaceContract, TaskContract


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Houses(Task):
    """A price from a picture and a row of a table: both are needed."""

    name, kind = "houses", "regression"
    input_shape = {"picture": (1, 6, 6), "table": (3,)}
    recipe = {"batch_size": 16}

    def load(self) -> Data:
        picture = (numbers(200, 1, 6, 6) * 40 + 128).clamp(0, 255).to(torch.uint8)
        table = numbers(200, 3, seed=1)
        targets = (picture.float().mean((1, 2, 3)) - 128) / 5 + table[:, 0]
        inputs = {"picture": picture, "table": table}
        held_out = torch.arange(200) % 4 == 0
        train, valid = (each(lambda one, rows=rows: one[rows], inputs) for rows in (~held_out, held_out))
        return Data(train, targets[~held_out], valid, targets[held_out])


class Rows(Dataset[Any]):
    """The same, streamed."""

    def __init__(self, split: Any) -> None:
        self.inputs, self.targets = Houses().data.part(split)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[dict[str, Tensor], Tensor]:
        return {name: one[row] for name, one in self.inputs.items()}, self.targets[row]


def two_towers(task: Task) -> Space:
    picture = Chain(
        pick=op(Pick, "picture"),
        conv=op(nn.Conv2d, out_channels=Choice(4, 8), kernel_size=3),
        flatten=op(nn.Flatten),
        project=op(nn.Linear, out_features=8),
    )
    table = Chain(pick=op(Pick, "table"), project=op(nn.Linear, out_features=8))
    return Space(
        towers=Graph({"out": Concat(("input", picture), ("input", table))}),
        act=Choice(op(nn.ReLU), op(nn.SiLU)),
        head=op(nn.Linear, out_features=task.num_classes),
    )


class AllOfThem(nn.Module):
    """Takes the dictionary itself."""

    def __init__(self, in_shape: dict[str, tuple[int, ...]], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(math.prod(shape), width) for name, shape in in_shape.items()})

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return torch.stack([layer(x[name].flatten(1)) for name, layer in self.layers.items()]).sum(0)


def one_stem(task: Task) -> Space:
    return Space(stem=op(AllOfThem, width=Choice(4, 8)), head=op(nn.Linear, out_features=task.num_classes))


class TestHouses(TaskContract):
    test_its_data_are_the_same_in_another_process = None  # the same with one input takes seconds already

    def task(self) -> Task:
        return Houses()


class TestTwoTowers(SpaceContract):
    tasks = {"houses": Houses()}
    samples = 4

    def space(self, task: Any) -> Space:
        return two_towers(task)


def streamed_houses() -> Task:
    return from_dataset(Rows("train"), Rows("valid"), name="houses", kind="regression", recipe={"batch_size": 16})


@pytest.mark.parametrize("task", [Houses(), streamed_houses()], ids=["memory", "stream"])
def test_two_inputs_are_trained_on(task: Task) -> None:
    space = two_towers(task)
    training = Training(task, lr=0.02, execution=Execution(layout="channels_last"))
    training.preflight(space, space.default())
    assert training.check(space, space.default(), TrialContext(0, 0, 1)) is not None
    first, *_, last = training.start(space, space.default(), TrialContext(0, 0, 8)).measurements()
    assert last.metrics["val_rmse"] < 0.8 * first.metrics["val_rmse"]
    assert facts(task)["input_dtype"] == {"picture": "float32", "table": "float32"}
    assert facts(task)["outputs"] == "values"


def test_two_inputs_have_a_cost_and_a_diagram() -> None:
    task = Houses()
    space = two_towers(task)
    network = space.network(space.default())
    total = cost(network, task.input_shape)
    assert total.params == sum(one.numel() for one in space.build(space.default(), task.input_shape).parameters())
    assert total.flops > 2 * 3 * 8
    assert "picture 1 x 6 x 6, table 3" in diagram.lines(diagram.tree(network, task.input_shape), task.input_shape)[1]


@pytest.mark.parametrize("made", [two_towers, one_stem])
def test_two_inputs_are_exported_and_predicted_with(made: Callable[[Task], Space], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    task = Houses()
    space = made(task)
    model = space.build(space.default(), task.input_shape).eval()
    program = write_program(space.network(space.default()), task.input_shape, "A test.", [], images=False)
    (tmp_path / "model.py").write_text(program.text, encoding="utf-8")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    exported, inputs = import_program(tmp_path / "model.py").load(), sample_inputs(task, 3)
    assert torch.equal(exported(inputs), model(inputs))
    assert (
        'a dictionary with "picture": inputs of shape (N, 1, 6, 6) and "table": inputs of shape (N, 3)' in program.text
    )
    assert "def forward(self, x: dict[str, Tensor]) -> Tensor:" in program.text


def test_without_data_inputs_are_made_up_by_their_names() -> None:
    class Gone(Houses):
        def load(self) -> Data:
            raise FileNotFoundError("houses.npz")

    kinds, ranges = {"picture": "float32", "table": "int64"}, {"picture": [-1.0, 1.0], "table": [0, 9]}
    inputs = sample_inputs(Gone(), 5, kinds, ranges)
    assert {name: (tuple(one.shape), one.dtype) for name, one in inputs.items()} == {
        "picture": ((5, 1, 6, 6), torch.float32),
        "table": ((5, 3), torch.int64),
    }
    assert inputs["table"].max() <= 9


def test_named_inputs_that_are_not_told_apart_are_one_line() -> None:
    task = Houses()
    plain = Space(flatten=op(nn.Flatten), head=op(nn.Linear, out_features=Choice(1, 2)))
    with pytest.raises(SpaceError, match=r"flatten: Flatten.* the inputs picture \(1, 6, 6\), table \(3,\) \(op\(Pick"):
        plain.check(plain.default(), task.input_shape)
    added = Space(sum=Graph({"out": Sum("input", ("input", op(Pick, "table")))}), act=Choice(op(nn.ReLU), op(nn.SiLU)))
    with pytest.raises(SpaceError, match=r"sum\.out: several named inputs arrive where one tensor is needed"):
        added.check(added.default(), task.input_shape)


class Sentiment(Task):
    """Whether a sequence of words, padded with 0, holds word 7 rather than word 8."""

    name, input_shape, num_classes = "sentiment", (9,), 2
    recipe = {"batch_size": 16, "lr": 0.2}

    def load(self) -> Data:
        tokens = torch.randint(1, 7, (240, 9), generator=torch.Generator().manual_seed(0))
        targets = torch.arange(240) % 2
        tokens[torch.arange(240), torch.arange(240) % 4] = 7 + targets
        length = 4 + torch.arange(240) % 6
        tokens[torch.arange(9) >= length[:, None]] = 0
        return Data(tokens[:200], targets[:200], tokens[200:], targets[200:])


class MeanOfWords(nn.Module):
    """The mean of what is no padding: ``(N, length) -> (N, width)``."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=0)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != 0)[..., None]
        return (self.embedding(tokens) * there).sum(1) / there.sum(1).clamp(min=1)


def test_tokens_with_padding_are_searched_and_exported(tmp_path: Path) -> None:
    task = Sentiment()
    space = Space(
        words=op(MeanOfWords, words=9, width=Choice(8, 16)), head=op(nn.Linear, out_features=task.num_classes)
    )
    training = Training(task)
    training.preflight(space, space.default())
    *_, last = training.start(space, space.default(), TrialContext(0, 0, 6)).measurements()
    assert last.metrics["val_accuracy"] > 0.9
    program = write_program(space.network(space.default()), (9,), "A test.", [], images=False, input_dtype="int64")
    assert "int64 inputs of shape (N, 9)" in program.text
    assert sample_inputs(task, 2).dtype == torch.int64
