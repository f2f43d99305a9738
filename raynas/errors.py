"""Errors, told apart by type: mistakes that a person can mend, and what goes wrong without one.

A ``UserError`` is meant for a person: one line that names the thing, the value and the way out. The command line prints
the line and exits with code 2; no traceback is shown. The other types say what befell a trial, its worker or the
storage: the engine catches them, and the journal says what became of the trial. Everything else that goes wrong is a
defect of RayNAS or of the code under test, and keeps its traceback.
"""

from __future__ import annotations

import errno


class UserError(Exception):
    """A mistake that a person can mend: the message says how."""


class SpaceError(UserError):
    """A search space, or an architecture in it, that cannot be."""


class TaskError(UserError):
    """Data or a task that cannot be used."""


class EvaluatorError(UserError):
    """An evaluator, or a training loop of a person's own, that does not measure as it must."""


class CostError(UserError):
    """A cost of a network (parameters, a latency) that cannot be had."""


class SpecError(UserError):
    """A search's settings (file or flags) that cannot be run."""


class JournalError(UserError):
    """A journal that cannot be read or written."""


class SearchFolderError(UserError):
    """A search's folder that is missing, taken, busy or not writable."""


class ClusterError(UserError):
    """A Ray cluster that does not answer, or has no room for the trials."""


class StepTimeout(Exception):
    """A step of a trial took longer than the search's limit."""


class StorageError(Exception):
    """A checkpoint cannot be written. The architecture is not to blame: the trial is tried again, maybe elsewhere."""


class DiskFull(StorageError):
    """The storage has no room left: the session ends, and its trials stay unfinished until there is some."""


class WorkerLost(Exception):
    """A worker process ended although nobody had asked it to.

    Args:
        message: why, in one line.
        details: all that is known of it (default: the message).
    """

    def __init__(self, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = message if details is None else details


class WorkerOutOfMemory(WorkerLost):
    """Ray's memory monitor ended the worker, since its machine had hardly any memory left."""


class InfrastructureLost(WorkerLost):
    """The worker's machine was lost, or the storage. The architecture is not to blame."""


def is_disk_full(error: BaseException) -> bool:
    """Whether the operating system said that a file system has no room left (or that a user's quota is used up)."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
