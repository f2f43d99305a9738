"""Errors meant for a person: one line that names the thing, the value and the way out.

The command line prints the line and exits with code 2; no traceback is shown. Everything else that goes wrong is
a defect of RayNAS or of the code under test, and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake that a person can mend: the message says how."""


class SpaceError(UserError):
    """A search space, or an architecture in it, that cannot be."""


class TaskError(UserError):
    """Data or a task that cannot be used."""


class SpecError(UserError):
    """A search's settings (file or flags) that cannot be run."""


class JournalError(UserError):
    """A journal that cannot be read or written."""


class SearchFolderError(UserError):
    """A search's folder that is missing, taken, busy or not writable."""
