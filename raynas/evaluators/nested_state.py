"""What ``state_dict()`` gives, as named tensors and plain JSON: a checkpoint keeps those, and no pickle.

Dicts (with keys of any plain kind), lists, tuples, numbers, texts, None, tensors and NumPy values are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.errors import EvaluatorError

_TENSOR, _ARRAY, _TUPLE, _DICT = "tensor", "array", "tuple", "dict"


def flatten(name: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; its tensors go to ``tensors``, under names that begin with ``name``.

    Raises:
        EvaluatorError: it holds something else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        tensors[name] = value if isinstance(value, Tensor) else torch.from_numpy(value)
        return {_TENSOR if isinstance(value, Tensor) else _ARRAY: name}
    if isinstance(value, Mapping):
        return {_DICT: [[flatten("", key, {}), flatten(f"{name}.{key}", one, tensors)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        listed = [flatten(f"{name}.{place}", one, tensors) for place, one in enumerate(value)]
        return listed if isinstance(value, list) else {_TUPLE: listed}
    raise EvaluatorError(
        f"the state of {name.partition('.')[0]!r} holds a {type(value).__name__} ({name}), which a checkpoint cannot "
        "keep; its state_dict() must hold tensors, numbers, texts, lists and dicts"
    )


def unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that ``flatten`` was given."""
    if isinstance(value, list):
        return [unflatten(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == _TENSOR:
        return tensors[content]
    if kind == _ARRAY:
        return tensors[content].numpy()
    if kind == _TUPLE:
        return tuple(unflatten(one, tensors) for one in content)
    return {unflatten(key, {}): unflatten(one, tensors) for key, one in content}
