"""Random variations of whole batches of images: one call of each tensor operation a batch, not one an image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad


def shift(images: Tensor, generator: Generator, pixels: int = 1) -> Tensor:
    """Moves each image by up to ``pixels`` in each direction; what moves in from outside repeats the edge.

    Args:
        images: ``(B, C, H, W)`` floats.
        generator: a CPU generator; nothing else decides.
        pixels: the largest shift; all shifts in a ``(2 * pixels + 1)`` square are equally likely.

    Returns:
        A new tensor of the same shape.
    """
    batch, _, height, width = images.shape
    padded = pad(images, (pixels,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * pixels + 1, (2, batch), generator=generator).to(images.device)
    rows = (offsets[0, :, None] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (offsets[1, :, None] + torch.arange(width, device=images.device))[:, None, None, :]
    which = torch.arange(batch, device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return padded[which, channels, rows, columns]
