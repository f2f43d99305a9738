"""Back from a folder: an exported model, or a search."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, overload

from raynas.export.errors import ExportError
from raynas.export.source import PROGRAM, WEIGHTS, import_program
from raynas.paths import absolute
from raynas.results import opening

if TYPE_CHECKING:
    from torch import nn

    from raynas.results.result import SearchResult


def load_model(folder: str | os.PathLike[str]) -> nn.Module:
    """The network that ``raynas export`` wrote into a folder, with its weights, in eval mode.

    It runs the folder's ``model.py``: load what you, or people whom you trust, have exported.

    Args:
        folder: the one given as ``--output``.

    Raises:
        ExportError: there is no exported model, or its files do not belong together.
    """
    folder = absolute(folder)
    missing = [name for name in (PROGRAM, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ExportError(
            f"{folder} holds no exported model ({' and '.join(missing)} missing); "
            "write one: raynas export NAME --output FOLDER"
        )
    try:
        network = import_program(folder / PROGRAM).load()
    except Exception as error:
        raise ExportError(
            f"the model in {folder} cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())[:300]}); "
            "export it again"
        ) from error
    return network


@overload
def load(what: str, home: str | os.PathLike[str] | None = None) -> SearchResult: ...


@overload
def load(what: os.PathLike[str]) -> Any: ...


def load(what: str | os.PathLike[str], home: str | os.PathLike[str] | None = None) -> Any:
    """A search by its name, as its journal stands now, also while it runs; or what lies in a folder.

    A name has no slash: ``raynas.load("first")`` is the search of that name, ``raynas.load("model/")`` (or a
    ``pathlib.Path``) the exported network in that folder, or the search whose folder it is.

    Args:
        what: a name, or a folder's path.
        home: the folder of all searches; default: ``$RAYNAS_HOME`` or ``./raynas-runs``.

    Returns:
        A ``SearchResult``, or the network (see :func:`load_model`).

    Raises:
        UserError: there is no such search or model.
    """
    if isinstance(what, str) and "/" not in what and os.sep not in what:
        return opening.load(what, home)
    folder = absolute(what)
    if (folder / "journal.jsonl").is_file():
        return opening.load(folder.name, folder.parent)
    return load_model(folder)
