"""The cores and the memory that this process may use, which can be less than the machine has.

Containers and batch systems limit a process in two ways. An affinity (``taskset``, a cpuset) says on which cores it
runs. A control group says how much processor time (a quota) and memory it gets: docker's ``--cpus`` and ``--memory``,
Kubernetes' limits. Groups are nested, and the limits of a group hold for all groups in it. There are two versions of
control groups, whose files differ, and a machine may use both at once.
See https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
#: Version 1 has no word for "no limit": it shows the largest number of pages, as bytes.
_NO_LIMIT_BYTES = 1 << 60
#: Limit, use, and the field of ``memory.stat`` with file pages that the system takes back when memory is wanted.
_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_cpus(root: Path = _ROOT) -> int:
    """Cores that this process may use: those of its affinity, or its quota of processor time where that is less.

    A quota of 1.5 cores counts as 2 and one of 1.4 as 1 (the nearest number; 1 at least).

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(root, "cpu") if (quota := _cpu_quota(group)) is not None]
    return max(1, min([cores, *(math.floor(quota + 0.5) for quota in quotas)]))


def available_bytes(root: Path = _ROOT) -> int | None:
    """Memory that this process can still take, on the machine and in its groups; None where the system does not say.

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    found = [left for group in _groups(root, "memory") if (left := _group_bytes(group)) is not None]
    kibibytes = _field(root / "proc/meminfo", "MemAvailable:")
    if kibibytes is not None:
        found.append(1024 * kibibytes)
    return max(0, min(found)) if found else None


def _cpu_quota(group: Path) -> float | None:
    """The cores' worth of processor time that a group gets; None without a limit."""
    words = _read(group / "cpu.max").split()  # version 2: "max 100000", or "150000 100000"
    words = words or [_read(group / f"cpu.cfs_{which}_us").strip() for which in ("quota", "period")]
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None  # version 1 says -1 where there is no limit


def _group_bytes(group: Path) -> int | None:
    """What is left of a group's memory; None without a limit."""
    for limit_file, used_file, cache_field in _MEMORY_FILES:
        limit, used = _read(group / limit_file).strip(), _read(group / used_file).strip()
        if limit.isdecimal() and used.isdecimal() and int(limit) < _NO_LIMIT_BYTES:
            return int(limit) - int(used) + (_field(group / "memory.stat", cache_field) or 0)
    return None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the groups of both versions that limit this process: its own, and those around it."""
    own: dict[str, str] = {}  # controller ("" is version 2) to the path of this process's group
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    for line in _read(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        kind, options = system.split()[0], system.split()[-1].split(",")
        if kind not in ("cgroup", "cgroup2") or (kind == "cgroup" and controller not in options):
            continue
        shown, at = (_unescaped(word) for word in mount.split()[3:5])
        top = root / at.lstrip("/")
        below = PurePosixPath(own.get("" if kind == "cgroup2" else controller, shown))
        # A container may see its own group at the top of the mount, under a path that is the host's.
        inside = below.is_relative_to(shown) and ".." not in below.parts
        folder = top / below.relative_to(shown) if inside else top
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(top))


def _unescaped(word: str) -> str:
    """A path of ``mountinfo``, where a space is ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def _field(path: Path, name: str) -> int | None:
    """The number after ``name`` in a file of lines."""
    words = (line.split() for line in _read(path).splitlines())
    return next((int(line[1]) for line in words if len(line) > 1 and line[0] == name and line[1].isdecimal()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
