"""Images in folders: ``class/x.jpg``, or ``train/class/x.jpg`` beside ``val/class/x.jpg``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raynas.errors import TaskError
from raynas.tasks.images.fingerprint import content_of
from raynas.tasks.images.source import Sample, Source, part_of

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
)


class Folder(Source):
    """A folder with one folder of images per class (subfolders of a class count as it).

    Where it holds ``train`` and ``val`` (or ``valid``, ``validation``) instead, these are the parts; with ``train``
    alone, that is the data. A ``test`` beside them is left alone. Hidden files and files that are no images are
    passed over.

    Raises:
        TaskError: there are no images in class folders, or the validation part has a class of its own.
    """

    def __init__(self, root: Path, notes: Path) -> None:
        self.name = str(root)
        self._notes = notes
        parts = {part_of(path.name): path for path in _folders(root)}
        train, valid = parts.get("train"), parts.get("valid")
        found = _images(train) if train else []
        if not found:  # no parts; a folder "train" with pictures in it is a class, beside "car" and "ship"
            train, valid = root, None
            found = _images(root)
        if not found:
            raise TaskError(
                f"no images in class folders in {root}; put them as {root}/CLASS/NAME.jpg "
                f"({', '.join(sorted(s[1:] for s in SUFFIXES))})"
            )
        self.classes = tuple(sorted({label for label, _ in found}))
        held_out = _images(valid) if valid else []
        for label, path in held_out:
            if label not in self.classes:
                raise TaskError(f"class {label!r} of {path.parent} has no images in {train}; add some, or take it out")
        self.own_split = bool(held_out)
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
        files = {sample.name: sample.content for sample in self._samples if isinstance(sample.content, Path)}
        return content_of(files, self._notes)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _images(root: Path) -> list[tuple[str, Path]]:
    """(class, file) of all images in class folders, by name."""
    return [
        (folder.name, path)
        for folder in _folders(root)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
