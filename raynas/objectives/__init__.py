"""What a search tries to make good."""

from raynas.objectives.objective import Objective

__all__ = ["Objective"]
