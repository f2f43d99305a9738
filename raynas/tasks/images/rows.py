"""What stands in the rows of a Parquet file: an image in one column, its class in another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raynas.errors import TaskError

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (pa.types.is_floating, pa.types.is_decimal)
_LABELS = (pa.types.is_integer, pa.types.is_boolean, *_TEXT, *_NUMBERS)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_NO_LABEL = -1  # Hugging Face's


class Labels:
    """The classes of a column, and which of them each stored value is.

    Whole numbers written as floats (what pandas makes of a column with gaps) and lists of one label are read as what
    they hold.

    Args:
        name: of the data, for messages.
        column: the label column.
        files: the Parquet files.
        feature: what Hugging Face's metadata say of the column.

    Raises:
        TaskError: its values are no classes, or there are several in a row.
    """

    def __init__(self, name: str, column: str, files: Sequence[Path], feature: Any) -> None:
        self._where = f"column {column!r} of {name}"
        stored = pq.read_schema(files[0]).field(column).type
        stored = stored.value_type if pa.types.is_dictionary(stored) else stored
        in_lists = _is(stored, _LISTS)
        inner = stored.value_type if in_lists else stored
        if not _is(inner, _LABELS):
            raise TaskError(f"{self._where} holds {stored} values; class numbers or names are needed")
        self._simple = not in_lists and not _is(inner, _NUMBERS)
        if in_lists and isinstance(feature, dict):
            feature = feature.get("feature", feature)
        names = feature.get("names") if isinstance(feature, dict) else None
        values = set() if names and self._simple else self._all_values(column, files)
        if names:
            self.classes = tuple(map(str, names))
            self._numbers: dict[Any, int] = {name: number for number, name in enumerate(self.classes)}
            self._numbers.update({number: number for number in range(len(names))})
        else:
            ordered = sorted(values)
            self.classes = tuple(map(str, ordered))
            self._numbers = {value: number for number, value in enumerate(ordered)}

    def number(self, stored: Any) -> int | None:
        """The class's number of a stored value; None where it is no class.

        Raises:
            TaskError: it is several classes, or a quantity.
        """
        return self._numbers.get(stored if self._simple else self._one(stored))

    def _all_values(self, column: str, files: Sequence[Path]) -> set[Any]:
        values: set[Any] = set()
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(1 << 16, columns=[column]):
                there = batch.column(0)
                values.update(there.unique().to_pylist() if self._simple else map(self._one, there.to_pylist()))
        return values - {None, _NO_LABEL}

    def _one(self, stored: Any) -> Any:
        """The one label that a list or a float is."""
        if isinstance(stored, list):
            if len(stored) > 1:
                raise TaskError(
                    f"{self._where} holds several labels for one image ({str(stored)[:60]}); images of one class each "
                    "are needed: name another column with label_column, or split these rows up"
                )
            stored = stored[0] if stored else None
        if stored is None or isinstance(stored, (int, str)):
            return stored
        value = float(stored)
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise TaskError(
                f"{self._where} holds {value:g}, a quantity and no class; name a column of classes with label_column, "
                'or write a task of your own for quantities (README, "Your own task")'
            )
        return int(value)


def _is(stored: pa.DataType, kinds: Sequence[Any]) -> bool:
    return any(holds(stored) for holds in kinds)


def holds_paths(file: pq.ParquetFile, column: str) -> bool:
    """Whether rows of a column may name image files: text, or a struct with a path whose bytes are not always there."""
    stored = file.schema_arrow.field(column).type
    if _is(stored, _TEXT):
        return True
    if not pa.types.is_struct(stored) or stored.get_field_index("path") < 0:
        return False
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    parts = [group.column(number) for group in groups for number in range(group.num_columns)]
    counts = [part.statistics for part in parts if part.path_in_schema == f"{column}.bytes"]
    return not counts or any(each is None or not each.has_null_count or each.null_count for each in counts)


def path_of(value: pa.Scalar) -> str | None:
    """The path that stands in a row in place of an image; None where there is none, or where the image is there."""
    if isinstance(value, pa.StructScalar):
        fields = value.as_py() or {}
        stored = fields.get("path") if fields.get("bytes") is None else None
    else:
        stored = value.as_py()
    return stored if isinstance(stored, str) else None


def file_of(stored: str, folders: Sequence[Path]) -> Path | None:
    """The file that a path means, in the first of these folders that has it."""
    for folder in folders:
        try:
            if (folder / stored).is_file():
                return folder / stored
        except (OSError, ValueError):  # too long, or with characters that no name has
            return None
    return None


def pixels_or_bytes(value: pa.Scalar) -> bytes | np.ndarray | None:
    """An image as it stands in a row: encoded, or ``(H, W)`` or ``(H, W, C)`` numbers; None where there is none."""
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
    """Numbers as an image ``(H, W)`` or ``(H, W, C)``; None where they cannot be one."""
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
    return pixels if grey_or_rgb and pixels.size and pixels.dtype.kind in "iuf" else None
