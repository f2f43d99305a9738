"""Files that are there whole or not at all, also where the process dies or the disk is full while one is written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def atomic_write(path: Path, content: bytes) -> None:
    """Writes a file under another name (``NAME.PID.tmp``) beside ``path`` first, and renames it when it is complete.

    Raises:
        OSError: it cannot be written; what was at ``path`` before is untouched.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
