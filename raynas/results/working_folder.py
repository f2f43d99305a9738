"""The folder that relative paths are read from when a search is taken up again: the one that it was begun in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raynas.registry import is_file
from raynas.results.search_view import SearchView
from raynas.storage.working_folder import working_folder, working_in


@contextmanager
def working_as_begun(result: SearchView) -> Iterator[None]:
    """While inside, relative paths are read from where the search was begun.

    Where that folder is gone they are read from here; standard error says so where the task or the space is a person's
    own. A search of an earlier release did not keep its folder: it works from here, as it did.
    """
    folder = result.begun.get("working_folder")
    references = (result.spec.task or "", result.spec.space or "")
    own = any(is_file(reference) or reference.startswith("<") for reference in references)
    if folder is not None and not Path(folder).is_dir() and own:
        print(
            f"search {result.name!r} was begun in {folder}, which is not there; relative paths in its task are read "
            f"from {working_folder() or 'nowhere'}",
            file=sys.stderr,
        )
    with working_in(folder):
        yield
