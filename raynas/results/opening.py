"""Opens searches: one by its name, or all that lie in a home."""

from __future__ import annotations

import os

from raynas.results.result import SearchResult
from raynas.storage.search_folder import SearchFolder, home_folder, names


def load(name: str, home: str | os.PathLike[str] | None = None) -> SearchResult:
    """A search as its journal stands now, also while it runs.

    Raises:
        SearchFolderError: there is no such search.
    """
    return SearchResult(SearchFolder(home_folder(home), name))


def listing(home: str | os.PathLike[str] | None = None) -> list[SearchResult]:
    """All searches of a home, the oldest first."""
    found = [load(name, home) for name in names(home_folder(home))]
    return sorted(found, key=lambda result: (result.begun["time"], result.name))
