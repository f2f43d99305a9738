"""RayNAS: neural architecture search on Ray Tune.

A search space is a template with holes; an architecture is the template with every hole filled. In short::

    import raynas

    found = raynas.search("resnet", trials=20, seconds="3m", name="first")
    print(found.best.name, found.best.score)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from raynas.engine.api import listing, resume, search
    from raynas.engine.result import SearchResult
    from raynas.export import export_model, load, load_model

_WHERE = {
    "search": "raynas.engine.api",
    "resume": "raynas.engine.api",
    "listing": "raynas.engine.api",
    "load": "raynas.export.read",
    "load_model": "raynas.export.read",
    "export_model": "raynas.export.write",
    "SearchResult": "raynas.engine.result",
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


def __getattr__(name: str) -> Any:
    """Imports what is public on first use: ``import raynas`` itself is instant."""
    if name not in _WHERE:
        raise AttributeError(f"module 'raynas' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
