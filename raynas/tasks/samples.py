"""What goes into a network and what comes out of it, as a task's own data says: sample inputs, and what outputs mean.

A search writes both into its journal, so that an export can do without the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from raynas.tasks.data import Inputs, each, shape_of
from raynas.tasks.kinds import Outputs, kind_of
from raynas.tasks.task import Task

#: What says what outputs mean.
_MEANING = frozenset({"load", "loss", "output_shape", "num_classes"})
_CHANGED = frozenset({"loss", "output_shape", "outputs"})
_ROWS = 256  # so many are looked at for the range, and for what the loss is


def input_range(task: Any) -> Any:
    """The smallest and the largest number among some prepared training inputs; None where there is none.

    Of several inputs: those of each, by its name.
    """
    return each(_range_of, task.prepare(task.data.some("train", _ROWS)[0]))


def _range_of(rows: Tensor) -> list[float] | list[int] | None:
    if rows.is_complex() or not rows.numel():
        return None
    low, high = rows.min().item(), rows.max().item()
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None


def sample_inputs(task: Any, count: int, dtype: Any = None, known_range: Any = None) -> Inputs:
    """Inputs to try a network on: real rows of the task, prepared; made-up ones where its data is not there.

    Args:
        task: what the network was trained on.
        count: how many (fewer where the data has fewer).
        dtype: of made-up inputs, as torch names it (None: float32). Of several inputs: by their names.
        known_range: smallest and largest number of made-up inputs (None: normally distributed floats, and zeros and
            ones of other types). Of several inputs: by their names.
    """
    shape = task.input_shape
    try:
        rows = task.prepare(task.data.some("valid", count)[0])
        if shape_of(rows) == each(tuple, shape):
            return rows
    except Exception:  # the data of a search may be gone, and its networks are there
        pass
    if isinstance(shape, Mapping):
        kinds, ranges = dtype or {}, known_range or {}
        return {
            name: made_up((count, *one), getattr(torch, kinds.get(name, "float32")), ranges.get(name))
            for name, one in shape.items()
        }
    return made_up((count, *shape), getattr(torch, dtype or "float32"), known_range)


def made_up(shape: Sequence[int], dtype: torch.dtype, known_range: Sequence[float] | None) -> Tensor:
    """Random inputs, always the same: see :func:`sample_inputs`."""
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point or dtype.is_complex:
        if known_range is None or dtype.is_complex:
            return torch.randn(*shape, generator=generator, dtype=dtype)
        low, high = known_range
        return (low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)).to(dtype)
    low, high = (0, 1) if known_range is None else map(int, known_range)
    return torch.randint(low, high + 1, tuple(shape), generator=generator).to(dtype)


def declared_outputs(task: Any) -> Outputs | None:
    """What the task declares in ``outputs``, or by its ``kind``; None where it declares nothing.

    A declaration that is inherited holds only while data and loss are inherited, too; a kind also with other data.
    """
    for cls in type(task).__mro__:
        if "outputs" in vars(cls):
            break
        if _MEANING & vars(cls).keys():
            return _outputs_of_kind(task)
    return getattr(task, "outputs", None) or _outputs_of_kind(task)


def _outputs_of_kind(task: Any) -> Outputs | None:
    """What the kind says that a task declares, if nothing has changed the loss since; None where it declares none."""
    if "kind" in getattr(task, "__dict__", {}):
        return kind_of(task).outputs if getattr(type(task), "loss", None) is Task.loss else None
    for cls in type(task).__mro__[:-1]:
        if "kind" in vars(cls):
            return None if cls is Task else kind_of(task).outputs
        if _CHANGED & vars(cls).keys():
            return None
    return None


def output_kind(task: Any) -> Outputs:
    """What a network's outputs are: what the task declares (``outputs``), else ``classes`` where that is certain.

    It is certain where a network gives one number a class, targets are class numbers, and the loss is cross-entropy:
    the usual one, or one that gives its value on the task's own targets. Everything else that does not declare its
    kind is ``values``.
    """
    declared = declared_outputs(task)
    if declared is not None:
        return declared
    if task.num_classes < 2 or tuple(task.output_shape) != (task.num_classes,):
        return "values"
    _, targets = task.data.some("valid", _ROWS)
    if targets.dtype != torch.int64 or targets.ndim != 1 or not len(targets):
        return "values"
    if getattr(type(task), "loss", None) is Task.loss:
        return "classes"
    scores = torch.randn(len(targets), task.num_classes, generator=torch.Generator().manual_seed(0))
    try:
        there, here = task.loss(scores.clone(), targets.clone()), cross_entropy(scores, targets)
    except Exception:  # a loss that wants a device, or state: not known
        return "values"
    return "classes" if torch.allclose(there.float(), here) else "values"


def facts(task: Any) -> dict[str, Any]:
    """``input_dtype``, ``input_range`` and ``outputs`` of a task, for the journal; what cannot be had is left out."""
    found: dict[str, Any] = {}
    for name, look in (
        ("input_dtype", lambda task: task.input_dtype),
        ("input_range", input_range),
        ("outputs", output_kind),
    ):
        try:
            value = look(task)
        except Exception:  # a task of another kind, or one whose data is elsewhere
            continue
        if value is not None:
            found[name] = value
    return found
