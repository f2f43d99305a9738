"""Images that stand in memory: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from raynas.errors import TaskError
from raynas.tasks.images.source import Sample, Source


class Arrays(Source):
    """Arrays (NumPy's, or tensors) of images and labels.

    Args:
        images: uint8, or floats in [0, 1].
        labels: class numbers from 0, or names.
        classes: the classes' names, where the labels are numbers.
        valid: images and labels to validate with, in the same form.

    Raises:
        TaskError: shapes or values that cannot be images and their labels.
    """

    def __init__(
        self, images: Any, labels: Any, classes: Sequence[str] | None = None, valid: tuple[Any, Any] | None = None
    ) -> None:
        self.name = "the arrays"
        self.own_split = valid is not None
        self._parts = [(_bytes(images), np.asarray(labels), False)]
        if valid is not None:
            self._parts.append((_bytes(valid[0]), np.asarray(valid[1]), True))
        for pixels, marks, _ in self._parts:
            if marks.shape != pixels.shape[:1]:
                raise TaskError(f"{len(pixels)} images need as many labels; the labels have shape {marks.shape}")
        everything = np.concatenate([marks for _, marks, _ in self._parts])
        if everything.dtype.kind not in "iuUO":
            raise TaskError(f"labels are {everything.dtype} values; class numbers or names are needed")
        values = sorted(set(everything.tolist()))
        if classes is not None and values and (values[0] < 0 or values[-1] >= len(classes)):
            raise TaskError(f"labels run from {values[0]} to {values[-1]}, but there are {len(classes)} classes")
        self.classes = tuple(map(str, values if classes is None else classes))
        self._numbers = {
            value: number for number, value in enumerate(values if classes is None else range(len(classes)))
        }
        self.size = len(everything)

    def samples(self) -> Iterator[Sample]:
        number = 0
        for pixels, marks, held_out in self._parts:
            for image, mark in zip(pixels, marks.tolist(), strict=True):
                yield Sample(f"image {number}", image, self._numbers[mark], held_out)
                number += 1

    def content(self) -> str:
        digest = hashlib.blake2b(repr(self.classes).encode(), digest_size=16)
        for pixels, marks, _ in self._parts:
            digest.update(repr((pixels.shape, marks.tolist())).encode())
            digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()


def _bytes(images: Any) -> np.ndarray:
    """``(N, H, W)`` or ``(N, H, W, 3)`` in uint8."""
    pixels = np.asarray(images)
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3) and pixels.shape[3] not in (1, 3):
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)) or 0 in pixels.shape[1:]:
        raise TaskError(
            f"images of shape {pixels.shape} are not understood; "
            "give (N, H, W), (N, H, W, C) or (N, C, H, W), with C 1 or 3"
        )
    if pixels.dtype.kind == "f" and pixels.size:
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise TaskError(f"float images must lie in [0, 1]; these run from {pixels.min():g} to {pixels.max():g}")
        pixels = (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise TaskError(f"images are {pixels.dtype}; give uint8 (0 to 255), or floats in [0, 1]")
    return pixels
