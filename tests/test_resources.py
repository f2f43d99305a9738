"""The cores and the memory that a process may use: control groups of both versions, as files and as they are here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raynas.resources import available_bytes, available_cpus

GIB = 1 << 30
NO_LIMIT = 0x7FFFFFFFFFFFF000  # what version 1 shows on pages of 4 KiB
V1 = "25 24 0:22 {shown} {at} rw,nosuid - cgroup cgroup rw,{controller}"
V2 = "30 23 0:26 {shown} {at} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"

Machine = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Writes a machine of 64 cores with 100 GiB to spare: its mounts, this process's groups, and their files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)

    def write(mounts: list[str], own: list[str], files: dict[str, object]) -> Path:
        proc = {"self/mountinfo": "\n".join(["22 1 8:1 / / rw - ext4 /dev/root rw", *mounts])}
        proc |= {"self/cgroup": "\n".join(own), "meminfo": f"MemTotal: 9 kB\nMemAvailable: {100 * GIB >> 10} kB"}
        for name, text in [*((f"proc/{key}", text) for key, text in proc.items()), *files.items()]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
        return tmp_path

    return write


def test_without_limits_all_cores_and_memory_are_there(machine: Machine) -> None:
    cpu, memory = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"
    root = machine(
        [V1.format(shown="/", at=f"/{cpu}", controller="cpu,cpuacct")]
        + [V1.format(shown="/", at=f"/{memory}", controller="memory")],
        ["2:cpu,cpuacct:/", "1:memory:/"],
        {f"{cpu}/cpu.cfs_quota_us": -1, f"{cpu}/cpu.cfs_period_us": 100_000}
        | {f"{memory}/memory.limit_in_bytes": NO_LIMIT, f"{memory}/memory.usage_in_bytes": GIB},
    )
    assert (available_cpus(root), available_bytes(root)) == (64, 100 * GIB)
    root = machine(
        [V2.format(shown="/", at="/sys/fs/cgroup")],
        ["0::/user.slice"],
        {"sys/fs/cgroup/user.slice/cpu.max": "max 100000", "sys/fs/cgroup/user.slice/memory.max": "max"},
    )
    assert (available_cpus(root), available_bytes(root)) == (64, 100 * GIB)


@pytest.mark.parametrize(
    ("quota", "cores"), [(10_000, 1), (50_000, 1), (140_000, 1), (150_000, 2), (400_000, 4), (9_000_000, 64)]
)
def test_a_quota_counts_as_the_nearest_number_of_cores(machine: Machine, quota: int, cores: int) -> None:
    mount = V2.format(shown="/", at="/sys/fs/cgroup")
    assert available_cpus(machine([mount], ["0::/"], {"sys/fs/cgroup/cpu.max": f"{quota} 100000"})) == cores
    mount = V1.format(shown="/", at="/sys/fs/cgroup/cpu", controller="cpu")
    files = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": quota, "sys/fs/cgroup/cpu/cpu.cfs_period_us": 100_000}
    (machine([], [], {}) / "sys/fs/cgroup/cpu.max").unlink()
    assert available_cpus(machine([mount], ["3:cpu:/"], files)) == cores


def test_limits_of_the_groups_around_ones_own_hold_as_well(machine: Machine) -> None:
    top, job = "sys/fs/cgroup", "sys/fs/cgroup/jobs/7"
    files = {f"{top}/jobs/cpu.max": "300000 100000", f"{job}/cpu.max": "600000 100000"}
    files |= {f"{job}/memory.max": 8 * GIB, f"{job}/memory.current": 7 * GIB}
    files |= {f"{job}/memory.stat": f"anon 1\ninactive_file {2 * GIB}"}  # the page cache is given back when asked
    files |= {f"{top}/jobs/memory.max": 20 * GIB, f"{top}/jobs/memory.current": 18 * GIB}
    root = machine([V2.format(shown="/", at="/sys/fs/cgroup")], ["0::/jobs/7"], files)
    assert (available_cpus(root), available_bytes(root)) == (3, 2 * GIB)
    (root / job / "memory.current").write_text(f"{9 * GIB + GIB}\n")
    assert available_bytes(root) == 0


@pytest.mark.parametrize("shown", ["/docker/4f2a", "/"])
def test_a_container_of_version_1_has_its_limits_at_the_mounts_top(machine: Machine, shown: str) -> None:
    """With a namespace of its own the container's group is ``/``; without one the host's path is seen."""
    cpu, memory = "sys/fs/cgroup/cpu", "mnt/memory groups"
    root = machine(
        [V1.format(shown=shown, at=f"/{cpu}", controller="cpu,cpuacct")]
        + [V1.format(shown=shown, at="/mnt/memory\\040groups", controller="memory")],
        ["4:cpu,cpuacct:/docker/4f2a", "3:memory:/docker/4f2a", "0::/docker/4f2a"],
        {f"{cpu}/cpu.cfs_quota_us": 200_000, f"{cpu}/cpu.cfs_period_us": 100_000}
        | {f"{memory}/memory.limit_in_bytes": 4 * GIB, f"{memory}/memory.usage_in_bytes": 3 * GIB}
        | {f"{memory}/memory.stat": f"cache 5\ntotal_inactive_file {GIB}"},
    )
    assert (available_cpus(root), available_bytes(root)) == (2, 2 * GIB)


def test_a_machine_that_says_nothing_has_its_cores(machine: Machine, tmp_path: Path) -> None:
    assert (available_cpus(tmp_path / "none"), available_bytes(tmp_path / "none")) == (64, None)


@contextlib.contextmanager
def group(controller: str, limits: dict[str, str]) -> Iterator[Path]:
    """A real control group of version 1, below this process's own; the test is skipped where none can be made."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else []:
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    mount = Path(f"/sys/fs/cgroup/{controller}")
    folder = mount / own.get(controller, "/").lstrip("/") / f"raynas-test-{os.getpid()}"
    try:
        folder.mkdir()
        for name, value in limits.items():
            (folder / name).write_text(value)
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no control group of version 1 can be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def in_group(folder: Path, expression: str) -> str:
    """What a process in that group makes of an expression."""
    code = f"import os; open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    code += f"from raynas.resources import *\nprint({expression})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "cgroup.procs" in done.stderr or "OSError" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip(f"a process cannot be put into a control group here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(available_cpus() < 2, reason="one core cannot be made fewer")
def test_a_real_quota_is_seen() -> None:
    with group("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}) as folder:
        assert in_group(folder, "available_cpus()") == "1"


def test_a_real_memory_limit_is_seen() -> None:
    with group("memory", {"memory.limit_in_bytes": str(GIB)}) as folder:
        assert int(in_group(folder, "available_bytes()")) <= GIB
