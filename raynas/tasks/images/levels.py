"""Grey values beyond 8 bits (microscopes, X-rays, maps): one range of a whole data set becomes 0 to 255.

Scaling each picture by itself would make equal values unequal, and a scale of the type (65,535) would leave a few grey
levels of 12-bit pictures, and none of floats in [0, 1]. So the range is that of the data. A picture's own range leaves
out its darkest and its brightest ten-thousandth (at least one pixel each): a hot pixel would otherwise squeeze
everything else. The range of the data is the widest of these, so one bright picture counts in full.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import numpy as np

from raynas.errors import TaskError

#: From which value to which: they become 0 and 255, what lies outside becomes the nearer of the two.
Levels = tuple[float, float]

_LEFT_OUT = 10_000


def own_range(values: np.ndarray) -> tuple[float, float, float, float] | None:
    """A picture's range without its extremes, and its full range; None where no value is finite."""
    flat = np.asarray(values, np.float64).reshape(-1)
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return None
    out = min(max(1, flat.size // _LEFT_OUT), (flat.size - 1) // 2)
    ordered = np.partition(flat, (out, flat.size - 1 - out))
    return float(ordered[out]), float(ordered[-1 - out]), float(flat.min()), float(flat.max())


def widest(ranges: Iterable[tuple[float, float, float, float]], name: str) -> Levels:
    """The levels of a data set from its pictures' ranges.

    Raises:
        TaskError: all pixels have one value.
    """
    low, high, least, greatest = np.array(list(ranges)).T
    for levels in ((float(low.min()), float(high.max())), (float(least.min()), float(greatest.max()))):
        if levels[0] < levels[1]:
            return levels
    raise TaskError(
        f"all pixels of the images in {name} have one value ({least.min():g}); nothing can be learnt from it"
    )


def to_bytes(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Values as uint8; what is no number becomes 0."""
    low, high = levels
    scaled = (np.asarray(values, np.float64) - low) * (255 / (high - low))
    return np.nan_to_num(scaled, nan=0.0).round().clip(0, 255).astype(np.uint8)


def is_deep(values: np.ndarray) -> bool:
    """Whether an array's numbers are other than whole ones from 0 to 255, as pixels of 8 bits are."""
    if values.dtype == np.uint8:
        return False
    return not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255)


def refuse_deep(name: str, count: int) -> NoReturn:
    """Refuses images deeper than 8 bits for a network that never saw such.

    Raises:
        TaskError: always.
    """
    raise TaskError(
        f"{count} of the images in {name} are deeper than 8 bits, and the network was trained on images of 8 bits; "
        "convert them as those were"
    )
