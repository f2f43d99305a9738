"""Decoded images in one Arrow file a data set, mapped into memory: all processes of a machine share its pages.

The file is found by a hash of the data's content and of how it is decoded, so it never has to be told that the data
changed. It is built under a lock (``flock``: a dead process holds nothing) into a temporary name and moved into place
when it is whole. Its rows stand in a stratified order (``order.py``), the data's own validation part last.

The cache's folder is ``$RAYNAS_CACHE`` (default: ``raynas`` in ``$XDG_CACHE_HOME`` or ``~/.cache``). It may be removed
at any time, except under a running search.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import mmap
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raynas.errors import TaskError
from raynas.paths import absolute, user_cache

VERSION = 1
_KEY = b"raynas"


def cache_folder() -> Path:
    """Where decoded data is kept on this machine."""
    if given := os.environ.get("RAYNAS_CACHE"):
        return absolute(given)
    return user_cache()


@dataclass(frozen=True)
class About:
    """What a cache file says of itself.

    Args:
        shape: of one image, ``(C, H, W)``.
        classes: their names.
        counts: images of each class.
        held_out: images in the data's own validation part (the last rows); 0 where it has none.
        fitted: how many images had another size.
        sizes: smallest and largest (height, width) met, by pixels.
        unreadable: how many were skipped.
        examples: the first few of those, each with the reason.
        mean: of each channel, in 0 to 255, over the first half of the training part.
        std: likewise.
        source: where the data was when it was decoded.
        levels: which values became 0 and 255 in images deeper than 8 bits; None where there are none.
        deep: how many images are deeper than 8 bits.
        values: what those hold: ``"whole"`` or ``"float"`` numbers; ``""``: both, or there are none.
        narrowed: how many have colours of 16 bits, of which the upper 8 were read.
        blank: how many hold one value alone.
        passed_over: kinds of files that lie there and were not read, each with their number.
        empty: classes that have no image.
        typical_side: half of the images have a shorter side of at least so many pixels (0: an earlier release did not
            note it).
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    held_out: int
    fitted: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    unreadable: int
    examples: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str
    levels: tuple[float, float] | None = None
    deep: int = 0
    values: str = ""
    narrowed: int = 0
    blank: int = 0
    passed_over: tuple[tuple[str, int], ...] = ()
    empty: tuple[str, ...] = ()
    typical_side: int = 0

    @property
    def size(self) -> int:
        """All images."""
        return sum(self.counts)


@dataclass(frozen=True)
class Cached:
    """A cache file, mapped.

    Args:
        about: see there.
        images: ``(N, C, H, W)`` uint8. The map is private: writing to it changes nothing elsewhere, and unshares the
            page written to.
        labels: ``(N,)`` int64.
    """

    about: About
    images: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)


def cache_path(content: str, options: dict[str, Any]) -> Path:
    """The file for a data set's content hash, decoded with these (JSON-able) options."""
    text = json.dumps([VERSION, content, options], sort_keys=True)
    return cache_folder() / "images" / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.arrow"


def open_cache(path: Path) -> Cached | None:
    """Maps a cache file; None where there is none, or where it is damaged (after a power cut)."""
    try:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    try:
        whole = pa.py_buffer(memory)
        reader = pa.ipc.open_file(whole)
        batch = reader.get_batch(0)
        about = _about(json.loads(reader.schema.metadata[_KEY]))
        images = _array(memory, whole, batch.column("image"), np.uint8).reshape(-1, *about.shape)
        labels = _array(memory, whole, batch.column("label"), np.int64)
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError):
        return None
    if len(images) != about.size or len(labels) != about.size:
        return None
    return Cached(about, images, labels)


def _array(memory: mmap.mmap, whole: pa.Buffer, column: pa.Array, kind: Any) -> np.ndarray:
    """A column's values as they lie in the map."""
    buffer = column.buffers()[1]
    count = buffer.size // np.dtype(kind).itemsize
    return np.frombuffer(memory, kind, count=min(count, _values(column)), offset=buffer.address - whole.address)


