"""Data that is streamed: a Dataset or DataLoader of one's own, its order, its breaks, and what is wrong with it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from raynas.errors import TaskError
from raynas.tasks.from_dataset import from_dataset
from raynas.tasks.streams import Streams
from raynas.tasks.task import Task
from raynas.testing import TaskContract

ROWS = 40


class Squares(Dataset[Any]):
    """Samples that are computed when they are asked for, with noise of each kind that a person draws."""

    def __init__(self, rows: int = ROWS, noise: float = 0.01) -> None:
        self.rows, self.noise = rows, noise

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> tuple[Tensor, float]:
        drawn = random.random() + numpy.random.rand() + torch.rand(()).item()
        return torch.tensor([row, row**2, self.noise * drawn]), row / 2


class Shares(IterableDataset[Any]):
    """Each worker has its share of the rows."""

    def __init__(self, rows: int = ROWS, length: int | None = ROWS) -> None:
        self.rows, self.length = rows, length

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("it does not know")
        return self.length

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return iter([(torch.tensor([float(row)]), float(row)) for row in range(first, self.rows, step)])


def batches(streams: Streams, split: Any = "train", size: int = 8, **where: Any) -> list[tuple[Tensor, Tensor]]:
    return list(streams.batches(split, size, **where))


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)
    )


class TestADataset(TaskContract):
    def task(self) -> Task:
        return from_dataset(Squares(), Squares(12), name="squares", kind="regression")


class TestADataLoader(TaskContract):
    def task(self) -> Task:
        train = DataLoader(Squares(), batch_size=8, shuffle=True)
        return from_dataset(train, DataLoader(Squares(12), batch_size=8), name="loaded", kind="regression")


class TestAnIterableDataset(TaskContract):
    test_its_data_are_the_same_in_another_process = None  # as of the two above

    def task(self) -> Task:
        return from_dataset(Shares(), Shares(12), name="shares", kind="regression", workers=2)


# --- order and breaks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_of_a_dataset_is_all_of_it_in_an_order_that_its_seed_decides(workers: int) -> None:
    streams = Streams(Squares(), Squares(), workers)
    first = batches(streams, seed=1)
    assert sorted(torch.cat([targets for _, targets in first]).tolist()) == [row / 2 for row in range(ROWS)]
    assert same(first, batches(streams, seed=1))
    assert same(first, batches(Streams(Squares(), Squares(), 0), seed=1))  # also with other workers
    assert same(first[3:], batches(streams, seed=1, start=3))
    assert not same(first, batches(streams, seed=2))
    assert not same(first, batches(streams, seed=1, epoch=1))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_shuffles_has_the_same_order_again(workers: int) -> None:
    loader = DataLoader(Squares(), batch_size=8, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    streams = Streams(loader, loader)
    first = batches(streams, seed=1)
    assert same(first, batches(streams, seed=1))
    assert same(first[2:], batches(streams, seed=1, start=2))
    assert not same(first, batches(streams, seed=1, epoch=1))


def test_two_passes_over_a_loader_do_not_disturb_each_other() -> None:
    own = torch.Generator()
    loader = DataLoader(
        Squares(noise=0), batch_size=8, shuffle=True, generator=own, num_workers=1, persistent_workers=True
    )
    streams = Streams(loader, loader)
    whole, one = batches(streams, seed=1), streams.batches("train", 8, seed=1)
    begun = list(islice(one, 2))
    list(streams.drawn("train", 16, 8, "statistics"))
    assert same(whole, [*begun, *one])


def test_reading_leaves_the_generators_of_the_process_as_they_were() -> None:
    before = random.getstate(), torch.get_rng_state(), numpy.random.get_state()[1].tolist()
    loader = DataLoader(Squares(), batch_size=8, shuffle=True)
    for streams in (Streams(Squares(), Squares()), Streams(loader, loader)):
        batches(streams, seed=1)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert numpy.random.get_state()[1].tolist() == before[2]


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
def test_an_iterable_dataset_is_read_by_shares(workers: int) -> None:
    streams = Streams(Shares(), Shares(), workers)
    rows = torch.cat([targets for _, targets in batches(streams, "valid")]).tolist()
    assert sorted(rows) == list(range(ROWS))
    train = batches(streams, size=4)
    assert {len(targets) for _, targets in train} == {4}
    assert len(train) == streams.epoch_batches(4) == (10 if workers == 0 else 9)  # each drops what makes no batch
    assert streams.sizes(4) == (4 * len(train), ROWS)


def test_an_endless_stream_has_epochs_of_a_length_that_is_given() -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Iterator[tuple[Tensor, float]]:
            while True:
                yield torch.zeros(2), 1.0

    streams = Streams(Endless(), Endless(), train_batches=5, valid_batches=2)
    assert (len(batches(streams)), len(batches(streams, "valid"))) == (5, 2)
    assert streams.sizes(8) == (40, 16)
    with pytest.raises(TaskError, match=r"training data does not say how many batches .* train_batches=N"):
        Streams(Endless(), Endless()).epoch_batches(8)


def test_an_epoch_may_be_a_part_of_the_data() -> None:
    streams = Streams(Squares(), Squares(), train_batches=2, valid_batches=1)
    first, second = (torch.cat([targets for _, targets in batches(streams, seed=1, epoch=one)]) for one in (0, 1))
    assert (len(first), len(batches(streams, "valid"))) == (16, 1)
    assert set(first.tolist()) != set(second.tolist())
    assert streams.sizes(8) == (16, 8)


def test_a_look_at_a_dataset_goes_over_all_of_it() -> None:
    _, targets = Streams(Squares(), Squares()).some("train", 4)
    assert len(targets) == 4
    assert Streams(Squares(1_000), Squares()).some("train", 32)[1].max() > 450
    assert targets.dtype == torch.float32  # Python's floats


# --- bad input ------------------------------------------------------------------------------------------------------


class Broken(Squares):
    """Fails at a row, in some way."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def __getitem__(self, row: int) -> Any:
        if row != 21:
            return super().__getitem__(row)
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "raises":
            raise ValueError("row 21 is no picture\nand more")
        return {"ragged": (torch.zeros(5), 1.0), "unpaired": torch.zeros(3)}[self.how]


