"""Images in folders: ``class/x.jpg``, or ``train/class/x.jpg`` beside ``val/class/x.jpg``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from raynas.errors import TaskError
from raynas.tasks.images.fingerprint import content_of, state_of
from raynas.tasks.images.formats import SUFFIXES, is_image, kind_of
from raynas.tasks.images.layout import Layout, first_parts, folders, parts_of
from raynas.tasks.images.source import PassedOver, Sample, Source


class Folder(Source):
    """A folder with one folder of images per class (subfolders of a class count as it).

    Where it holds such folders for its parts (``train``, ``val``) instead, these are the parts; with ``train`` alone,
    that is the data, and a ``test`` beside them is left alone (``layout.py`` says how that is told). A file is an image
    where its content is one, whatever its name. Hidden files are passed over without a word, all others are counted.

    Args:
        root: the folder.
        notes: where hashes are remembered.
        layout: which reading, where two are possible.
        as_first: read it as the first release did, which went by names alone.

    Raises:
        TaskError: there are no images in class folders, the validation part has a class of its own, or the folder can
            be read in two ways.
    """

    def __init__(self, root: Path, notes: Path, layout: Layout | None = None, as_first: bool = False) -> None:
        self.name = str(root)
        self._notes = notes
        parts = first_parts(root) if as_first else parts_of(root, layout)
        self._like_first = as_first or parts == first_parts(root)
        train, valid = parts.train, parts.valid
        found, passed_over = _images(train, as_first)
        if not found:
            lost = sorted({passed.kind for passed in passed_over if passed.lost})
            raise TaskError(
                f"no images in class folders in {root}; put them as {root}/CLASS/NAME.jpg "
                f"({'there are: ' + ', '.join(lost) if lost else ', '.join(sorted(s[1:] for s in SUFFIXES))})"
            )
        self.classes = tuple(sorted({label for label, _ in found}))
        held_out, more = _images(valid, as_first) if valid else ([], [])
        for label, path in held_out:
            if label not in self.classes:
                raise TaskError(f"class {label!r} of {path.parent} has no images in {train}; add some, or take it out")
        self.own_split = bool(held_out)
        if not as_first:
            outside = [passed for folder in {root, train, valid or train} for passed in _outside(folder)]
            self.passed_over = (*passed_over, *more, *outside)
            self.empty = sorted({path.name for path in folders(train)} - set(self.classes))
        numbers = {label: number for number, label in enumerate(self.classes)}
        self._samples = [
            Sample(str(path.relative_to(root)), path, numbers[label], held)
            for held, images in ((False, found), (True, held_out))
            for label, path in images
        ]
        self.size = len(self._samples)

    def samples(self) -> Iterator[Sample]:
        yield from self._samples

    def content(self) -> str:
        content = content_of(self._files(), self._notes)
        if self._like_first:
            return content
        # The first release read the same files otherwise: what it decoded is not to be taken for this.
        reading = repr((content, self.classes, [sample.held_out for sample in self._samples]))
        return hashlib.blake2b(reading.encode(), digest_size=16).hexdigest()

    def state(self) -> str:
        return state_of(self._files())

    def _files(self) -> dict[str, Path]:
        return {sample.name: sample.content for sample in self._samples if isinstance(sample.content, Path)}


def _images(root: Path, as_first: bool) -> tuple[list[tuple[str, Path]], list[PassedOver]]:
    """(class, file) of all images in class folders, by name, and what else lies there."""
    found: list[tuple[str, Path]] = []
    passed_over: list[PassedOver] = []
    for folder in folders(root):
        for path in sorted(folder.rglob("*")):
            if path.name.startswith(".") or path.is_dir():
                continue
            named = path.suffix.lower() in SUFFIXES
            if path.is_file() and (named or (not as_first and is_image(path))):
                found.append((folder.name, path))
            elif not as_first:
                kind, lost = kind_of(path)
                passed_over.append(PassedOver(kind, folder.name, lost))
    return found, passed_over


def _outside(folder: Path) -> Iterator[PassedOver]:
    """What lies beside class folders, or beside parts, and may be an image."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_dir():
            continue
        if not path.exists():
            yield PassedOver("broken links", None, lost=True)
        elif path.is_file() and (path.suffix.lower() in SUFFIXES or is_image(path)):
            yield PassedOver("images outside class folders", None, lost=True)