def _values(column: pa.Array) -> int:
    width = column.type.byte_width if pa.types.is_fixed_size_binary(column.type) else 1
    return len(column) * width


def _about(values: dict[str, Any]) -> About:
    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return About(**{key: frozen(value) for key, value in values.items()})


@contextlib.contextmanager
def building(path: Path) -> Iterator[None]:
    """Holds the lock on one cache file; waits while another process builds it. What a killed one left is removed.

    Raises:
        TaskError: the cache's folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise TaskError(
            f"the cache folder {path.parent} cannot be written: {error}; set RAYNAS_CACHE to another"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in path.parent.glob(f"{path.stem}.*.tmp"):
            stale.unlink(missing_ok=True)
        yield


class Builder:
    """State: an image file in the making. Use it inside ``building``; ``close`` in any case.

    Args:
        path: the cache file.
        rows: room for so many images.
        shape: of one.

    Raises:
        TaskError: the disk has no room for them.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, int, int]) -> None:
        self._path = path
        self._raw = path.with_suffix(".raw.tmp")
        try:
            _reserve(self._raw, rows * math.prod(shape))
            self.images = np.memmap(self._raw, np.uint8, "r+", shape=(rows, *shape))
        except OSError as error:
            self.close()
            raise _no_room(path.parent, rows * math.prod(shape), error) from None

    def finish(self, kept: np.ndarray, labels: np.ndarray, about: About) -> None:
        """Writes the rows ``kept`` (ascending) and puts the file into place.

        Raises:
            TaskError: the disk is full.
        """
        images = self.images
        if len(kept) < len(images):
            for to, row in enumerate(kept.tolist()):
                if to != row:
                    images[to] = images[row]
        values = images[: len(kept)].reshape(len(kept), -1)
        labels = np.ascontiguousarray(labels[kept], dtype=np.int64)
        half = values[: max(1, (len(kept) - about.held_out) // 2)].reshape(-1, *about.shape)
        mean, std = _statistics(half)
        about = replace(about, mean=mean, std=std)

        column = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(values.shape[1]), len(kept), [None, pa.py_buffer(values.reshape(-1))]
        )
        schema = pa.schema(
            [("image", column.type), ("label", pa.int64())], metadata={_KEY: json.dumps(asdict(about)).encode()}
        )
        temporary = self._path.with_suffix(".arrow.tmp")
        try:
            with temporary.open("wb") as file:
                with pa.ipc.new_file(file, schema) as writer:
                    writer.write_batch(pa.record_batch([column, pa.array(labels)], schema=schema))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except (OSError, pa.ArrowException) as error:
            temporary.unlink(missing_ok=True)
            raise _no_room(self._path.parent, values.nbytes, error) from None

    def close(self) -> None:
        """Lets go of the room."""
        self._raw.unlink(missing_ok=True)


def _reserve(path: Path, size: int) -> None:
    """Makes a file of ``size`` bytes that has its room on the disk.

    A mapped file with holes takes its room when a page is written to, and where there is none then, the process is
    killed by a signal (SIGBUS) that no code can answer.

    Raises:
        OSError: there is no room.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
        block = bytes(1 << 20)  # macOS, and file systems that cannot reserve
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())  # some file systems find out here that the disk is full


def _no_room(folder: Path, size: int, error: Exception) -> TaskError:
    return TaskError(
        f"the decoded images ({size / 1e6:,.0f} MB, and as much again while they are made) could not be written to "
        f"{folder}: {getattr(error, 'strerror', None) or error}; make room, or set RAYNAS_CACHE to another folder"
    )


def _statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, a block at a time."""
    count, total, squares = 0, np.zeros(images.shape[1]), np.zeros(images.shape[1])
    for start in range(0, len(images), 1024):
        block = images[start : start + 1024].astype(np.float64)
        count += block.size // block.shape[1]
        total += block.sum((0, 2, 3))
        squares += (block**2).sum((0, 2, 3))
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # at least one grey level: blank images divide by it
    return tuple(mean.round(3).tolist()), tuple(std.round(3).tolist())
