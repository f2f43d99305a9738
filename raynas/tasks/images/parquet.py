"""Images in Parquet files: encoded (Hugging Face's layout, or plain bytes), as arrays of pixels, or by their paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raynas.errors import TaskError
from raynas.tasks.images.fingerprint import content_of, state_of
from raynas.tasks.images.rows import Labels, file_of, holds_paths, path_of, pixels_or_bytes
from raynas.tasks.images.source import PARTS, Sample, Source, first_part, words

#: Usual names of columns, the likelier first; upper and lower case are one.
IMAGE_NAMES = (
    *("image", "img", "images", "picture", "pixels", "pixel_values", "bytes", "jpg", "png", "jpeg", "webp", "photo"),
    *("image_bytes", "image_data", "image_path", "img_path", "image_file", "file_path", "filepath", "file_name"),
    *("filename", "file", "path"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "target", "targets", "fine_label", "category", "y", "cls", "class_id", "class_name"),
    *("label_id", "label_name", "class_label", "category_id", "category_name"),
)
_ROWS = 512  # read at a time: some tens of MB with photographs


class Parquet(Source):
    """One Parquet file, or a folder of them.

    The image column holds encoded images (bytes, or a struct with ``bytes``), pixels (nested lists ``(H, W)``,
    ``(H, W, C)`` or ``(C, H, W)`` of numbers; a flat list counts as square, channels first), or paths of image files,
    relative to the Parquet file's folder or to ``folder``. The label column holds numbers or names; the classes' names
    come from the schema's Hugging Face metadata where they stand there. Files of a folder named ``train…`` and
    ``validation…`` are these parts; ``test…`` is left alone.

    Args:
        path: the file or folder.
        notes: where hashes are remembered.
        image_column: found by metadata or name where not given (``IMAGE_NAMES``).
        label_column: likewise (``LABEL_NAMES``).
        folder: a second place that paths of images may be relative to.
        as_first: take the files that the first release took.

    Raises:
        TaskError: a file that is not Parquet, a column that is not there or holds no images or no classes, or files
            of which it cannot be told which part they are.
    """

    def __init__(
        self,
        path: Path,
        notes: Path,
        image_column: str | None = None,
        label_column: str | None = None,
        *,
        folder: Path | None = None,
        as_first: bool = False,
    ) -> None:
        self.name = str(path)
        self._notes = notes
        files = parquet_files(path)
        parts = _first_parts(path, files) if as_first else _parts(path, files)
        self._files = sorted(parts.items(), key=lambda entry: entry[1])
        self.own_split = any(parts.values())
        self._root = path if path.is_dir() else path.parent
        self._paths: dict[str, Path | None] = {}
        begun = self.state()

        opened = [_open(file) for file, _ in self._files]
        schema = opened[0].schema_arrow
        self.size = sum(file.metadata.num_rows for file in opened)
        features = _features(schema)
        self._image = _column(self.name, schema, "image", image_column, features, ("Image", "Array2D", "Array3D"))
        self._label = _column(self.name, schema, "label", label_column, features, ("ClassLabel",))
        for file in opened:
            for column in (self._image, self._label):
                if column not in file.schema_arrow.names:
                    raise TaskError(f"the files of {path} differ: one has no column {column!r}")
        self._folders = list(
            dict.fromkeys([*(file.parent for file, _ in self._files), self._root, folder or Path.cwd()])
        )
        self._paths = self._all_paths() if any(holds_paths(file, self._image) for file in opened) else {}
        self._labels = Labels(self.name, self._label, [file for file, _ in self._files], features.get(self._label))
        self.classes = self._labels.classes
        if state_of(self._parquet_files()) != begun:
            raise TaskError(f"{self.name} was written to while it was read; start again when nothing changes it")

    def _all_paths(self) -> dict[str, Path | None]:
        """Every path that a row without bytes names, and its file; None where it is not there.

        Raises:
            TaskError: none of them is, and most images are such.
        """
        found: dict[str, Path | None] = {}
        for file, _ in self._files:
            for batch in _open(file).iter_batches(_ROWS, columns=[self._image]):
                for value in batch.column(0):
                    stored = path_of(value)
                    if stored is not None and stored not in found:
                        found[stored] = file_of(stored, self._folders)
        if 2 * len(found) > self.size and not any(found.values()):
            first = next(iter(found))
            where = " or ".join(map(str, self._folders))
            raise TaskError(
                f"column {self._image!r} of {self.name} holds paths of images; there is no {first[:80]!r} in {where};"
                " put the Parquet file beside the images, or start from the folder that the paths are relative to"
            )
        return found

    def samples(self) -> Iterator[Sample]:
        for path, held_out in self._files:
            row = 0
            for batch in _open(path).iter_batches(_ROWS, columns=[self._image, self._label]):
                images, labels = batch.column(self._image), batch.column(self._label)
                for image, label in zip(images, labels.to_pylist(), strict=True):
                    name = f"{path.relative_to(self._root)} row {row}"
                    stored = path_of(image) if self._paths else None
                    content = pixels_or_bytes(image) if stored is None else self._paths[stored]
                    if stored is not None:
                        name += f": {stored}"
                    yield Sample(name, content, self._labels.number(label), held_out)
                    row += 1

    def content(self) -> str:
        return content_of(self._all_files(), self._notes)

    def state(self) -> str:
        return state_of(self._all_files())

    def _parquet_files(self) -> dict[str, Path]:
        return {str(path.relative_to(self._root)) if len(self._files) > 1 else "": path for path, _ in self._files}

    def _all_files(self) -> dict[str, Path]:
        return {
            **self._parquet_files(),
            **{f"image {stored}": path for stored, path in self._paths.items() if path is not None},
        }


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files of a folder; a file itself."""
    return [path] if path.is_file() else sorted({*path.glob("*.parquet"), *path.glob("data/*.parquet")})


