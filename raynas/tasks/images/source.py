"""What reading gives: samples one by one, in the same order each time, and a name for the content."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Names under which people and Hugging Face keep the parts of a data set. A test part is never read for a search.
TRAIN_NAMES = ("train", "training")
VALID_NAMES = ("validation", "valid", "val", "dev")
TEST_NAMES = ("test", "testing")
_NAMES = {"train": TRAIN_NAMES, "valid": VALID_NAMES, "test": TEST_NAMES}
#: Words in the names of folders and files → the part that they name. What is in ``pred`` has no labels.
PARTS = {
    **{word: part for part, names in _NAMES.items() for word in names},
    **{"trainset": "train", "valset": "valid", "validset": "valid", "testset": "test", "pred": "test"},
}


@dataclass(frozen=True)
class Sample:
    """One labelled image as it is stored.

    Args:
        name: what a person knows it by: ``"cats/7.jpg"``, ``"train.parquet row 17"``.
        content: a file, an encoded image, or pixels ``(H, W)`` or ``(H, W, C)`` (uint8, or numbers of any kind); None
            where there is none.
        label: its class's number; None where it has none.
        held_out: whether it lies in the data's own validation part.
    """

    name: str
    content: Path | bytes | np.ndarray | None
    label: int | None
    held_out: bool = False


@dataclass(frozen=True)
class PassedOver:
    """A file that is not read.

    Args:
        kind: what it is, in a word or two.
        label: the class in whose folder it lies; None: in none.
        lost: whether an image may be lost with it (not with notes and lists of labels).
    """

    kind: str
    label: str | None
    lost: bool


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
    #: What lies there and is not among the samples.
    passed_over: Sequence[PassedOver] = ()
    #: Classes of which there is no image at all.
    empty: Sequence[str] = ()

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """All samples, in the same order each time.

        Raises:
            TaskError: what is there cannot be read at all.
        """

    @abstractmethod
    def content(self) -> str:
        """A hash (32 hex digits) of everything that :meth:`samples` depends on: it changes when the data does.

        Raises:
            OSError: a file cannot be read.
        """

    def state(self) -> str:
        """What tells without reading the data whether somebody has written to it since; ``""`` where nobody can."""
        return ""


def words(name: str) -> list[str]:
    """The words of a folder's or file's name: ``["seg", "train"]`` for ``seg_train2017`` and for ``SegTrain``."""
    return [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]


def first_part(name: str) -> str | None:
    """``"train"``, ``"valid"`` or ``"test"`` for a name that begins so (``train-00000-of-00002``), else None.

    The first release went by this alone; what was begun with it is found again by it.
    """
    word = name.lower()
    for separator in ("-", "_", "."):
        word = word.split(separator)[0]
    return next((part for part, names in _NAMES.items() if word in names), None)
