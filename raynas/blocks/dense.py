"""The layer that a multi-layer perceptron repeats."""

from __future__ import annotations

from torch import Tensor, nn

from raynas.blocks.activation import activation as make_activation


class DenseBlock(nn.Module):
    """Linear, norm, activation, dropout: ``(N, in_features) -> (N, out_features)``.

    Args:
        in_features: features that arrive.
        out_features: features that leave.
        activation: a key of ``ACTIVATIONS``.
        norm: ``"none"``, ``"batch"`` or ``"layer"``.
        dropout: probability of dropping a feature in training.

    Raises:
        ValueError: ``norm`` is none of the three.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        norms = {"none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        if norm not in norms:
            raise ValueError(f"norm {norm!r} is not known; there are: {', '.join(norms)}")
        layer = norms[norm]
        self.linear = nn.Linear(in_features, out_features, bias=layer is None)  # a norm has a bias of its own
        self.norm = nn.Identity() if layer is None else layer(out_features)
        self.act = make_activation(activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.act(self.norm(self.linear(x))))
