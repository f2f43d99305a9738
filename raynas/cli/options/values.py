"""Words of a person as values: parsers that name the option, what was given, and what would be right."""

from __future__ import annotations

from collections.abc import Callable

from raynas.durations import parse_duration
from raynas.errors import SpecError


def whole(option: str, least: int) -> Callable[[str], int]:
    """A parser of whole numbers from ``least`` up, for the option of that name."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise SpecError(f"{option} {text!r} is not a whole number; give {least} or more") from None
        if number < least:
            raise SpecError(f"{option} {number} is too small; give {least} or more")
        return number

    return parse


def amount(option: str, *, zero: bool) -> Callable[[str], float]:
    """A parser of numbers above zero (from zero with ``zero``), for the option of that name."""
    least = "0 or more" if zero else "more than 0"

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise SpecError(f"{option} {text!r} is not a number; give {least}") from None
        if not 0 <= number < float("inf") or (number == 0 and not zero):
            raise SpecError(f"{option} {text} cannot be; give {least}")
        return number

    return parse


def length_of_time(option: str) -> Callable[[str], float]:
    """A parser of lengths of time (``90``, ``5m``, ``1h30m``) into seconds, for the option of that name."""

    def parse(text: str) -> float:
        return parse_duration(text, option)

    return parse
