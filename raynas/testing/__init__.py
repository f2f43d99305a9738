"""Contract tests for what you write yourself: a space, a task, a cost, a strategy, a stopping rule, an evaluator, …

There is one class for each contract. In a test file of yours, derive from it and override the method that makes your
object; pytest then runs every check of the contract on it::

    from raynas.testing import SearcherContract

    from my_searcher import HillClimber


    class TestHillClimber(SearcherContract):
        def searcher(self, space, **settings):
            return HillClimber(space, **settings)

RayNAS's own classes are tested by the same classes. Each check that fails says what is wrong and what to do.
docs/own/testing.md tells what each contract demands. pytest is needed here and nowhere else in RayNAS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("raynas.testing needs pytest: pip install pytest", name="pytest") from error

if TYPE_CHECKING:
    from raynas.testing.cost import CostModelContract
    from raynas.testing.evaluator import EvaluatorContract
    from raynas.testing.exporter import ExporterContract
    from raynas.testing.scheduler import SchedulerContract
    from raynas.testing.searcher import SearcherContract
    from raynas.testing.space import SpaceContract
    from raynas.testing.task import TaskContract

_WHERE = {
    "CostModelContract": "raynas.testing.cost",
    "EvaluatorContract": "raynas.testing.evaluator",
    "ExporterContract": "raynas.testing.exporter",
    "SchedulerContract": "raynas.testing.scheduler",
    "SearcherContract": "raynas.testing.searcher",
    "SpaceContract": "raynas.testing.space",
    "TaskContract": "raynas.testing.task",
}

__all__ = [
    "CostModelContract",
    "EvaluatorContract",
    "ExporterContract",
    "SchedulerContract",
    "SearcherContract",
    "SpaceContract",
    "TaskContract",
]

# pytest shows the values of a failed assertion in test files alone, unless it is told of others before their import.
pytest.register_assert_rewrite(*_WHERE.values())


def __getattr__(name: str) -> Any:
    """Imports a contract on first use: tests of a space or a task do without Ray."""
    if name not in _WHERE:
        raise AttributeError(f"module 'raynas.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
