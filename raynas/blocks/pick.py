"""One of several inputs."""

from __future__ import annotations

from torch import Tensor, nn


class Pick(nn.Module):
    """Takes one of a network's inputs by its name: ``{name: (N, …), …} -> (N, …)``.

    Args:
        key: the input's name in the task's ``input_shape``.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return x[self.key]

    def extra_repr(self) -> str:
        return repr(self.key)
