"""Lengths of time as a person writes them: ``90``, ``90s``, ``5m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import math
import re

from raynas.errors import SpecError

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


def parse_duration(text: str | float, name: str = "time") -> float:
    """Seconds of ``text``; a bare number is seconds.

    Args:
        name: what the text is given for, as an error names it.

    Raises:
        SpecError: not a length of time, or not longer than zero.
    """
    written = str(text).strip().lower()
    try:
        seconds = float(written)
    except ValueError:
        if not _PATTERN.fullmatch(written):
            raise SpecError(f"{name} {text!r} is not a length of time; write 90s, 5m, 2h or 1h30m") from None
        seconds = sum(float(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"\d+(?:\.\d+)?[dhms]", written))
    if not 0 < seconds < float("inf"):
        raise SpecError(f"{name} {text!r} leaves nothing to search in; give more than zero, such as 5m")
    return seconds


def format_duration(seconds: float) -> str:
    """``seconds`` in the two leading units: ``45s``, ``3m20s``, ``2h05m``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def brief_duration(seconds: float) -> str:
    """As ``format_duration``, but with a tenth of a second below ten: ``7.3s``."""
    return f"{seconds:.1f}s" if seconds < 10 else format_duration(seconds)


def typed_duration(seconds: float) -> str:
    """Seconds as one types them: ``10m``, ``90s``."""
    whole = round(seconds)
    if whole % 3_600 == 0:
        return f"{whole // 3_600}h"
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"


def rounded_up(seconds: float) -> str:
    """Seconds as one types them, rounded up: ``19s``, ``12m``, ``3h``."""
    if seconds < 60:
        return f"{math.ceil(seconds)}s"
    return f"{math.ceil(seconds / 60)}m" if seconds < 7_200 else f"{math.ceil(seconds / 3_600)}h"
