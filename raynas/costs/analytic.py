"""Parameters and FLOPs as a cost model: the one that every search has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raynas.costs.cost import cost
from raynas.costs.model import CostModel
from raynas.space.network.shapes import Shape
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    import torch


class AnalyticCosts(CostModel):
    """``params`` (trained numbers) and ``flops`` (2 x multiply-adds of one sample's forward pass), in one walk.

    Both follow from the layers and their shapes alone; nothing is run but each layer once on the ``meta`` device.
    """

    metrics = ("params", "flops")

    def measure(
        self, network: Network, input_shape: Shape, dtype: torch.dtype | str | None = None
    ) -> Mapping[str, float]:
        total = cost(network, input_shape, dtype)
        return {"params": total.params, "flops": total.flops}