def _parts(path: Path, files: list[Path]) -> dict[Path, bool]:
    """The files that are read, and whether each is for validation.

    Raises:
        TaskError: two files claim to be the same part, or one beside the training part is none.
    """
    if path.is_file():
        return {path: False}
    names: dict[str | None, dict[tuple[str, ...], list[Path]]] = {}
    for file in files:
        shown = tuple(word for word in words(file.stem) if word != "of")  # train-00000-of-00002
        part = next((PARTS[word] for word in shown if word in PARTS), None)
        names.setdefault(part, {}).setdefault(shown, []).append(file)
    for part in ("train", "valid"):
        if len(names.get(part, ())) > 1:
            several = ", ".join(group[0].name for group in names[part].values())
            raise TaskError(
                f"{path} has Parquet files of several names for one part of the data: {several}; keep those of one "
                "name there, or give one file"
            )
    unnamed = [file for group in names.get(None, {}).values() for file in group]
    train = [file for group in names.get("train", {}).values() for file in group]
    if train and unnamed:
        columns = set(_open(train[0]).schema_arrow.names)
        alike = [file for file in unnamed if columns <= set(_open(file).schema_arrow.names)]
        if alike:
            raise TaskError(
                f"{path} can be read in two ways: {alike[0].name} belongs to the training data, or it does not, as "
                f"{train[0].name} says train; take it out of the folder, or give one file"
            )
    valid = [file for group in names.get("valid", {}).values() for file in group]
    found = {**dict.fromkeys(train or unnamed, False), **dict.fromkeys(valid, True)}
    if train or unnamed:
        return found
    if len(names) > 1:
        raise TaskError(f"{path} has no Parquet file to train on: {', '.join(file.name for file in files)}")
    return dict.fromkeys(files, False)  # a folder of one part alone was given for that part


def _first_parts(path: Path, files: list[Path]) -> dict[Path, bool]:
    """The first release's choice of files."""
    parts = {file: first_part(file.name) for file in files} if path.is_dir() else dict.fromkeys(files)
    if any(part == "train" for part in parts.values()):
        parts = {file: part for file, part in parts.items() if part in ("train", "valid")}
    return {file: part == "valid" for file, part in parts.items()}


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise TaskError(f"{path} cannot be read as Parquet: {first}") from None


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Hugging Face's description of the columns, as ``datasets`` writes it into the schema; {} where there is none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _column(
    name: str, schema: pa.Schema, what: str, given: str | None, features: dict[str, Any], types: tuple[str, ...]
) -> str:
    if given is not None:
        if given not in schema.names:
            raise TaskError(f"{name} has no column {given!r}; it has: {', '.join(schema.names)}")
        return given
    for column, feature in features.items():
        if isinstance(feature, dict) and feature.get("_type") in types and column in schema.names:
            return column
    for names in (schema.names, {column.lower(): column for column in schema.names}):
        for column in IMAGE_NAMES if what == "image" else LABEL_NAMES:
            if column in names:
                return column if isinstance(names, list) else names[column]
    raise TaskError(
        f"{name} has no {what} column that could be told by its name; it has: {', '.join(schema.names)} "
        f"(name it: {what}_column)"
    )
