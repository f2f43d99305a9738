"""Data that is streamed: a ``Dataset`` or ``DataLoader`` of torch's, larger than memory, with or without workers.

What is read is one of two things. Of a *map-style* ``Dataset`` we draw the samples, so an epoch's order follows from
(seed, epoch), and a trial that was cut off goes on at its batch without reading those before it. A ``DataLoader`` or an
``IterableDataset`` brings its own order: it is read from its beginning, and batches that are done are passed over.
Python's, NumPy's and torch's generators are seeded for what is read (each batch of a map-style ``Dataset``, also in
worker processes), so what a data set draws at random is the same again, too.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from raynas.errors import TaskError, UserError
from raynas.tasks.data import Batch, DataSource, Inputs, Split, each, samples_of, shape_of
from raynas.tasks.draws import any_of, order_of, seed_of
from raynas.tasks.seeded_rows import RowGroups, SeededRows, seeded

#: So many samples at least are read to look at: they are kept, and the next look may want some more.
_LOOK = 32
_END = object()
_WORDS = {"train": "training", "valid": "validation"}


@dataclass(frozen=True)
class Streams(DataSource):
    """A data set that is read batch by batch.

    A sample is a pair ``(inputs, targets)``, as the ``Dataset`` gives it: a tensor, or a dictionary of tensors by their
    names; and a tensor or a number. A batch of a ``DataLoader`` is such a pair of tensors with a dimension more.

    Args:
        train: a ``Dataset`` (its batches are as large as the recipe's ``batch_size``), or a ``DataLoader``.
        valid: likewise, never trained on.
        workers: processes that read a ``Dataset``, for each of the two (a ``DataLoader`` has its own number). An
            ``IterableDataset`` has to divide its samples among them (``torch.utils.data.get_worker_info``).
        train_batches: so many batches are an epoch (None: all). Needed where the data does not know its length.
        valid_batches: so many batches are a validation (None: all that come).
        name: the task's name, for messages.
        device: where batches are put.

    Raises:
        TaskError: an argument is something else.
    """

    train: Any
    valid: Any
    workers: int = 0
    train_batches: int | None = None
    valid_batches: int | None = None
    name: str = "?"
    device: str = "cpu"
    #: State, a cache: what was read to look at.
    _looked: dict[Split, Batch] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for split in ("train", "valid"):
            what = getattr(self, split)
            if not (isinstance(what, (DataLoader, IterableDataset)) or _is_map_style(what)):
                raise TaskError(
                    f"the {_WORDS[split]} data is a {type(what).__name__}; give a torch.utils.data.Dataset (with "
                    "__len__ and __getitem__), an IterableDataset or a DataLoader"
                )
        for name, least in (("workers", 0), ("train_batches", 1), ("valid_batches", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise TaskError(f"Streams: {name} is {value!r}; it must be a whole number, {least} or more")

    # -- how much there is ---------------------------------------------------------------------------------------

    def batch_size(self, wanted: int) -> int:
        if isinstance(self.train, DataLoader):
            return self.train.batch_size or samples_of(self.some("train", 1)[0])
        if not _is_map_style(self.train):
            return wanted
        if not len(self.train):
            raise self._error("train", "is empty")
        return min(wanted, len(self.train))

    @property
    def fixed_batches(self) -> bool:
        """Whether the training batches are as large as a ``DataLoader`` makes them, whatever a recipe says."""
        return isinstance(self.train, DataLoader)

    def epoch_batches(self, batch_size: int) -> int:
        known = self._known_batches(batch_size)
        if known is None and self.train_batches is None:
            raise self._error(
                "train", "does not say how many batches an epoch has; give Streams(…, train_batches=N), or it a __len__"
            )
        found = min(count for count in (known, self.train_batches) if count is not None)
        if found < 1:
            raise self._error("train", f"is too small for one batch of {batch_size} samples, or empty")
        return found

    def _known_batches(self, batch_size: int) -> int | None:
        """Batches of all training data; None where it does not know its length."""
        if _is_map_style(self.train):
            return len(self.train) // batch_size
        loader = isinstance(self.train, DataLoader)
        dataset: Any = self.train.dataset if loader else self.train
        whole: Any = self.train  # with the batches of a loader
        workers = self.train.num_workers if loader else self.workers
        try:
            length = len(dataset) if isinstance(dataset, IterableDataset) else None  # type: ignore[arg-type]  # may have one
            if length is None:
                return len(whole)
            # Each of the processes has its share of the samples, and drops those that make no whole batch.
            shares = max(1, workers)
            return shares * (length // shares // batch_size)
        except (TypeError, NotImplementedError):
            return None

    def sizes(self, batch_size: int) -> tuple[int, int]:
        size = self.batch_size(batch_size)
        found = []
        for split, limit in (("train", self.epoch_batches(size)), ("valid", self.valid_batches)):
            what = getattr(self, split)
            dataset: Any = what.dataset if isinstance(what, DataLoader) else what
            try:
                total = len(dataset)
            except (TypeError, NotImplementedError):
                total = None
            if limit is not None and (total is None or limit < total // size):
                total = limit * size
            found.append(total or 0)
        return found[0], found[1]

    # -- what is read --------------------------------------------------------------------------------------------

    def batches(
        self, split: Split, batch_size: int, *, seed: object = None, epoch: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        total = self.epoch_batches(batch_size) if split == "train" else self.valid_batches
        what = getattr(self, split)
        if _is_map_style(what):
            rows = order_of(len(what), seed, "order", epoch) if split == "train" else torch.arange(len(what))
            whole = len(rows) if total is None else min(len(rows), total * batch_size)
            yield from self._rows(split, rows[:whole], batch_size, (seed, epoch), start)
            return
        number = 0
        for number, batch in enumerate(
            itertools.islice(self._in_its_order(split, batch_size, (seed, epoch)), total), start=1
        ):
            if number > start:
                yield self._checked(batch, split, number)
        if split == "train" and total is not None and number < total:
            raise self._error(
                split,
                f"ended after {number} of {total} batches in epoch {epoch + 1}; it must be possible to read it from "
                "the beginning in each epoch, and its length must be true (with workers: for the share of each)",
            )
        if not number:
            raise self._error(split, "gave no batch")

    def drawn(self, split: Split, count: int, batch_size: int, *seed: object) -> Iterator[Batch]:
        what = getattr(self, split)
        if _is_map_style(what):
            yield from self._rows(split, any_of(len(what), count, *seed), batch_size, seed)
            return
        read = 0
        for number, batch in enumerate(self._in_its_order(split, batch_size, seed), start=1):
            yield self._checked(batch, split, number)
            read += batch_size
            if read >= count:
                return

    def drawable(self, split: Split) -> bool:
        return _is_map_style(getattr(self, split))

    def some(self, split: Split, count: int) -> Batch:
        known = self._looked.get(split)
        if known is None or len(known[1]) < count:
            known = self._looked[split] = self._look(split, max(count, _LOOK))
        return each(lambda one: one[:count].clone(), known[0]), known[1][:count].clone()

    def _look(self, split: Split, count: int) -> Batch:
        """Samples from all over a map-style data set, in this process; of any other data what comes first."""
        what = getattr(self, split)
        if _is_map_style(what):
            if not len(what):
                raise self._error(split, "is empty")
            rows = torch.linspace(0, len(what) - 1, min(count, len(what))).round().long()
            found = list(replace(self, workers=0)._rows(split, rows, len(rows), ("look",)))
        else:
            found = []
            coming = self._in_its_order(split, min(count, _LOOK), ("look",), whole=False)
            for number, batch in enumerate(coming, start=1):
                found.append(self._checked(batch, split, number))
                if sum(len(targets) for _, targets in found) >= count:
                    break
            if not found:
                raise self._error(split, "gave no batch")
        inputs, shapes = found[0][0], [shape_of(batch[0]) for batch in found]
        other = next((shape for shape in shapes if shape != shapes[0]), None)
        if other is not None:
            raise self._error(
                split,
                f"has batches with inputs of shape {shapes[0]} and of shape {other}; bring all samples to one shape "
                "(sequences: pad them to one length)",
            )
        joined = (
            {name: torch.cat([batch[0][name] for batch in found]) for name in inputs}
            if isinstance(inputs, Mapping)
            else torch.cat([batch[0] for batch in found])
        )
        return joined, torch.cat([targets for _, targets in found])

    def _rows(
        self, split: Split, rows: Tensor, batch_size: int, seed: tuple[object, ...], start: int = 0
    ) -> Iterator[Batch]:
        """Batches of some rows of a map-style data set."""
        if not len(rows):
            raise self._error(split, "is empty")
        groups: Any = RowGroups(rows, batch_size, (*seed, split), start)
        dataset: Any = SeededRows(getattr(self, split))
        loader: Any = DataLoader(
            dataset,
            batch_sampler=groups,  # what it yields goes to __getitems__ as it is
            num_workers=min(self.workers, len(groups)),
            generator=torch.Generator(),  # it draws a seed, which each batch then replaces: not from the process's
            pin_memory=self.device.startswith("cuda"),
        )
        iterator: Any = None
        for number in range(start + 1, start + len(groups) + 1):
            try:
                iterator = iter(loader) if iterator is None else iterator
                batch = next(iterator)
            except Exception as error:
                self._refuse(error, split, number)
            yield self._checked(batch, split, number)

    def _in_its_order(
        self, split: Split, batch_size: int, seed: tuple[object, ...], whole: bool = True
    ) -> Iterator[Any]:
        """The batches of a ``DataLoader`` or an ``IterableDataset`` from its beginning, as they come.

        Args:
            whole: training batches of an ``IterableDataset`` are whole ones; else the last one, too, is there.
        """
        what = getattr(self, split)
        loader: Any
        if isinstance(what, DataLoader):
            loader = copy.copy(what)  # one with persistent workers has but one iterator at a time
            loader._iterator = None
        else:
            drop = whole and split == "train"
            loader = DataLoader(what, batch_size, num_workers=self.workers, drop_last=drop)
        iterator: Any = None
        for number in itertools.count(1):
            try:
                with seeded(seed_of(*seed, split, number)) as first:
                    if iterator is None:
                        for drawing in (loader, loader.sampler, loader.batch_sampler):
                            if getattr(drawing, "generator", None) is not None:
                                drawing.generator.manual_seed(first)
                        iterator = iter(loader)
                    batch = next(iterator, _END)
            except Exception as error:
                self._refuse(error, split, number)
            if batch is _END:
                return
            yield batch

    # -- what is wrong with it -----------------------------------------------------------------------------------

    def _checked(self, batch: Any, split: Split, number: int) -> Batch:
        """A batch on the device, all of it copied.

        Raises:
            TaskError: it is no pair of inputs and targets, or they do not belong together.
        """
        if not isinstance(batch, Sequence) or len(batch) != 2:
            what = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, Sequence) else "")
            raise self._error(split, f"gave {what} as batch {number}; a sample is a pair (inputs, targets)")
        inputs, targets = batch
        tensors = {"inputs": inputs} if not isinstance(inputs, Mapping) else {**inputs}
        for name, tensor in {**tensors, "targets": targets}.items():
            if not isinstance(tensor, Tensor) or not tensor.ndim:
                raise self._error(
                    split, f"gave {name} of batch {number} as a {type(tensor).__name__}; they are a tensor of numbers"
                )
        counts = {len(tensor) for tensor in (*tensors.values(), targets)}
        if len(counts) != 1 or 0 in counts:
            raise self._error(
                split, f"gave {samples_of(inputs)} inputs with {len(targets)} targets as batch {number}; each needs one"
            )
        wanted = torch.float32 if targets.dtype == torch.float64 else targets.dtype  # Python's numbers became float64
        return self._put(inputs), targets.to(self.device, wanted, non_blocking=True, copy=True)

    def _put(self, inputs: Inputs) -> Inputs:
        return each(lambda one: one.to(self.device, non_blocking=True, copy=True), inputs)

    def _refuse(self, error: Exception, split: Split, number: int) -> NoReturn:
        """Says in one line what failed while a batch was read; a lack of memory is passed on as it is."""
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        if isinstance(error, RuntimeError) and lines[0].startswith("DataLoader worker"):
            raise self._error(
                split,
                f"cannot be read: one of its worker processes died at batch {number} ({lines[0]}); with fewer workers "
                "it needs less memory, and with none the trial itself says what fails",
            ) from error
        if isinstance(error, UserError) and len(lines) == 1:
            raise error
        words = kind = f"{type(error).__name__}: "
        if lines[0].startswith("Caught "):  # a worker's: a traceback, and at its end the error
            words = next((line for line in reversed(lines) if line.startswith(kind)), lines[-1])
        else:
            words += lines[0]
        raise self._error(split, f"cannot be read at batch {number}: {words[:400]}") from error

    def _error(self, split: Split, words: str) -> TaskError:
        return TaskError(f"task {self.name!r}: the {_WORDS[split]} data {words}")

    # -- where and whose -----------------------------------------------------------------------------------------

    def to(self, device: str) -> Streams:
        return self if device == self.device else replace(self, device=device, _looked={})

    def named(self, name: str) -> Streams:
        return replace(self, name=name)


def _is_map_style(what: Any) -> bool:
    return not isinstance(what, (DataLoader, IterableDataset)) and all(
        hasattr(what, name) for name in ("__len__", "__getitem__")
    )
