"""A private Ray that starts beside the driver's work, and whose workers import beforehand what trials need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LOOK = """
def look():
    import os, sys
    torch = sys.modules.get("torch")
    return {
        "preloaded": "raynas.engine.preloaded" in sys.modules and "raynas.evaluators.training" in sys.modules,
        "cuda": bool(torch and torch.cuda.is_initialized()),
        "variable": os.environ.get("PL_DISABLE_FORK"),
    }
"""

PRIVATE = (
    LOOK
    + """
import sys
from raynas.engine.cluster import cluster, prepare_environment, workers_are_quiet
from raynas.engine.early_start import early_start

spec = {"address": None, "workers": 1, "cpus_per_trial": 1.0}
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
    start(spec | {"address": "127.0.0.1:6379"}, True)
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
