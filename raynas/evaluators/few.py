"""A few rows of a task's data, for one short step before a search: what all of the data would show, in a moment."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from raynas.tasks.data import Data, DataSource
from raynas.tasks.streams import Streams

#: Validation data of up to so many rows is taken whole; of more, about so many.
VALID_ROWS = 512
#: No fewer than so many: batch norm needs several samples, a metric often more.
LEAST_BATCH, LEAST_VALID = 4, 32
BATCHES = 2
#: About so long may the training take, and as long again the validation.
SECONDS = 1.0


def affordable_rows(seconds: float, batch_size: int) -> tuple[int, int]:
    """Rows of a batch and of a validation that are tried in about two seconds.

    Args:
        seconds: of training on one row; a validation takes at most half of it.
        batch_size: rows of a whole batch, which are enough.
    """
    affordable = SECONDS / max(seconds, 1e-9)
    batch = min(batch_size, max(LEAST_BATCH, int(affordable / BATCHES)))
    return batch, min(VALID_ROWS, max(LEAST_VALID, int(2 * affordable)))


def few_rows(data: Data, batch_size: int, valid_rows: int = VALID_ROWS) -> Data:
    """Two batches to train on, and validation rows of all classes; drawn at random, and always the same.

    Args:
        data: all of it. It may be sorted by class.
        batch_size: rows of a batch.
        valid_rows: about so many validation rows are taken, where there are more.
    """
    generator = torch.Generator().manual_seed(0)
    train = torch.randperm(len(data.train_targets), generator=generator)[: BATCHES * batch_size]
    valid = torch.arange(len(data.valid_targets))
    if len(valid) > valid_rows:
        valid = _of_all_classes(data.valid_targets.cpu(), valid_rows, generator)
    return data.take(train.to(data.train_targets.device), valid.to(data.valid_targets.device))


def in_memory(data: DataSource, batch_size: int, valid_rows: int = VALID_ROWS) -> Data:
    """All of the data where it is in memory; of a stream so many rows as two batches and a short validation have."""
    if isinstance(data, Data):
        return data
    return Data(*data.some("train", BATCHES * batch_size), *data.some("valid", valid_rows))


def shortened(data: DataSource) -> DataSource:
    """A stream whose epochs are as short as the check before a search; data in memory as it is."""
    return replace(data, train_batches=BATCHES) if isinstance(data, Streams) else data


def _of_all_classes(targets: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Numbers of rows, in order: about ``count``, and where targets are class numbers at least two of each class."""
    order = torch.randperm(len(targets), generator=generator)
    if targets.ndim != 1 or targets.is_floating_point():
        return order[:count].sort().values
    shuffled = targets[order]
    by_class = shuffled.argsort(stable=True)
    classes, counts = shuffled[by_class].unique_consecutive(return_counts=True)
    share = max(2, count // len(classes))
    first = counts.cumsum(0) - counts
    place = torch.arange(len(targets)) - first.repeat_interleave(counts)  # of each row within its class
    return order[by_class[place < share]].sort().values
