"""What a network costs before it is trained: parameters and FLOPs, per layer and in all.

FLOPs are **2 x multiply-adds** of one sample's forward pass, of matrix products, convolutions, attention and distances;
norms, activations, pooling and additions are not counted. (Most papers' tables give multiply-adds and call them FLOPs:
halve these numbers to compare.) An operation that may be a product and has no formula counts as 0, with a warning.

Each layer runs once on the ``meta`` device and is remembered, so the next network that has it pays microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from raynas.space.network.shapes import Shape, arguments_for, example, layers
from raynas.space.template.operation import Op
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Cost:
    """Cost of a whole network.

    Attributes:
        params: parameters (scalars).
        flops: 2 x multiply-adds of one sample's forward pass.
    """

    params: int
    flops: int


@dataclass(frozen=True)
class LayerCost:
    """Cost of one operation in its place.

    Attributes:
        path: the module's path in the network.
        kind: the module's class name.
        params: parameters (scalars).
        flops: 2 x multiply-adds for one sample.
        in_shape, out_shape: of one sample, without the batch dimension.
    """

    path: str
    kind: str
    params: int
    flops: int
    in_shape: Shape
    out_shape: Shape


def layer_costs(network: Network, input_shape: Any, dtype: Any = None) -> list[LayerCost]:
    """Parameters and FLOPs of each operation, in the order in which they run.

    Args:
        network: a filled template (``space.network(architecture)``).
        input_shape: of one sample, as ``(C, H, W)``; of several inputs, that of each by its name.
        dtype: of the input; float32 unless given.

    Raises:
        SpaceError: the network does not fit the input.
    """
    return [
        LayerCost(
            layer.path,
            layer.op.cls.__name__,
            layer.params,
            _flops(layer.op, layer.in_shape, layer.in_dtype),
            layer.in_shape,
            layer.out_shape,
        )
        for layer in layers(network, input_shape, dtype)
    ]


def totals(costs: Iterable[LayerCost]) -> Cost:
    """The sum over layers."""
    listed = list(costs)
    return Cost(sum(one.params for one in listed), sum(one.flops for one in listed))


def cost(network: Network, input_shape: Any, dtype: Any = None) -> Cost:
    """Parameters and FLOPs of a network. Arguments and errors as for :func:`layer_costs`."""
    return totals(layer_costs(network, input_shape, dtype))


@lru_cache(maxsize=50_000)
def _flops(op: Op, in_shape: Shape, dtype: Any) -> int:
    import torch

    from raynas.costs.flops import forward_flops

    def run(device: str, make: Callable[..., torch.Tensor]) -> int:
        with torch.device(device), torch.random.fork_rng(devices=[]):
            module = op.cls(**arguments_for(op, in_shape)).to(device).eval()
            return forward_flops(module, example(make, 1, in_shape, dtype, device))

    try:
        return run("meta", torch.zeros)
    except (NotImplementedError, RuntimeError):  # what looks at values cannot run on meta tensors
        try:
            return run("cpu", torch.zeros)
        except Exception:  # a sequence of zeros may be one of nothing but padding (see raynas.space.network.shapes)
            return run("cpu", torch.ones)
