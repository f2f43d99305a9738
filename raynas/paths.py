"""Paths as a person writes them (``~`` included); the home folder, which a container's user may not have; the cache."""

from __future__ import annotations

import os
from pathlib import Path

from raynas.errors import UserError


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, with ``~`` and ``~user`` filled in.

    Raises:
        UserError: nobody knows that home folder.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise UserError(
            f"path {str(path)!r} begins with a home folder that is not known here; write it out, or set HOME"
        ) from None


def home_folder() -> Path:
    """The user's home folder.

    Raises:
        UserError: there is none: HOME is not set, and the user has no entry in the system's list.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise UserError(
            f"user {os.getuid()} has no home folder, which Ray and the caches need (no HOME is set, and /etc/passwd "
            "does not name the user); set HOME to a folder that can be written: HOME=/tmp raynas …"
        ) from None


def user_cache() -> Path:
    """RayNAS's folder in the user's cache: in ``$XDG_CACHE_HOME``, or else in ``~/.cache``.

    Raises:
        UserError: the user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "raynas"
