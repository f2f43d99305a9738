"""Small tables of the tests' own, and where the real ones lie."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from raynas.simulate import Table


def data(name: str) -> Path:
    """A file of ``$RAYNAS_DATA``; the test is skipped where it is not there."""
    folder = os.environ.get("RAYNAS_DATA")
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"needs {name} in $RAYNAS_DATA")
    return Path(folder) / name


def grid(holes: int = 3, size: int = 3) -> Table:
    """All strings of digits, with the number that they write as their value."""
    texts = ["".join(map(str, digits)) for digits in itertools.product(range(size), repeat=holes)]
    return Table({"architecture": texts, "value": [float(int(text, size)) for text in texts]})


def curves(rows: int = 27, steps: int = 9) -> Table:
    """Curves that rise to the row's own number, a second a step for even rows and two for odd ones."""
    texts = ["".join(map(str, digits)) for digits in itertools.product(range(3), repeat=3)][:rows]
    return Table(
        {
            "architecture": texts,
            "value": [[row * step / steps for step in range(1, steps + 1)] for row in range(rows)],
            "seconds": [1.0 + row % 2 for row in range(rows)],
        }
    )
