"""From feature maps to class scores."""

from __future__ import annotations

from torch import Tensor, nn


class ClassifierHead(nn.Module):
    """Global average pooling, dropout, linear: ``(N, in_channels, H, W) -> (N, num_classes)`` logits.

    Args:
        in_channels: channels that arrive.
        num_classes: classes.
        dropout: probability of dropping a pooled channel in training.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(x.mean((2, 3))))
