"""The blocks: shapes, gradients, and that their files need torch and each other only."""

import ast
from pathlib import Path

import pytest
import torch

import raynas.blocks
from raynas.blocks import ClassifierHead, ConvNormAct, DenseBlock, ResidualBlock, SqueezeExcite, activation
from raynas.blocks.activation import ACTIVATIONS

FILES = [path for path in Path(raynas.blocks.__file__).parent.glob("*.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_blocks_import_torch_and_each_other_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            known = name == "__future__" or name.split(".")[0] in ("torch", "collections", "math", "typing")
            assert known or name.startswith("raynas.blocks"), f"{path.name} imports {name}"


@pytest.mark.parametrize("size", [1, 4, 7, 8])
@pytest.mark.parametrize("downsample", ["conv", "avg", "max"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_every_downsampling_gives_the_same_shape(size: int, downsample: str, kernel: int) -> None:
    block = ResidualBlock(6, 10, kernel_size=kernel, stride=2, downsample=downsample, squeeze_excite=True)
    x = torch.randn(3, 6, size, size, requires_grad=True)
    y = block(x)
    half = -(-size // 2)
    assert y.shape == (3, 10, half, half)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())


def test_a_residual_block_is_its_branch_plus_its_input() -> None:
    block = ResidualBlock(4, 4, activation="silu").eval()
    x = torch.randn(2, 4, 5, 5)
    branch = block.conv2.norm(block.conv2.conv(block.conv1(x)))
    assert torch.equal(block(x), torch.nn.functional.silu(x + branch))
    assert list(block.shortcut.parameters()) == []


def test_a_gate_scales_each_channel_by_one_number_between_0_and_1() -> None:
    x = torch.rand(2, 8, 3, 3) + 0.5
    ratio = SqueezeExcite(8)(x) / x
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert ((ratio > 0) & (ratio < 1)).all()


def test_a_head_sees_means_alone() -> None:
    head = ClassifierHead(5, 3).eval()
    x = torch.randn(2, 5, 4, 4)
    assert torch.allclose(head(x), head(x.mean((2, 3), keepdim=True)), atol=1e-6)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_dense_block_has_one_bias_per_feature(norm: str) -> None:
    block = DenseBlock(7, 5, norm=norm, dropout=0.5)
    assert block(torch.randn(4, 7)).shape == (4, 5)
    biases = [name for name, _ in block.named_parameters() if name.endswith("bias")]
    assert len(biases) == 1


def test_convolutions_keep_the_size_and_halve_it() -> None:
    assert ConvNormAct(3, 8, 5)(torch.randn(2, 3, 9, 9)).shape == (2, 8, 9, 9)
    assert ConvNormAct(4, 8, 3, stride=2, groups=4)(torch.randn(2, 4, 9, 9)).shape == (2, 8, 5, 5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_the_shape(name: str) -> None:
    assert activation(name)(torch.randn(2, 3)).shape == (2, 3)


def test_wrong_names_say_what_there_is() -> None:
    with pytest.raises(ValueError, match="'rellu' is not known; there are: .*relu"):
        activation("rellu")
    with pytest.raises(ValueError, match="conv, avg, max"):
        ResidualBlock(4, 4, stride=2, downsample="blur")
    with pytest.raises(ValueError, match="none, batch, layer"):
        DenseBlock(4, 4, norm="group")
