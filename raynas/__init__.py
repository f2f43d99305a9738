"""RayNAS: neural architecture search on Ray Tune.

A search space is a template with holes; an architecture is the template with every hole filled. In short::

    import raynas

    found = raynas.search("resnet", trials=20, seconds="3m", name="first")
    print(found.best.name, found.best.score)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from raynas.version import __version__

if TYPE_CHECKING:
    from raynas.api import resume, search
    from raynas.export import export_model, load, load_model
    from raynas.results.opening import listing
    from raynas.results.result import SearchResult

_WHERE = {
    "search": "raynas.api",
    "resume": "raynas.api",
    "listing": "raynas.results.opening",
    "load": "raynas.export.read",
    "load_model": "raynas.export.read",
    "export_model": "raynas.export.write",
    "SearchResult": "raynas.results.result",
}

__all__ = [
    "SearchResult",
    "__version__",
    "export_model",
    "listing",
    "load",
    "load_model",
    "resume",
    "search",
]


def __dir__() -> list[str]:
    """What is public, also before its first use."""
    return sorted({*__all__, *globals()})


def __getattr__(name: str) -> Any:
    """Imports what is public on first use: ``import raynas`` itself is instant."""
    if name not in _WHERE:
        raise AttributeError(f"module 'raynas' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
