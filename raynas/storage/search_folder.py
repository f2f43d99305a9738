"""A search's folder: where it lies, what is in it, and the lock that keeps two processes apart.

::

    $RAYNAS_HOME/NAME/
        spec.yaml        the resolved settings, for people
        journal.jsonl    everything that happened, the only source of truth (docs/journal.md)
        checkpoints/N/   of trial N, kept while it is unfinished, and of the best ones
        stages/NAME/     of a stage: its checkpoints, and at last what it has made
        logs/N.log       what trial N printed
        source/          the file that a space or task of one's own came from, as it was
        lock             held by the process that runs the search
        stop             there while running trials are asked to checkpoint and end
        ray/             Ray's own scratch files, removed at a session's end
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from pathlib import Path
from types import TracebackType

from raynas.errors import SearchFolderError
from raynas.locks import is_held
from raynas.paths import absolute
from raynas.storage import own_entries
from raynas.suggestions import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

#: What a home holds besides searches: MLflow's store, its artifacts, what SQLite puts beside it. In any spelling, since
#: some file systems do not tell A from a.
_RESERVED = re.compile(r"mlartifacts|mlruns|mlflow\.db([.-].*)?", re.IGNORECASE)


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all searches: ``home``, else ``$RAYNAS_HOME``, else ``./raynas-runs``; absolute."""
    return absolute(home or os.environ.get("RAYNAS_HOME") or "raynas-runs")


def _not_writable(folder: Path, reason: str | None) -> SearchFolderError:
    return SearchFolderError(f"folder {folder} cannot be written ({reason}); set RAYNAS_HOME to a folder that can")


