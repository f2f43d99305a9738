"""The Ray adapter: decisions of the rule reach the trials, under a plain ``tune.Tuner`` with Ray's own searcher."""

from __future__ import annotations

import math

import pytest

from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import Decision, FullBudget, Rungs

tune = pytest.importorskip("ray.tune")

OBJECTIVE = Objective("loss", "min")


def tiny():
    """The loss is the configured one at every step; steps are Ray's own iterations, which Ray's checkpoints keep.

    Made in a function, since Ray's workers cannot import a test's module.
    """

    class Tiny(tune.Trainable):
        def setup(self, config):
            self.loss = config["loss"]

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            return {"loss": self.loss}

        def save_checkpoint(self, checkpoint_dir):
            return None

        def load_checkpoint(self, checkpoint):
            pass

    return Tiny


def run(scheduler, losses, folder, at_a_time=1):
    results = tune.Tuner(
        tiny(),
        param_space={"loss": tune.grid_search(losses)},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True, max_concurrent_trials=at_a_time),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    assert not results.errors
    return [result.metrics["training_iteration"] for result in results]


def test_trials_are_stopped_at_their_rungs(ray_session, tmp_path):
    from raynas.schedulers.scheduler import RungScheduler

    losses = [0.5, 0.6, 0.4, math.nan, 0.9, 0.3]
    scheduler = RungScheduler(Rungs(9, mode="min", grace_period=2, reduction_factor=3), OBJECTIVE)
    assert run(scheduler, losses, tmp_path) == [9, 2, 9, 1, 2, 9]
    assert "rungs at 2, 6, 9" in scheduler.debug_string()


def test_full_budget(ray_session, tmp_path):
    from raynas.schedulers.scheduler import RungScheduler

    scheduler = RungScheduler(FullBudget(3, mode="min"), OBJECTIVE)
    assert run(scheduler, [0.5, 0.6, 0.7], tmp_path) == [3, 3, 3]
    assert not scheduler._waiting


def test_trials_pause_and_the_best_are_promoted_under_a_plain_tuner(ray_session, tmp_path):
    from raynas.schedulers.promotion import PromotionRungs
    from raynas.schedulers.scheduler import RungScheduler

    scheduler = RungScheduler(PromotionRungs(9, mode="min", grace_period=1, reduction_factor=3), OBJECTIVE)
    steps = run(scheduler, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], tmp_path, at_a_time=None)
    assert steps.count(9) >= 1
    assert set(steps) == {1, 3, 9}
    assert not scheduler.held
    assert not scheduler._waiting


def test_a_result_decides_by_its_own_step_and_metric():
    from raynas.schedulers.scheduler import RungScheduler

    scheduler = RungScheduler(FullBudget(3, mode="min"), OBJECTIVE)
    after_a_retry = {"loss": 0.5, "step": 3, "training_iteration": 1}
    assert scheduler.decide(0, after_a_retry) == Decision("stop", "budget", 3)
    with pytest.raises(ValueError, match="no metric 'loss'; it has: accuracy"):
        scheduler.decide(0, {"accuracy": 0.5, "step": 1})


def test_contradictions_are_refused():
    from raynas.schedulers.scheduler import RungScheduler

    with pytest.raises(ValueError, match="'max'.*'min'"):
        RungScheduler(Rungs(9), OBJECTIVE)
    scheduler = RungScheduler(Rungs(9, mode="min"), OBJECTIVE)
    assert scheduler.set_search_properties(None, None)
    assert scheduler.set_search_properties("loss", "min")
    assert not scheduler.set_search_properties("loss", "max")
