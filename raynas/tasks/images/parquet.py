"""Images in Parquet files: encoded (Hugging Face's layout, or plain bytes) or as arrays of pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raynas.errors import TaskError
from raynas.tasks.images.fingerprint import content_of
from raynas.tasks.images.source import Sample, Source, part_of

IMAGE_NAMES = ("image", "img", "images", "picture", "pixels", "pixel_values", "bytes", "jpg", "png")
LABEL_NAMES = ("label", "labels", "class", "target", "targets", "fine_label", "category", "y")
_LABEL_TYPES = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
_ROWS = 512  # read at a time: some tens of MB with photographs


class Parquet(Source):
    """One Parquet file, or a folder of them.

    The image column holds encoded images (bytes, or a struct with ``bytes``) or pixels (nested lists ``(H, W)``,
    ``(H, W, C)`` or ``(C, H, W)`` of values 0 to 255; a flat list counts as square, channels first). The label column
    holds numbers or names; the classes' names come from the schema's Hugging Face metadata where they stand there.
    Files of a folder named ``train…`` and ``validation…`` are these parts; ``test…`` is left alone.

    Args:
        path: the file or folder.
        notes: where hashes are remembered.
        image_column: found by metadata or name where not given (``IMAGE_NAMES``).
        label_column: likewise (``LABEL_NAMES``).

    Raises:
        TaskError: a file that is not Parquet, a column that is not there.
    """

    def __init__(
        self, path: Path, notes: Path, image_column: str | None = None, label_column: str | None = None
    ) -> None:
        self.name = str(path)
        self._notes = notes
        files = [path] if path.is_file() else sorted({*path.glob("*.parquet"), *path.glob("data/*.parquet")})
        parts = {file: part_of(file.name) for file in files} if path.is_dir() else {}
        if any(part == "train" for part in parts.values()):
            files = [file for file in files if parts[file] in ("train", "valid")]
        self._files = [(file, parts.get(file) == "valid") for file in files]
        self._files.sort(key=lambda entry: entry[1])
        self.own_split = any(held_out for _, held_out in self._files)
        self._root = path if path.is_dir() else path.parent

        opened = [self._open(file) for file, _ in self._files]
        schema = opened[0].schema_arrow
        self.size = sum(file.metadata.num_rows for file in opened)
        features = _features(schema)
        self._image = _column(self.name, schema, "image", image_column, features, ("Image", "Array2D", "Array3D"))
        self._label = _column(self.name, schema, "label", label_column, features, ("ClassLabel",))
        for file in opened:
            for column in (self._image, self._label):
                if column not in file.schema_arrow.names:
                    raise TaskError(f"the files of {path} differ: one has no column {column!r}")
        self.classes, self._numbers = self._classes(features)

    def _open(self, path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            first = str(error).splitlines()[0]
            raise TaskError(f"{path} cannot be read as Parquet: {first}") from None

    def _classes(self, features: dict[str, Any]) -> tuple[tuple[str, ...], dict[Any, int]]:
        """The classes' names, and the number of each label as stored."""
        stored = self._open(self._files[0][0]).schema_arrow.field(self._label).type
        stored = stored.value_type if pa.types.is_dictionary(stored) else stored
        if not any(holds(stored) for holds in _LABEL_TYPES):
            raise TaskError(
                f"column {self._label!r} of {self.name} holds {stored} values; class numbers or names are needed"
            )
        feature = features.get(self._label)
        names = feature.get("names") if isinstance(feature, dict) else None
        if names:
            known = {str(name): number for number, name in enumerate(names)}
            return tuple(map(str, names)), {**known, **dict(enumerate(range(len(names))))}
        values: set[Any] = set()
        for file, _ in self._files:
            for batch in self._open(file).iter_batches(1 << 16, columns=[self._label]):
                values.update(batch.column(0).unique().to_pylist())
        values -= {None, -1}  # -1: Hugging Face's "no label"
        ordered = sorted(values)
        return tuple(map(str, ordered)), {value: number for number, value in enumerate(ordered)}

    def samples(self) -> Iterator[Sample]:
        for path, held_out in self._files:
            row = 0
            for batch in self._open(path).iter_batches(_ROWS, columns=[self._image, self._label]):
                images, labels = batch.column(self._image), batch.column(self._label)
                for image, label in zip(images, labels.to_pylist(), strict=True):
                    name = f"{path.relative_to(self._root)} row {row}"
                    yield Sample(name, _pixels_or_bytes(image), self._numbers.get(label), held_out)
                    row += 1

    def content(self) -> str:
        files = {str(path.relative_to(self._root)) if len(self._files) > 1 else "": path for path, _ in self._files}
        return content_of(files, self._notes)


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
    for column in IMAGE_NAMES if what == "image" else LABEL_NAMES:
        if column in schema.names:
            return column
    raise TaskError(
        f"{name} has no {what} column that could be told by its name; it has: {', '.join(schema.names)} "
        f"(name it: {what}_column)"
    )


def _pixels_or_bytes(value: pa.Scalar) -> bytes | np.ndarray | None:
    """An image as it stands in a row; None where there is none, or where it cannot be one."""
    if isinstance(value, pa.ExtensionScalar):
        value = value.value
    if isinstance(value, pa.StructScalar):
        try:
            value = value["bytes"]
        except KeyError:
            return None
    stored = value.as_py()
    if stored is None or isinstance(stored, bytes):
        return stored
    try:
        pixels = np.asarray(stored)
    except ValueError:
        return None
    return pixels_of(pixels)


def pixels_of(pixels: np.ndarray) -> np.ndarray | None:
    """Numbers as an image ``(H, W)`` or ``(H, W, C)`` in uint8; None where they cannot be one."""
    if pixels.ndim == 1:
        for channels in (1, 3):
            side = math.isqrt(pixels.size // channels)
            if side and channels * side * side == pixels.size:
                pixels = pixels.reshape(channels, side, side)
                break
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not grey_or_rgb or not pixels.size or pixels.dtype.kind not in "iuf":
        return None
    if pixels.dtype != np.uint8:
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255):
            return None
        pixels = pixels.round().astype(np.uint8)
    return pixels