def require_writable(home: Path) -> None:
    """Raises SearchFolderError where no search can be written into ``home``; it need not be there."""
    there = next(path for path in (home, *home.parents) if os.path.exists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = errno.EACCES if there.is_dir() else errno.ENOTDIR
        raise _not_writable(home, os.strerror(reason))


def check_name(name: str) -> str:
    """A search's name that is safe as a folder's name, or SearchFolderError."""
    if not _NAME.fullmatch(name):
        raise SearchFolderError(
            f"search name {name!r} cannot be a folder's name; use letters, digits, '.', '_' and '-' (at most 100)"
        )
    return name


class SearchFolder:
    """The paths of one search."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = check_name(name)
        self.path = home / name
        self.spec = self.path / "spec.yaml"
        self.journal = self.path / "journal.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.stages = self.path / "stages"
        self.logs = self.path / "logs"
        self.source = self.path / "source"
        self.stop = self.path / "stop"
        self.ray = self.path / "ray"
        self.lock = self.path / "lock"

    def worker_note(self, number: int) -> Path:
        """Says which process has trial ``number`` in hand."""
        return self.trial_folder(number) / "worker.json"

    def trial_folder(self, number: int) -> Path:
        """Where trial ``number``'s checkpoints lie."""
        return self.checkpoints / f"{number:06d}"

    def stage_folder(self, name: str) -> Path:
        """Where the checkpoints of a stage lie."""
        return self.stages / name

    def claim(self) -> bool:
        """Makes the folder where nothing of its name is there, and says whether; of several processes one makes it.

        Raises:
            SearchFolderError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            return False
        except OSError:
            self.create()  # says why not
        return True

    def has_begun(self) -> bool:
        """Whether the search's first fact was written whole (a process may die between making the folder and that)."""
        try:
            with self.journal.open("rb") as file:
                return file.readline().endswith(b"\n")
        except (FileNotFoundError, NotADirectoryError):  # the home holds files, too: MLflow's store
            return False

    def create(self) -> None:
        """Makes the folder; what a search that never began left there is taken over.

        Raises:
            SearchFolderError: there is something of that name already, or it cannot be written.
        """
        self.require_free()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.mkdir()
            except FileExistsError:
                self.require_free()  # another process may have been faster
        except OSError as error:
            raise _not_writable(self.path, error.strerror) from error

    def require_free(self) -> None:
        """Raises SearchFolderError where the name is taken: by a search, or by what is no search."""
        if _RESERVED.fullmatch(self.name):
            raise SearchFolderError(
                f"search name {self.name!r} is kept for MLflow's store, which lies beside the searches; "
                "choose another --name"
            )
        if self.has_begun():
            raise SearchFolderError(
                f"search {self.name!r} exists in {self.path.parent}; go on with it: raynas resume {self.name} "
                "(or choose another --name)"
            )
        if os.path.lexists(self.path) and not self.never_began():
            raise SearchFolderError(
                f"{self.path} exists and is no search, so it is left alone; choose another --name, "
                "or set RAYNAS_HOME to another folder"
            )

    def never_began(self) -> bool:
        """Whether all that lies here is what a search leaves that was killed at its very start, or while deleted."""
        plain = self.path.is_dir() and not self.path.is_symlink() and self.lock.is_file()
        return plain and not self.has_begun() and not own_entries.foreign(self.path)

    def require(self) -> None:
        """Raises SearchFolderError, with the nearest name, where there is no such search."""
        if self.has_begun():
            return
        hint = did_you_mean(self.name, names(self.path.parent))
        where = f"{self.path.parent}; {hint}" if hint else str(self.path.parent)
        raise SearchFolderError(f"search {self.name!r} not found in {where} (raynas list shows them)")

    def remove(self) -> list[Path]:
        """Removes the search, with all that it found; the caller holds its lock.

        Returns:
            What stays, and the folder with it, since RayNAS did not make it.

        Raises:
            SearchFolderError: something cannot be removed, or the folder is a link.
        """
        if self.path.is_symlink():
            raise SearchFolderError(
                f"{self.path} is a symbolic link to {os.readlink(self.path)}; remove that folder and the link yourself"
            )
        try:
            return own_entries.remove(self.path)
        except OSError as error:
            raise SearchFolderError(f"{error.filename} cannot be deleted ({error.strerror})") from None

    def remove_remains(self) -> None:
        """Removes what a search that never began left; the caller holds the lock, which stays."""
        own_entries.remove(self.path, spare=(self.lock.name,))

    def remove_checkpoints(self, number: int) -> None:
        """Removes what trial ``number`` left; nothing happens where there is nothing."""
        own_entries.remove_folder(self.trial_folder(number), self.path)


def names(home: Path) -> list[str]:
    """The names of all searches in ``home``, sorted."""
    if not home.is_dir():
        return []
    candidates = (path.name for path in home.iterdir() if _NAME.fullmatch(path.name))
    return sorted(name for name in candidates if SearchFolder(home, name).has_begun())


class FolderLock:
    """Held while a process runs a search. The operating system lets go of it when the process dies."""

    def __init__(self, folder: SearchFolder) -> None:
        self._folder = folder
        self._file: int | None = None

    def __enter__(self) -> FolderLock:
        try:
            file = os.open(self._folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _not_writable(self._folder.path, error.strerror) from error
        if not _try_lock(file):
            holder = os.read(file, 200).decode(errors="replace").strip() or "another process"
            os.close(file)
            name = self._folder.name
            raise SearchFolderError(f"search {name!r} is being run by {holder}; wait for it, or raynas stop {name}")
        self._file = file
        if not self._is_in_place():
            os.close(file)
            self._file = None
            raise SearchFolderError(f"search {self._folder.name!r} was deleted just now; give the same command again")
        self._folder.stop.unlink(missing_ok=True)  # asked of an earlier process; from now on it is asked of this one
        with contextlib.suppress(OSError):  # on a full disk the lock holds, and nobody can say who has it
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
        return self

    def _is_in_place(self) -> bool:
        """Whether the file that is locked is still the one that others would lock."""
        assert self._file is not None
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file), os.stat(self._folder.lock))
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _try_lock(file: int) -> bool:
    """Takes the lock; tries for a quarter of a second, since ``is_locked`` holds it for an instant."""
    for _ in range(5):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def is_locked(folder: SearchFolder) -> bool:
    """Whether some process runs this search now."""
    return is_held(folder.lock)
