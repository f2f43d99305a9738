"""Products that ``torch.utils.flop_counter`` does not count, and operations of which nobody knows what they cost."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten

#: A complex multiply-add is four multiplications and four additions of real numbers.
_COMPLEX = 4

#: Operations of these kinds multiply no matrices: element by element, sums and maxima, views, random numbers.
_FREE = frozenset(
    {torch.Tag.pointwise, torch.Tag.reduction, torch.Tag.view_copy, torch.Tag.inplace_view,
     torch.Tag.nondeterministic_seeded}
)  # fmt: skip
#: Of torch's other operations, those with such names do; all others move, sort, pool or normalise.
_PRODUCTS = re.compile(
    r"mm(_|$)|mv(_|$)|dot(_|$)|matmul|(^|_)linear(_|$)|conv(_|ol|$)|attention|encoder|lstm|gru|rnn"
    r"|fft_[cr]2|linalg_(?!cross|check)|solve|cholesky|geqrf|ormqr|qr$|linear_combination|[cp]dist|euclidean"
)

_told: set[str] = set()  # state of the process: operations that a person has been told of


class UncountedProducts(TorchDispatchMode):
    """Entered outside a ``FlopCounterMode``: counts what that leaves out.

    Attributes:
        flops: 2 x multiply-adds of the operations that were left out, and what complex ones cost more than real ones.
        unknown: names of operations that may multiply matrices and have no formula.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        scale = _COMPLEX if isinstance(out, Tensor) and out.is_complex() else 1
        if packet in FORMULAS:
            named = {key: value for key, value in (kwargs or {}).items() if key != "out"}
            self.flops += scale * 2 * FORMULAS[packet](out, *args, **named)
        elif packet in flop_registry:
            if scale > 1:
                counted = flop_registry[packet](*args, **(kwargs or {}), out_val=out)
                self.flops += (scale - 1) * counted
        elif _may_multiply(func):
            self.unknown.add(f"{func.namespace}::{packet.__name__}")
        return out


def _may_multiply(func: Any) -> bool:
    if func.namespace not in ("aten", "prim", "prims"):
        return True  # a person's own operation
    if func.is_view or not _FREE.isdisjoint(func.tags):
        return False
    return _PRODUCTS.search(func.overloadpacket.__name__) is not None


def warn_of_unknown(module: str, unknown: set[str]) -> None:
    """Warns of operations whose cost is not known: each once a process."""
    new = sorted(unknown - _told)
    if new:
        _told.update(new)
        logging.getLogger("raynas").warning(
            "FLOPs of %s are too low: the cost of %s is not known and counts as 0", module, ", ".join(new)
        )


# Multiply-adds of an operation, from its output and its arguments.


def _matrix_vector(out: Tensor, matrix: Tensor, vector: Tensor, **_: Any) -> int:
    return matrix.numel()


def _add_matrix_vector(out: Tensor, added: Tensor, matrix: Tensor, vector: Tensor, **_: Any) -> int:
    return matrix.numel()


def _vectors(out: Tensor, one: Tensor, other: Tensor) -> int:
    return one.numel()


def _add_matrices(out: Tensor, added: Tensor, left: Tensor, right: Tensor, **_: Any) -> int:
    return left.numel() * right.shape[-1]


def _matrices(out: Tensor, left: Tensor, right: Tensor, *_: Any, **__: Any) -> int:
    return left.numel() * right.shape[-1]


def _trilinear(out: Tensor, left: Tensor, weight: Tensor, right: Tensor, *_: Any, **__: Any) -> int:
    """As ``nn.Bilinear`` calls it: (N, I), (O, I, J), (N, J). The first product is with the weight."""
    return left.shape[0] * weight.numel() + out.numel() * right.shape[-1]


def _distances(out: Tensor, left: Tensor, *_: Any, **__: Any) -> int:
    return out.numel() * left.shape[-1]


def _weighted_bags(out: Any, weight: Tensor, indices: Tensor, *args: Any, **kwargs: Any) -> int:
    names = ("offsets", "scale_grad_by_freq", "mode", "sparse", "per_sample_weights")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return indices.numel() * weight.shape[-1] if given.get("per_sample_weights") is not None else 0


def _conv_tbc(out: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return math.prod(out.shape[:-1]) * weight.numel()


FORMULAS: dict[Any, Callable[..., int]] = {
    aten.mv: _matrix_vector,
    aten.addmv: _add_matrix_vector,
    aten.dot: _vectors,
    aten.vdot: _vectors,
    aten.addmv_: _add_matrix_vector,
    aten.addmm_: _add_matrices,
    aten.addbmm: _add_matrices,
    aten.addbmm_: _add_matrices,
    aten.baddbmm_: _add_matrices,
    aten._int_mm: _matrices,
    aten._trilinear: _trilinear,
    aten._cdist_forward: _distances,
    aten._euclidean_dist: _distances,
    aten._pdist_forward: _distances,
    aten._embedding_bag: _weighted_bags,
    aten._embedding_bag_forward_only: _weighted_bags,
    aten.conv_tbc: _conv_tbc,
}
