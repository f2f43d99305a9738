"""What RayNAS itself makes in a search's folder, and its removal.

A search's folder may come to hold a person's own files. So removal goes by a list of the names that RayNAS gives: what
is on it goes, a folder goes once it is empty, and everything else stays. No symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

_FILES = re.compile(
    r"spec\.(yaml(\.\d+\.tmp)?|tmp)|journal\.jsonl|lock|stop"
    r"|tracker[.-][a-z.-]+(\d+\.tmp)?"
    r"|checkpoints/\d{6,}/(step-\d+(-partial)?\.safetensors(\.\d+\.tmp)?|worker\.json|timed-out)"
    r"|stages/[\w-]+/step-\d+(-partial)?\.safetensors(\.\d+\.tmp)?"
    r"|logs/\d{6,}\.log"
    r"|source/.+\.(py|pyc|json)(\.tmp|\.\d+)?"
    r"|ray/.+"
)
_FOLDERS = re.compile(r"checkpoints(/\d{6,})?|stages(/[\w-]+)?|logs|source(/.+)?|ray(/.+)?")
#: Ray's scratch folder is Ray's alone, the links in it too.
_ALL_OURS = re.compile(r"ray/.+")

#: The journal goes first: in one step the search is gone. The lock is held to the last.
_ORDER = {"journal.jsonl": 0, "lock": 2}


def foreign(folder: Path) -> list[Path]:
    """What in a search's folder is not RayNAS's own, links included."""
    return [path for path, own in _walk(folder, folder) if not own]


def remove(folder: Path, spare: Collection[str] = ()) -> list[Path]:
    """Removes what RayNAS made in a search's folder, and the folder itself if that leaves it empty.

    Args:
        spare: names directly in the folder that stay.

    Returns:
        What is left, since it is not RayNAS's own.

    Raises:
        OSError: an entry cannot be removed.
    """
    while True:
        left = []
        for path, own in _walk(folder, folder):
            if not own:
                left.append(path)
            elif path.parent != folder or path.name not in spare:
                _remove(path)
        if left or spare:
            return left
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:  # otherwise something came in just now: a tracker's last word, say
            return []


def remove_folder(folder: Path, top: Path) -> None:
    """Removes what RayNAS made in one folder of the search in ``top``; nothing happens where that cannot be done."""
    with contextlib.suppress(OSError):
        for path, own in _walk(folder, top):
            if own:
                _remove(path)
        folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    elif not any(path.iterdir()):
        path.rmdir()


def _walk(folder: Path, top: Path) -> Iterator[tuple[Path, bool]]:
    """Each entry, and whether it is RayNAS's own; what lies in a folder comes before it. Foreign folders stay shut."""
    if folder.is_symlink():
        return
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: (_ORDER.get(entry.name, 1), entry.name))
    for entry in entries:
        path = Path(entry.path)
        name = path.relative_to(top).as_posix()
        if entry.is_symlink():
            yield path, bool(_ALL_OURS.fullmatch(name))
        elif entry.is_dir(follow_symlinks=False):
            own = bool(_FOLDERS.fullmatch(name))
            if own:
                yield from _walk(path, top)
            yield path, own
        else:
            yield path, bool(_FILES.fullmatch(name))
