"""Counts the FLOPs (2 x multiply-adds) of one forward pass of any module, on any device, also ``meta``.

``torch.utils.flop_counter`` does it, apart from what it counts as 0 without a word:

- fused attention: it is switched to its plain form here, which consists of matrix products;
- recurrent layers (``nn.RNN``, ``nn.GRU``, ``nn.LSTM``): they are counted by formula;
- a few products that it does not know, and what complex numbers cost more: see :mod:`raynas.costs.products`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from raynas.costs.products import UncountedProducts, warn_of_unknown

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def forward_flops(module: nn.Module, *inputs: Tensor) -> int:
    """FLOPs of ``module(*inputs)``, for all samples of the inputs together.

    Gradients stay on, since without them ``nn.MultiheadAttention`` takes a fused path that cannot be counted.
    """
    counted: list[int] = []
    counter, products = FlopCounterMode(display=False), UncountedProducts()
    with ExitStack() as stack:
        stack.enter_context(_plain_attention())
        for child in module.modules():
            if isinstance(child, nn.RNNBase):
                stack.callback(_replaced(child, partial(_recurrent_stand_in, child, counted)))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(products)  # outside: the counter takes operations apart before they come here
        stack.enter_context(counter)
        module(*inputs)
    warn_of_unknown(type(module).__name__, products.unknown)
    return counter.get_total_flops() + products.flops + sum(counted)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention and transformer layers as matrix products: no fused kernels, also where no parameter is trained."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def recurrent_flops(module: nn.RNNBase, batch: int, length: int) -> int:
    """FLOPs of the matrix products of a recurrent layer: ``batch`` sequences of ``length`` steps."""
    gates = GATES[module.mode]
    directions = 2 if module.bidirectional else 1
    hidden, output = module.hidden_size, module.proj_size or module.hidden_size
    total = 0
    for layer in range(module.num_layers):
        features = module.input_size if layer == 0 else output * directions
        a_step = gates * hidden * (features + output) + (hidden * output if module.proj_size else 0)
        total += directions * a_step
    return 2 * total * batch * length


def _replaced(module: nn.Module, forward: Callable[..., Any]) -> Callable[[], None]:
    """Puts ``forward`` in the place of a module's own; returns what takes it away again."""
    module.__dict__["forward"] = forward
    return lambda: module.__dict__.pop("forward") and None


def _recurrent_stand_in(module: nn.RNNBase, counted: list[int], x: Any, state: Any = None) -> tuple[Any, Any]:
    """Notes a recurrent layer's FLOPs and returns tensors of the shapes that it would return."""
    if not isinstance(x, Tensor):
        raise NotImplementedError("FLOPs of packed sequences are not counted; give a padded tensor")
    batched = x.dim() == 3
    batch_dim = 0 if module.batch_first else 1
    batch, length = (x.shape[batch_dim], x.shape[1 - batch_dim]) if batched else (1, x.shape[0])
    counted.append(recurrent_flops(module, batch, length))
    directions = 2 if module.bidirectional else 1
    width = module.proj_size or module.hidden_size
    many = (batch,) if batched else ()
    output = x.new_zeros((*x.shape[:-1], directions * width))
    hidden = x.new_zeros((directions * module.num_layers, *many, width))
    if module.mode == "LSTM":
        return output, (hidden, x.new_zeros((directions * module.num_layers, *many, module.hidden_size)))
    return output, hidden
