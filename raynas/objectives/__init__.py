"""What a search tries to make good, and the limits that it keeps."""

from raynas.objectives.constraint import Constraint
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import Objectives

__all__ = ["Constraint", "Objective", "Objectives"]
