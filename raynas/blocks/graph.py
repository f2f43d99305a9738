"""A directed acyclic graph of modules, as plain PyTorch: what a ``Graph`` of the template language is built as."""

from __future__ import annotations

from torch import Tensor, cat, nn, zeros_like


class Node(nn.Module):
    """One node: modules on its incoming edges, and their merge.

    Args:
        merge: ``"sum"`` or ``"concat"``.
        dim: the dimension of a concatenation (0 is the batch).
    """

    def __init__(self, merge: str = "sum", dim: int = 1) -> None:
        super().__init__()
        self._merge = merge  # underscores: an edge may be called "merge" or "dim"
        self._dim = dim
        self._edges: list[tuple[str, str]] = []

    def add_edge(self, label: str, source: str, module: nn.Module | None = None) -> Node:
        """Adds an edge from a source; without a module, the source's value arrives as it is."""
        self._edges.append((label, source))
        if module is not None:
            self.add_module(label, module)
        return self

    def forward(self, values: dict[str, Tensor]) -> Tensor:
        arrived = []
        for label, source in self._edges:
            module = self._modules.get(label)
            arrived.append(values[source] if module is None else module(values[source]))
        if self._merge == "concat":
            return cat(arrived, dim=self._dim) if len(arrived) > 1 else arrived[0]
        total = arrived[0]
        for value in arrived[1:]:
            total = total + value
        return total

    def extra_repr(self) -> str:
        joined = f"concat(dim={self._dim})" if self._merge == "concat" else self._merge
        return f"{joined} of {', '.join(source for _, source in self._edges)}"


class Dag(nn.Module):
    """Nodes in order; the children's names are the nodes' names.

    Input: what the first operations take, shape (N, …). Output: the output node's value. Without nodes: zeros shaped
    like the input.

    >>> dag = Dag(output="out")
    >>> dag.add_module("out", Node().add_edge("input", "input").add_edge("1", "input", nn.ReLU()))
    >>> import torch
    >>> dag(torch.tensor([-1.0, 2.0]))
    tensor([-1.,  4.])
    """

    def __init__(self, output: str, input: str = "input") -> None:
        super().__init__()
        self._input = input
        self._output = output

    def forward(self, x: Tensor) -> Tensor:
        if not self._modules:
            return zeros_like(x)
        values = {self._input: x}
        for name, node in self.named_children():
            values[name] = node(values)
        return values[self._output]
