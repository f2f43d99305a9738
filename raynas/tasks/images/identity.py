"""Which data these are: the source at a path, a hash of its content, and whether a search began with it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raynas.atomic_write import atomic_write
from raynas.errors import TaskError
from raynas.tasks.images.folder import Folder
from raynas.tasks.images.layout import Layout
from raynas.tasks.images.losses import Losses
from raynas.tasks.images.parquet import Parquet
from raynas.tasks.images.source import Source
from raynas.tasks.images.survey import Survey, survey_of


@dataclass(frozen=True)
class Identified:
    """A source, and what tells it from all others.

    Args:
        source: the data.
        content: a hash of it and of how it is read, under which decoded data is kept. Data without images deeper than
            8 bits has the hash that the first release gave it.
        plain: the hash without a word on depth.
        state: of the source, from before its content was hashed.
        survey: of it, where one was needed.
    """

    source: Source
    content: str
    plain: str
    state: str
    survey: Survey | None

    @property
    def deep(self) -> bool:
        """Whether images are deeper than 8 bits."""
        return self.content != self.plain


def source_at(
    path: Path | None,
    notes: Path,
    columns: tuple[str | None, str | None],
    layout: Layout | None,
    folder: Path,
    as_first: bool = False,
) -> Source:
    """The data at a path.

    Args:
        path: a folder or a Parquet file.
        notes: where hashes are remembered.
        columns: of images and of labels, in Parquet.
        layout: how a folder is read; None: its content decides.
        folder: a second place that paths in Parquet may be relative to.
        as_first: as the first release chose folders and files.

    Raises:
        TaskError: there is no such data, or it cannot be told what it is.
    """
    if path is None:
        raise TaskError("say which data: --data PATH (a Parquet file, or a folder CLASS/NAME.jpg)")
    if not path.exists():
        raise TaskError(f"there is no data at {path}; give a Parquet file, or a folder CLASS/NAME.jpg")
    try:
        if path.is_file() or any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
            return Parquet(path, notes, *columns, folder=folder, as_first=as_first)
        return Folder(path, notes, layout, as_first)
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error}") from None


def identify(source: Source, notes: Path, begun: bool = False) -> Identified:
    """Hashes a source, and looks whether its images are deeper than 8 bits where that is not known yet.

    Args:
        source: the data.
        notes: where hashes, and this, are remembered.
        begun: whether a search has begun on these data before (``Losses``).

    Raises:
        TaskError: the data cannot be read.
    """
    try:
        state = source.state()
        plain = source.content()
    except OSError as error:
        raise TaskError(f"{source.name} cannot be read: {error}") from None
    survey = None
    deep = _noted(notes, plain)
    if deep is None:
        survey = survey_of(source, Losses(() if begun else source.passed_over, begun))
        deep = bool(survey.deep)
        if state_now(source) == state:  # else it was other data that we looked at
            _note(notes, plain, deep)
    # The first release read deep images one by one: what it decoded, and what was begun with it, is other data.
    content = hashlib.blake2b(f"{plain} on one scale".encode(), digest_size=16).hexdigest() if deep else plain
    return Identified(source, content, plain, state, survey)


def identify_again(read: Callable[[bool], Source], content: str, notes: Path) -> Identified:
    """The data that a search began with, read as it was then.

    Args:
        read: the source; called with True: as the first release read it.
        content: the hash that the search began with.
        notes: as above.

    Raises:
        TaskError: it is no more what it was.
    """
    name, passed_over = "the data", ""
    for as_first in (False, True):
        try:
            found = identify(read(as_first), notes, begun=True)
        except TaskError as error:
            if as_first and name == "the data":
                raise
            if not as_first:
                passed_over = f" ({error})"
            continue
        if found.content == content:
            return found
        name = found.source.name
        if found.plain == content:
            raise TaskError(
                f"{name} holds images deeper than 8 bits, which are read on one scale now; this search began with the "
                "earlier reading, picture by picture, and what was decoded then is gone; start a new search"
            )
    raise TaskError(
        f"{name} has changed since this search began, and what was decoded then is gone{passed_over}; "
        "bring the old data back, or start a new search"
    )


def state_now(source: Source) -> str:
    """The source's state; where a file is gone, one that it never had before."""
    try:
        return source.state()
    except OSError:
        return "a file is gone"


def _noted(notes: Path, content: str) -> bool | None:
    with contextlib.suppress(OSError):
        return {"8 bits": False, "deeper": True}.get((notes / f"{content}.depth").read_text())
    return None


def _note(notes: Path, content: str, deep: bool) -> None:
    with contextlib.suppress(OSError):
        notes.mkdir(parents=True, exist_ok=True)
        atomic_write(notes / f"{content}.depth", b"deeper" if deep else b"8 bits")
