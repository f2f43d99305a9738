"""A hash of files' content, remembered as long as the files' sizes and times say that nothing has changed.

Reading gigabytes to find that nothing changed would cost each worker seconds; looking at sizes and times alone would
decode everything again after a copy or a ``touch``. So the hash is of the content, and a note beside the cache says
for which sizes and times it holds (as Git's index does).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from raynas.atomic_write import atomic_write

#: A file changed so shortly before we looked may change again within the clock's grain: its hash is not remembered.
SETTLED_SECONDS = 2.0
_BLOCK = 1 << 20


def state_of(files: Mapping[str, Path]) -> str:
    """A hash of the files' names, places, sizes and times: it changes where one of them was written to.

    Raises:
        OSError: a file is gone.
    """
    state, _ = _looked_at(files)
    return state


def content_of(files: Mapping[str, Path], notes: Path) -> str:
    """The hash of named files: 32 hex digits, of the names and the bytes, whatever folder they lie in.

    Args:
        files: by the name that matters (``"cats/7.jpg"``).
        notes: the folder of the notes; where it cannot be written, nothing is remembered.

    Raises:
        OSError: a file cannot be read.
    """
    looked = time.time()
    state, newest = _looked_at(files)
    note = notes / f"{state}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads(note.read_text())["content"])
    content = hashlib.blake2b(digest_size=16)
    for name, path in sorted(files.items()):
        content.update(repr((name, _hash(path))).encode())
    if newest < looked - SETTLED_SECONDS:
        with contextlib.suppress(OSError):
            notes.mkdir(parents=True, exist_ok=True)
            atomic_write(note, json.dumps({"content": content.hexdigest()}).encode())
    return content.hexdigest()


def _looked_at(files: Mapping[str, Path]) -> tuple[str, float]:
    """A hash of what the file system says of the files, and the time of the latest change (s)."""
    signature = hashlib.blake2b(digest_size=16)
    newest = 0.0
    for name, path in sorted(files.items()):
        status = path.stat()
        newest = max(newest, status.st_ctime, status.st_mtime)
        times = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        signature.update(repr((name, str(path), times)).encode())
    return signature.hexdigest(), newest


def _hash(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
