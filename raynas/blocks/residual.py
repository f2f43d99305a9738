"""The basic residual block, with the variations that the ``resnet`` space searches over."""

from __future__ import annotations

from torch import Tensor, nn

from raynas.blocks.activation import activation as make_activation
from raynas.blocks.conv import ConvNormAct, SqueezeExcite


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016, section 3).

    ``(N, in_channels, H, W) -> (N, out_channels, ceil(H/stride), ceil(W/stride))``. Where the shapes differ the
    shortcut is a 1x1 convolution with batch norm.

    Args:
        in_channels: channels that arrive.
        out_channels: channels that leave.
        kernel_size: odd; of both convolutions.
        stride: 2 halves height and width.
        activation: a key of ``ACTIVATIONS``.
        squeeze_excite: whether the residual branch ends in squeeze-and-excitation.
        downsample: how a stride above 1 is made: ``"conv"`` (strided convolutions), ``"avg"`` or ``"max"`` (pooling
            before both branches).

    Raises:
        ValueError: ``downsample`` is none of the three.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: str = "relu",
        squeeze_excite: bool = False,
        downsample: str = "conv",
    ) -> None:
        super().__init__()
        pools = {"conv": None, "avg": nn.AvgPool2d, "max": nn.MaxPool2d}
        if downsample not in pools:
            raise ValueError(f"downsample {downsample!r} is not known; there are: {', '.join(pools)}")
        pool = pools[downsample] if stride > 1 else None
        self.pool = nn.Identity() if pool is None else pool(stride, ceil_mode=True)
        inner_stride = stride if pool is None else 1
        self.conv1 = ConvNormAct(in_channels, out_channels, kernel_size, inner_stride, activation=activation)
        self.conv2 = ConvNormAct(out_channels, out_channels, kernel_size, activation="none")
        self.gate = SqueezeExcite(out_channels) if squeeze_excite else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if inner_stride > 1 or in_channels != out_channels:
            self.shortcut = ConvNormAct(in_channels, out_channels, 1, inner_stride, activation="none")
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        return self.act(self.shortcut(x) + self.gate(self.conv2(self.conv1(x))))
