"""Building blocks: plain ``nn.Module`` classes in files that need torch and each other, nothing else.

Networks found by a search are made of them and exported with them as they stand, so nothing here knows RayNAS.
"""

from raynas.blocks.activation import activation
from raynas.blocks.conv import ConvNormAct, SqueezeExcite
from raynas.blocks.dense import DenseBlock
from raynas.blocks.head import ClassifierHead
from raynas.blocks.pick import Pick
from raynas.blocks.residual import ResidualBlock

__all__ = ["ClassifierHead", "ConvNormAct", "DenseBlock", "Pick", "ResidualBlock", "SqueezeExcite", "activation"]
