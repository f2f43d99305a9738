"""What a data set is, in one line: for the plan, the journal, the progress of a search."""

from __future__ import annotations

from collections.abc import Sequence

from raynas.tasks.images.cache import About
from raynas.tasks.images.decode import Fit
from raynas.tasks.images.losses import describe_kinds

_CLASSES = 5


def summary_of(about: About, valid_size: int, fit: Fit) -> str:
    """How many images of what kind in which classes, what was done to them, and what was left out.

    Args:
        about: the decoded data.
        valid_size: how many of them are validated with.
        fit: what became of other sizes.
    """
    channels, height, width = about.shape
    kind = "grey" if channels == 1 else "colour"
    words = f"{about.size:,} images in {len(about.classes)} classes ({describe_classes(about.classes, about.counts)}), "
    words += f"{height}x{width} {kind}"
    if about.fitted:
        how = "scaled, cropped to the middle" if fit == "crop" else "resized"
        smallest, largest = (f"{high}x{wide}" for high, wide in about.sizes)
        words += f" ({how} from {smallest})" if smallest == largest else f" ({how} from {smallest} to {largest})"
    if about.levels is not None:
        low, high = about.levels
        which = "deeper than 8 bits" if about.deep >= about.size else f"{about.deep:,} deeper than 8 bits"
        words += f"; {which}: values from {low:g} to {high:g} are black to white in all of them"
    if about.narrowed:
        words += f"; of {about.narrowed:,} with 16 bits a colour the upper 8 are read"
    own = "the data's own" if about.held_out else f"{valid_size / about.size:.0%} of each class"
    words += f"; {valid_size:,} to validate with ({own})"
    if about.blank:
        words += f"; {about.blank:,} of one value each (blank)"
    if about.unreadable:
        words += f"; {about.unreadable} skipped as unreadable"
    if about.passed_over:
        words += f"; passed over: {describe_kinds(dict(about.passed_over))}"
    if about.empty:
        words += f"; no images of {', '.join(about.empty[:_CLASSES])}"
        words += f" and {len(about.empty) - _CLASSES} more" if len(about.empty) > _CLASSES else ""
    return words


def describe_classes(classes: Sequence[str], counts: Sequence[int]) -> str:
    """``"cat: 40, dog: 38 and 8 more"``: the first few names with their images."""
    named = ", ".join(f"{_short(name)}: {count:,}" for name, count in zip(classes[:_CLASSES], counts, strict=False))
    return named + (f" and {len(classes) - _CLASSES} more" if len(classes) > _CLASSES else "")


def _short(name: str) -> str:
    """A class's name as it can be shown anywhere: file names may hold what is no character."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    return name if len(name) <= 30 else f"{name[:29]}…"
