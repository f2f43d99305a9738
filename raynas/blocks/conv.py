"""Convolution with batch norm and activation, and squeeze-and-excitation: what residual networks are made of."""

from __future__ import annotations

from torch import Tensor, nn

from raynas.blocks.activation import activation as make_activation


class ConvNormAct(nn.Module):
    """Convolution, batch norm, activation.

    ``(N, in_channels, H, W) -> (N, out_channels, ceil(H/stride), ceil(W/stride))``.

    Args:
        in_channels: channels that arrive.
        out_channels: channels that leave.
        kernel_size: odd; the padding keeps the size at stride 1.
        stride: 2 halves height and width.
        groups: groups of the convolution (``in_channels`` for a depthwise one).
        activation: a key of ``ACTIVATIONS``; ``"none"`` for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channels' means (Hu et al. 2018, section 3).

    Args:
        in_channels: channels that arrive and leave.
        reduction: the gate's hidden layer has ``in_channels / reduction`` units, at least 4.
    """

    def __init__(self, in_channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(4, in_channels // reduction)
        self.squeeze = nn.Linear(in_channels, hidden)
        self.act = nn.ReLU()
        self.excite = nn.Linear(hidden, in_channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.gate(self.excite(self.act(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]
