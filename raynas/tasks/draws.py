"""Chance that follows from what it is drawn for: the same on every machine, in every process, after any break."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def seed_of(*parts: object) -> int:
    """A 63-bit seed that follows from the parts alone, on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def any_of(total: int, count: int, *seed: object) -> Tensor:
    """``count`` of ``range(total)`` (all, where there are not as many), int64, drawn without repeats.

    Whatever looks at a part of the data takes this one and not its head: data are often sorted, by class for example.

    Args:
        seed: what the draw follows from, on every machine.
    """
    return order_of(total, *seed)[:count]


def order_of(total: int, *seed: object) -> Tensor:
    """``range(total)``, int64, shuffled.

    Args:
        seed: what the order follows from, on every machine.
    """
    import torch

    return torch.randperm(total, generator=torch.Generator().manual_seed(seed_of(*seed)))
