"""What a search tries to make good, and the limits that it keeps."""

from raynas.objectives.constraint import Constraint
from raynas.objectives.objective import Objective

__all__ = ["Constraint", "Objective"]
