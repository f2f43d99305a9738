"""What the shell offers after the Tab key: names of searches, spaces, tasks, strategies, costs, export formats, …

Where nothing fits, the shell falls back on file names: ``path/to/file.py:name`` is right in most of these places, too.
"""

from __future__ import annotations

from collections.abc import Callable


def searches(incomplete: str) -> list[str]:
    """Names of searches in ``$RAYNAS_HOME``."""
    from raynas.storage.search_folder import home_folder, names

    return [name for name in names(home_folder()) if name.startswith(incomplete)]


def _registered(group: str) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        from raynas.registry import names

        return [name for name in names(group) if name.startswith(incomplete)]

    return complete


spaces = _registered("raynas.spaces")
tasks = _registered("raynas.tasks")
strategies = _registered("raynas.strategies")
schedulers = _registered("raynas.schedulers")
evaluators = _registered("raynas.evaluators")
costs = _registered("raynas.costs")
formats = _registered("raynas.exporters")


def searches_and_spaces(incomplete: str) -> list[str]:
    """For ``raynas describe``, which takes either."""
    return [*spaces(incomplete), *searches(incomplete)]
