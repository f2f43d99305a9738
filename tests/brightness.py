"""Folders of images whose class is their brightness, for tests of tasks and of what is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def make_folder(root: Path, classes: dict[str, int], count: int, seed: int, noise: float = 30) -> Path:
    """So many 10x10 PNGs a class, each of its brightness (0 to 255) with normal noise."""
    rng = np.random.default_rng(seed)
    for name, brightness in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = (brightness + rng.normal(0, noise, (10, 10))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root
