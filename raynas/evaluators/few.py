"""A few rows of a task's data, for one short step before a search: what all of the data would show, in a moment."""

from __future__ import annotations

import torch
from torch import Tensor

from raynas.tasks.task import Data

#: Validation data of up to so many rows is taken whole; of more, about so many.
VALID_ROWS = 512
BATCHES = 2


def few_rows(data: Data, batch_size: int, *, whole_validation: bool = False) -> Data:
    """Two batches to train on, and validation rows of all classes; drawn at random, and always the same.

    Args:
        data: all of it. It may be sorted by class.
        batch_size: rows of a batch.
        whole_validation: whether all validation rows are taken, however many there are.
    """
    generator = torch.Generator().manual_seed(0)
    train = torch.randperm(len(data.train_inputs), generator=generator)[: BATCHES * batch_size]
    valid = torch.arange(len(data.valid_inputs))
    if not whole_validation and len(valid) > VALID_ROWS:
        valid = _of_all_classes(data.valid_targets.cpu(), VALID_ROWS, generator)
    train, valid = train.to(data.train_inputs.device), valid.to(data.valid_inputs.device)
    return Data(
        data.train_inputs[train], data.train_targets[train], data.valid_inputs[valid], data.valid_targets[valid]
    )


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