@pytest.mark.parametrize(
    ("how", "workers", "words"),
    [
        ("dies", 1, r"cannot be read: one of its worker processes died at batch \d \(DataLoader worker"),
        ("raises", 0, "cannot be read at batch [0-9]: ValueError: row 21 is no picture"),
        ("raises", 1, "cannot be read at batch [0-9]: ValueError: row 21 is no picture"),
        ("ragged", 0, "cannot be read at batch [0-9]: RuntimeError: stack expects each tensor to be equal size"),
        ("ragged", 1, "cannot be read at batch [0-9]: .*stack expects each tensor to be equal size"),
    ],
)
def test_what_fails_while_it_is_read_is_one_line(how: str, workers: int, words: str) -> None:
    streams = Streams(Broken(how), Squares(), workers).named("mine")
    with pytest.raises(TaskError, match=f"^task 'mine': the training data {words}") as caught:
        batches(streams)
    assert "\n" not in str(caught.value)


class Once(IterableDataset[Any]):
    """Can be read once."""

    def __init__(self) -> None:
        self.rows = iter(Shares())

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[Any]:
        return self.rows


class Triples(Squares):
    def __getitem__(self, row: int) -> Any:
        return (*super().__getitem__(row), row)


class Words(Squares):
    def __getitem__(self, row: int) -> Any:
        return "a word", row


def test_data_that_ends_early_or_holds_something_else_is_one_line() -> None:
    once = Streams(Once(), Squares()).named("mine")
    assert len(batches(once)) == 5
    with pytest.raises(TaskError, match="training data ended after 0 of 5 batches in epoch 2; it must be possible"):
        batches(once, epoch=1)
    for streams, split, words in (
        (Streams(Shares(20), Squares()), "train", "ended after 2 of 5 batches in epoch 1"),
        (Streams(Squares(), Shares(0)), "valid", "validation data gave no batch"),
        (Streams(Squares(), Squares(0)), "valid", "validation data is empty"),
        (Streams(Triples(), Squares()), "train", r"gave a list of 3 as batch 1; a sample is a pair"),
        (Streams(Words(), Squares()), "train", "gave inputs of batch 1 as a tuple; they are a tensor"),
    ):
        with pytest.raises(TaskError, match=words):
            batches(streams, split)
    with pytest.raises(TaskError, match="the validation data is a int; give a torch.utils.data.Dataset"):
        Streams(Squares(), 3)
    with pytest.raises(TaskError, match="too small for one batch of 64"):
        Streams(Shares(), Shares()).epoch_batches(64)
    with pytest.raises(TaskError, match="workers is -1; it must be a whole number, 0 or more"):
        Streams(Squares(), Squares(), workers=-1)


def test_a_task_from_data_sets_says_what_it_lacks() -> None:
    rows = TensorDataset(torch.zeros(8, 2), torch.zeros(8).long())
    with pytest.raises(TaskError, match="task 'a' is a classification: how many classes are there"):
        from_dataset(rows, rows, name="a")
    with pytest.raises(TaskError, match="from_dataset takes no 'epochs'; did you mean 'most_epochs'"):
        from_dataset(rows, rows, name="a", num_classes=2, epochs=3)
    with pytest.raises(TaskError, match="task 'a': kind 'boxes' is not known"):
        from_dataset(rows, rows, name="a", kind="boxes")
