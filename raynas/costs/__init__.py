"""What a network costs, before it is trained: the contract of a cost model, and parameters and FLOPs as the first."""

from raynas.costs.analytic import AnalyticCosts
from raynas.costs.cost import Cost, LayerCost, cost, layer_costs, totals
from raynas.costs.model import CostModel
from raynas.errors import CostError

__all__ = ["AnalyticCosts", "Cost", "CostError", "CostModel", "LayerCost", "cost", "layer_costs", "totals"]
