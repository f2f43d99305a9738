"""Each strategy, with the rung scheduler, under a plain ``tune.Tuner``: nothing of RayNAS's own search around them."""

from __future__ import annotations

import json
import math

import pytest
from driving import OBJECTIVE, options_space

from raynas.schedulers.rungs import Rungs
from raynas.searchers.evolution import EvolutionSearcher
from raynas.searchers.random import RandomSearcher

tune = pytest.importorskip("ray.tune")


def tiny():
    """Scores an architecture at once, a little more with each step; one value of one hole gives NaN.

    Made in a function, since Ray's workers cannot import a test's module.
    """

    class Tiny(tune.Trainable):
        def setup(self, config):
            self.values = json.loads(config["architecture"])
            self.steps = 0

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.steps += 1
            score = sum(value == 2 for value in self.values.values()) + self.steps / 100
            return {"score": math.nan if self.values["recipe.h0"] == 3 else score, "step": self.steps}

        def save_checkpoint(self, checkpoint_dir):
            return {}

        def load_checkpoint(self, checkpoint):
            pass

    return Tiny


def tuned(searcher, trials, folder):
    """What a plain Tuner makes of a searcher and ASHA."""
    from raynas.schedulers.scheduler import RungScheduler

    return tune.Tuner(
        tiny(),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=RungScheduler(Rungs(9, grace_period=1, reduction_factor=3), OBJECTIVE),
            num_samples=trials,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()


@pytest.mark.parametrize("strategy", [RandomSearcher, EvolutionSearcher])
def test_a_plain_tuner(strategy, ray_session, tmp_path):
    sizes = {"population": 4, "sample": 2} if strategy is EvolutionSearcher else {}
    searcher = strategy(options_space(), seed=1, objective=OBJECTIVE, max_concurrent=2, **sizes)
    results = tuned(searcher, 12, tmp_path)
    assert not results.errors
    assert sorted(result.config["trial"] for result in results) == list(range(12))
    assert len({result.config["architecture"] for result in results}) == 12
    default = options_space().default().to_json()
    assert next(json.loads(r.config["architecture"]) for r in results if r.config["trial"] == 0) == default
    for result in results:
        if json.loads(result.config["architecture"])["recipe.h0"] == 3:
            assert result.metrics["step"] == 1  # NaN stops at once
        else:
            assert result.metrics["step"] in (1, 3, 9)
    assert any(result.metrics["step"] == 9 for result in results)
    history = searcher._plain.history
    assert len(history.ended) == 12
    assert {number: trial.steps for number, trial in history.trials.items()} == {
        result.config["trial"]: result.metrics["step"] for result in results
    }
    if strategy is EvolutionSearcher:
        assert any("parents" in trial.origin for trial in history.trials.values())


def test_an_exhausted_space_ends_a_plain_tuner(ray_session, tmp_path):
    searcher = RandomSearcher(options_space(holes=1), objective=OBJECTIVE, max_concurrent=2)
    results = tune.Tuner(
        tiny(),
        tune_config=tune.TuneConfig(search_alg=searcher, num_samples=50, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            verbose=0,
            stop={"step": 1},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    assert len(results) == 4
