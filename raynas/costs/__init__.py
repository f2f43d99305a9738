"""What a network costs, before it is trained: parameters and FLOPs."""

from raynas.costs.cost import Cost, LayerCost, cost, layer_costs, totals

__all__ = ["Cost", "LayerCost", "cost", "layer_costs", "totals"]
