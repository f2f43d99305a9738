"""What reading gives: samples one by one, in the same order each time, and a name for the content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Names under which people and Hugging Face keep the parts of a data set. A test part is never read for a search.
TRAIN_NAMES = ("train", "training")
VALID_NAMES = ("validation", "valid", "val", "dev")
TEST_NAMES = ("test", "testing")


@dataclass(frozen=True)
class Sample:
    """One labelled image as it is stored.

    Args:
        name: what a person knows it by: ``"cats/7.jpg"``, ``"train.parquet row 17"``.
        content: a file, an encoded image, or pixels ``(H, W)`` or ``(H, W, C)`` in uint8; None where there is none.
        label: its class's number; None where it has none.
        held_out: whether it lies in the data's own validation part.
    """

    name: str
    content: Path | bytes | np.ndarray | None
    label: int | None
    held_out: bool = False


class Source(ABC):
    """Labelled images somewhere. Making one looks at names and columns only; nothing is decoded."""

    #: For messages: the path that the person gave, or "the arrays".
    name: str
    #: The classes' names, by number.
    classes: tuple[str, ...]
    #: Whether the data says itself what to validate with.
    own_split: bool
    #: An upper bound of the samples, for progress.
    size: int

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """All samples, in the same order each time.

        Raises:
            TaskError: what is there cannot be read at all.
        """

    @abstractmethod
    def content(self) -> str:
        """A hash (32 hex digits) of everything that :meth:`samples` depends on: it changes when the data does."""


def part_of(name: str) -> str | None:
    """``"train"``, ``"valid"`` or ``"test"`` for a folder or file named so (``train-00000-of-00002``), else None."""
    word = name.lower()
    for separator in ("-", "_", "."):
        word = word.split(separator)[0]
    for part, names in (("train", TRAIN_NAMES), ("valid", VALID_NAMES), ("test", TEST_NAMES)):
        if word in names:
            return part
    return None
