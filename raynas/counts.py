"""Counts that no float holds: a space of 300 holes of 16 values has 10^361 fillings."""

from __future__ import annotations

import math
from decimal import Decimal


def digits(count: int | float) -> str:
    """All digits of a count, or ``"inf"``. (``str`` refuses ints of more than 4,300 digits.)

    >>> digits(10**5_000)[:3], len(digits(10**5_000))
    ('100', 5001)
    """
    return "inf" if count == math.inf else format(Decimal(int(count)), "f")


def scientific(count: int) -> str:
    """A count in two digits and a power of ten, of any size.

    >>> scientific(16**300)
    '1.7e+361'
    """
    text = f"{Decimal(count):.1e}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent):+03d}"
