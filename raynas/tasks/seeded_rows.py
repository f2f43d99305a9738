"""Rows of a map-style ``Dataset``, read a batch at a time with seeded generators: the same in any number of workers."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raynas.tasks.draws import seed_of

#: The seed of what is drawn while a batch is read, and its rows.
Group = tuple[int, Sequence[int]]


@dataclass(frozen=True)
class RowGroups:
    """The rows of each batch from a place on, each with a seed."""

    rows: Tensor
    batch_size: int
    seed: tuple[object, ...]
    start: int

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size) - self.start

    def __iter__(self) -> Iterator[Group]:
        for number in range(self.start, self.start + len(self)):
            rows = self.rows[number * self.batch_size : (number + 1) * self.batch_size]
            yield seed_of(*self.seed, number), rows.tolist()


class SeededRows:
    """A map-style data set that reads a batch at a time, after seeding what its ``__getitem__`` may draw from."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, group: Group) -> list[Any]:
        seed, rows = group
        with seeded(seed):
            together = getattr(self.dataset, "__getitems__", None)
            return list(together(rows) if together else map(self.dataset.__getitem__, rows))


@contextmanager
def seeded(seed: int) -> Iterator[int]:
    """Seeds the generators that every process has, and puts them back as they were."""
    numpy: Any = sys.modules.get("numpy")
    before = random.getstate(), torch.default_generator.get_state(), numpy and numpy.random.get_state()
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if numpy:
        numpy.random.seed(seed % 2**32)
    try:
        yield seed
    finally:
        random.setstate(before[0])
        torch.default_generator.set_state(before[1])
        if numpy:
            numpy.random.set_state(before[2])
