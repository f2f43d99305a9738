"""``Objective`` under the name that it had in release 0.1: tasks of people's own import it from here."""

from raynas.objectives.objective import Objective

__all__ = ["Objective"]
