"""A private Ray that starts beside the driver's work, and whose workers import beforehand what trials need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.processes import PATIENCE, command

ROOT = Path(__file__).resolve().parents[2]

LOOK = """
def look():
    import os, sys
    torch = sys.modules.get("torch")
    return {
        "preloaded": "raynas.engine.worker.preloaded" in sys.modules and "raynas.evaluators.training" in sys.modules,
        "cuda": bool(torch and torch.cuda.is_initialized()),
        "variable": os.environ.get("PL_DISABLE_FORK"),
    }
"""

PRIVATE = (
    LOOK
    + """
import sys
from dataclasses import replace
from raynas.engine.cluster import cluster, prepare_environment, workers_are_quiet
from raynas.engine.early_start import early_start
from raynas.spec.settings import SearchSpec

spec = SearchSpec(space="resnet", workers=1)
prepare_environment(1, None)
with early_start() as start:
    start(spec, True)
    assert "torch" not in sys.modules, "the driver's own work goes on meanwhile"
    with cluster(1, None):
        import ray
        from ray.tune.execution.class_cache import DEFAULT_ENV_VARS, _ActorClassCache

        workers_are_quiet()
        assert not DEFAULT_ENV_VARS, "or Tune has new workers started for its trials"
        actor = _ActorClassCache().get(type("Actor", (), {"look": lambda self: look()})).options(num_cpus=1).remote()
        print(ray.get(actor.look.remote()))
    assert ray.is_initialized(), "who begins early ends it"
assert not ray.is_initialized()
assert DEFAULT_ENV_VARS == {"PL_DISABLE_FORK": "1"}

try:
    with early_start() as start:
        start(spec, True)
        raise KeyError("a mistake, found meanwhile")
except KeyError:
    assert not ray.is_initialized()

with early_start() as start:
    start(replace(spec, address="127.0.0.1:6379"), True)
    assert not ray.is_initialized(), "a cluster is only joined when it is needed"
"""
)


def test_workers_of_a_private_ray_have_what_trials_need_and_a_mistake_leaves_no_ray() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRIVATE],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'preloaded': True, 'cuda': False, 'variable': '1'" in done.stdout
    assert not done.stderr


@pytest.mark.usefixtures("ray_session")
def test_a_ray_that_a_person_started_is_left_as_it_is() -> None:
    import ray
    from ray.tune.execution.class_cache import DEFAULT_ENV_VARS

    from raynas.engine.cluster import cluster

    names: dict[str, object] = {}
    exec(LOOK, names)
    with cluster(1, None):
        assert DEFAULT_ENV_VARS == {"PL_DISABLE_FORK": "1"}
        look = ray.remote(num_cpus=1)(names["look"])
        assert ray.get(look.remote())["preloaded"] is False
    assert ray.is_initialized()


def test_an_interrupt_while_the_space_is_made_leaves_neither_ray_nor_a_search(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "def slow(task):\n"
        f"    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "    time.sleep(600)\n"
    )
    search = command(tmp_path / "home", "search", f"{tmp_path}/slow.py:slow", "--no-mlflow")
    until = time.monotonic() + PATIENCE
    while not (tmp_path / "begun").exists():
        assert search.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    search.send_signal(signal.SIGINT)
    said, _ = search.communicate(timeout=PATIENCE)
    assert (search.returncode, "Traceback" in said) == (130, False)
    assert not list((tmp_path / "home").glob("*/journal.jsonl"))
    left = [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if str(tmp_path) in environment(path)]
    assert not left, "processes of the search are left"


def environment(path: Path) -> str:
    """What a process was started with; empty where it has ended meanwhile."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
