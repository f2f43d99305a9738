"""The folder of an export: it is there whole or not at all, and nobody's files are overwritten unasked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raynas.export.errors import ExportError

#: What RayNAS writes in every format.
ARCHITECTURE, PREPROCESSING = "architecture.json", "preprocessing.json"


def check_free(folder: Path, force: bool) -> None:
    """Raises ExportError where a folder is taken."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file; give a folder: --output model/")
    if folder.is_dir() and not force and any(folder.iterdir()):
        raise ExportError(f"folder {folder} is not empty; give another one, or --force to write into it")


class Scratch:
    """An empty folder beside the wanted one, so that moving it there is a rename; gone afterwards.

    So are the folders above it that were made for it, where nothing was moved in the end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        parent = self._folder.parent
        self._made = [above for above in (parent, *parent.parents) if not above.exists()]
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self._outer = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=parent))
            inner = self._outer / "model"  # mkdtemp's own folder is for its owner's eyes alone
            inner.mkdir()
        except OSError as error:
            self._remove_made()
            raise cannot_write(parent, error) from None
        return inner

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._outer, ignore_errors=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for above in self._made:
            with contextlib.suppress(OSError):  # it is not empty: the export lies in it
                above.rmdir()


def files_in(folder: Path) -> list[str]:
    """The paths of all files in a folder, from there, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a document as a person reads it."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def move(scratch: Path, folder: Path) -> None:
    """Moves a scratch's files into the wanted folder: at once where it is not there, else one after the other."""
    try:
        if not os.path.lexists(folder):
            os.rename(scratch, folder)
            return
        for name in files_in(scratch):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(scratch / name, folder / name)
    except OSError as error:
        raise cannot_write(folder, error) from None


def cannot_write(folder: Path, error: OSError) -> ExportError:
    """That a folder cannot be written, and why."""
    return ExportError(f"{folder} cannot be written ({error.strerror}); give another --output")
