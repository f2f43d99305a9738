"""Finds the exporter of a format: by an entry point's name, ``path/to/file.py:name``, or the object itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raynas.errors import UserError
from raynas.export.errors import ExportError
from raynas.export.exporter import Exporter
from raynas.modules import line_of
from raynas.paths import absolute
from raynas.registry import find, is_file

_GROUP = "raynas.exporters"
SOURCE = "source"


@dataclass(frozen=True)
class Format:
    """A format by the name that a person gave it, with its exporter."""

    name: str
    exporter: Exporter

    def where(self, error: BaseException) -> str:
        """`` (line 12)``: the line of a person's own file in which an exporter failed; "" for others."""
        if not is_file(self.name):
            return ""
        return line_of(error, absolute(self.name.rpartition(":")[0]))


def find_format(what: str | Exporter | type[Exporter]) -> Format:
    """The format of that name, or of that exporter.

    Raises:
        UserError: nothing has that name, or it is no exporter.
    """
    if isinstance(what, str):
        name, found = _absolute(what), find(_GROUP, what)
    else:
        name, found = getattr(what, "__name__", type(what).__name__), what
    if isinstance(found, type) and issubclass(found, Exporter):
        try:
            found = found()
        except UserError:
            raise
        except Exception as error:
            raise ExportError(
                f"export format {name!r} cannot be made without arguments: {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, Exporter):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise ExportError(
            f"export format {name!r} is {kind}; a subclass of raynas.export.Exporter is needed (docs/own/exporter.py)"
        )
    return Format(name, found)


def _absolute(reference: str) -> str:
    """A reference whose file is the same wherever one works."""
    if not is_file(reference):
        return reference
    path, colon, name = reference.rpartition(":")
    return f"{absolute(Path(path))}{colon}{name}" if colon else reference
