"""Which picture sizes a search may choose from: down from the pictures' own, never larger.

A person tells most things apart at 32x32 (CIFAR-10: 94 % right; Ho-Phuoc 2018, arXiv:1811.07270), so a search does not
choose anything smaller where the pictures are larger.
"""

from __future__ import annotations

from raynas.tasks.images.cache import About

#: Usual sides in pixels; divisible by 16, so that stages can halve.
SIDES = (32, 48, 64, 96, 128, 160, 192, 224)
_SMALLEST = 8  # of pictures that are smaller still


def own_size(about: About) -> tuple[int, int]:
    """Height and width of the pictures: theirs where all have the same, else a square of half of the pictures' side.

    Half of the pictures have a shorter side of at least that.
    """
    smallest, largest = about.sizes
    if smallest == largest:
        return smallest
    side = max(_SMALLEST, about.typical_side or min(smallest))
    return (side, side)


def choices(about: About) -> list[tuple[int, int]]:
    """Sizes (height, width) to choose from, growing; the last one is the pictures' own, or the largest usual one."""
    own = own_size(about)
    squares = [(side, side) for side in SIDES if side < min(own)]
    return [*squares, own] if min(own) <= SIDES[-1] else squares


def largest_side(about: About) -> int:
    """The shorter side of the largest picture: at any larger size every picture would be blown up."""
    return min(about.sizes[1])
