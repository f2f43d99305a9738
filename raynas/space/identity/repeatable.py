"""Whether an operation is a fixed function of its input, so that two copies of it on the same value give one value."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from raynas.space.template.operation import Op
from raynas.space.template.signature import constructor

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Names of modules that draw random numbers, by the rule of ids. Of torch's own, no others do.
_RANDOM = {
    1: re.compile("drop|stochastic|rrelu|noise|gumbel", re.IGNORECASE),
    2: re.compile("drop|stochastic|rrelu|noise|gumbel|fractional", re.IGNORECASE),
}
#: Buffers that start the same in every module: those of normalisation.
_STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
#: Inputs that a person's module is tried on: vectors, sequences, images, volumes.
_SHAPES = ((2, 8), (2, 4, 8), (2, 4, 32, 32), (2, 4, 8, 8, 8))
#: So often a module is called in training mode.
_CALLS = 8


@lru_cache(maxsize=20_000)
def is_repeatable(op: Op, rule: int) -> bool:
    """Whether an operation has no parameters and always yields the same for the same input.

    torch's own modules are known by their names. Any other one is tried on a few inputs: it must not touch a random
    generator, nor yield different values from call to call. One that takes none of them, or that cannot be built
    without knowing its input's shape, counts as not repeatable: at worst, two equal networks then have two ids.

    Args:
        op: with literal arguments.
        rule: of ids. Under rule 1 every module is known by its name.
    """
    import torch

    if constructor(op.cls).from_shape:
        return False
    with _generators() as state, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                module = op.cls(**op.kwargs)
        except Exception:
            return False
        buffers = {name.rpartition(".")[2] for name, _ in module.named_buffers()}
        if any(True for _ in module.parameters()) or not buffers <= _STATISTICS:
            return False
        kinds = [type(child) for child in module.modules()]
        if any(_RANDOM[rule].search(kind.__name__) for kind in kinds):
            return False
        named = rule == 1 or all(kind.__module__.startswith("torch.nn.modules.") for kind in kinds)
        return named or _repeats(op, state)


def _repeats(op: Op, state: Callable[[], Any]) -> bool:
    """Whether two modules of an operation yield the same, call after call, and draw nothing from a generator."""
    import torch

    with torch.no_grad(), torch.device("cpu"):
        before = state()
        try:
            modules = [op.cls(**op.kwargs) for _ in range(2)]
        except Exception:
            return False
        found = [_yields_one_value(modules, example) for example in _examples()]
        return state() == before and True in found and False not in found


def _examples() -> Iterator[Tensor]:
    import torch

    for shape in _SHAPES:
        count = torch.Size(shape).numel()
        yield (torch.arange(count) * 7919 % count / count - 0.5).reshape(shape)
    yield torch.arange(16).reshape(2, 8)


def _yields_one_value(modules: list[nn.Module], example: Tensor) -> bool | None:
    """Whether all calls yield the same in one mode; None where the modules do not take this input."""
    import torch

    for training, calls in ((True, _CALLS), (False, 2)):
        try:
            outputs = [module.train(training)(example.clone()) for module in modules for _ in range(calls)]
        except Exception:
            return None
        if not all(isinstance(output, torch.Tensor) for output in outputs):
            return None
        if not all(torch.equal(torch.nan_to_num(output), torch.nan_to_num(outputs[0])) for output in outputs):
            return False
    return True


@contextmanager
def _generators() -> Iterator[Callable[[], Any]]:
    """A function that tells the state of the process's random generators, which is put back at the end."""
    import numpy
    import torch

    def state() -> tuple[Any, ...]:
        legacy: Any = numpy.random.get_state()
        kind, keys, *rest = legacy
        return random.getstate(), (kind, keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()

    python, arrays, tensors = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    try:
        yield state
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
        torch.set_rng_state(tensors)
