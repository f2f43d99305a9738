"""Random variations of whole batches of images: one call of each tensor operation a batch, not one an image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def shift(images: Tensor, generator: Generator, pixels: int = 1, mirror: bool = False) -> Tensor:
    """Moves each image by up to ``pixels`` in each direction; what moves in from outside repeats the edge.

    Args:
        images: ``(B, C, H, W)`` floats.
        generator: a CPU generator; nothing else decides.
        pixels: the largest shift; all shifts in a ``(2 * pixels + 1)`` square are equally likely.
        mirror: whether to turn each image left to right with probability one half, in the same pass over the memory.

    Returns:
        A new tensor of the same shape.
    """
    batch, channels, height, width = images.shape
    offsets = torch.randint(0, 2 * pixels + 1, (2, batch), generator=generator).sub_(pixels)
    columns = torch.arange(width).expand(batch, -1)
    if mirror:
        turned = torch.rand(batch, generator=generator) < 0.5
        columns = torch.where(turned[:, None], columns.flip(1), columns)
    rows = (offsets[0, :, None] + torch.arange(height)).clamp_(0, height - 1)
    columns = (offsets[1, :, None] + columns).clamp_(0, width - 1)
    rows, columns = rows.to(images.device), columns.to(images.device)
    where = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return images.reshape(batch, channels, -1).gather(2, where).view(images.shape)


def cutout(images: Tensor, generator: Generator, pixels: int) -> Tensor:
    """Sets a square of each image to zero, the mean of prepared images (DeVries & Taylor 2017, arXiv:1708.04552).

    Args:
        images: ``(B, C, H, W)`` floats; changed in place.
        generator: a CPU generator; nothing else decides.
        pixels: side of the square; its middle is anywhere in the image, so parts of it may lie outside.

    Returns:
        ``images``.
    """
    batch, _, height, width = images.shape
    middle = torch.rand(2, batch, 1, generator=generator)
    rows = (torch.arange(height) - (middle[0] * height).floor_() + pixels // 2).to(images.device)
    columns = (torch.arange(width) - (middle[1] * width).floor_() + pixels // 2).to(images.device)
    inside = ((rows >= 0) & (rows < pixels))[:, None, :, None] & ((columns >= 0) & (columns < pixels))[:, None, None, :]
    return images.masked_fill_(inside, 0.0)
