"""The random numbers of one trial, apart from everything else in the process: torch's, Python's and NumPy's generators.

A training loop that a person wrote draws from the global generators. To let it go on later as if nothing had happened,
their states are put in place before each of its steps, and taken (and saved) after it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.evaluators.evaluator import State

_TORCH, _CUDA, _PYTHON, _NUMPY = "random.torch", "random.cuda", "python", "numpy"


class RandomState:
    """State: where the global generators stand for one trial.

    Args:
        seed: where they begin, in [0, 2**63).
        device: the trial's torch device; on CUDA its generator is kept as well.
    """

    def __init__(self, seed: int, device: str) -> None:
        self._cuda = torch.device(device) if device.startswith("cuda") else None
        before = self._take()
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        self._now = self._take()
        self._put(before)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the global generators are the trial's; what they were before comes back."""
        before = self._take()
        self._put(self._now)
        try:
            yield
        finally:
            self._now = self._take()
            self._put(before)

    def state(self) -> State:
        """For a checkpoint."""
        return self._now

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Goes on where a checkpoint was taken; without CUDA's state (another device) that generator begins anew."""
        self._now = State({name: tensors[name] for name in (_TORCH, _CUDA) if name in tensors}, dict(values))

    def _take(self) -> State:
        tensors = {_TORCH: torch.get_rng_state()}
        if self._cuda is not None:
            tensors[_CUDA] = torch.cuda.get_rng_state(self._cuda)
        version, numbers, gauss = random.getstate()
        numpy: Any = np.random.get_state(legacy=False)
        numpy = {**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].tolist()}}
        return State(tensors, {_PYTHON: [version, list(numbers), gauss], _NUMPY: numpy})

    def _put(self, state: State) -> None:
        torch.set_rng_state(state.tensors[_TORCH].cpu())
        if self._cuda is not None and _CUDA in state.tensors:
            torch.cuda.set_rng_state(state.tensors[_CUDA].cpu(), self._cuda)
        version, numbers, gauss = state.values[_PYTHON]
        random.setstate((version, tuple(numbers), gauss))
        numpy = state.values[_NUMPY]
        key = np.array(numpy["state"]["key"], dtype=np.uint32)
        np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
