"""A search in a process of its own, for tests that kill it: ``python -m tests.engine.victim HOME NAME [options]``.

Begins the search, or goes on with it where it has begun. Its evaluator is the synthetic one, slowed down, with one
addition: where a file ``die-after-checkpoint`` lies in HOME, the worker that takes it away kills itself as soon as its
next checkpoint is on disk, that is between checkpoint and report.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import threading
import time
from pathlib import Path

import raynas
from raynas.evaluators.evaluator import State, TrialContext
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.space import Architecture, Space
from raynas.storage.search_folder import SearchFolder


class MortalEvaluation(SyntheticEvaluation):
    """Dies on request right after a checkpoint."""

    home: Path
    folder: Path

    def state(self) -> State:
        try:
            (self.home / "die-after-checkpoint").unlink()
        except FileNotFoundError:
            return super().state()
        expected = self.folder / f"step-{self.step:06d}.safetensors"
        threading.Thread(target=_die_when_there, args=(expected,), daemon=True).start()
        return super().state()


def _die_when_there(path: Path) -> None:
    while not path.exists():
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Synthetic):
    """The synthetic evaluator, with evaluations that can be told to die."""

    def __init__(self, home: Path, name: str, *, step_seconds: float, steps: int, noise: float = 0.0) -> None:
        super().__init__(step_seconds=step_seconds, steps=steps)
        self.noise = noise
        self.folder = SearchFolder(home, name)
        self.home = home

    def start(self, space: Space, architecture: Architecture, context: TrialContext) -> MortalEvaluation:
        evaluation = MortalEvaluation(space.trial_id(architecture), context.max_steps, self.step_seconds)
        evaluation.quality += random.Random(context.seed).gauss(0, self.noise)
        evaluation.home = self.home
        evaluation.folder = self.folder.trial_folder(context.number)
        return evaluation


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("name")
    parser.add_argument("--strategy", default="evolution")
    parser.add_argument("--scheduler", default="asha")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--step-seconds", type=float, default=0.02)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--finalists", type=int, default=0)
    arguments = parser.parse_args()
    home, name = arguments.home.absolute(), arguments.name
    more = {"step_seconds": arguments.step_seconds, "steps": arguments.steps, "noise": arguments.noise}
    evaluator = Mortal(home, name, **more)
    if SearchFolder(home, name).has_begun():
        found = raynas.resume(name, home=home, evaluator=evaluator)
    else:
        found = raynas.search(
            "resnet",
            evaluator=evaluator,
            strategy=arguments.strategy,
            scheduler=arguments.scheduler,
            trials=arguments.trials,
            workers=arguments.workers,
            finalists=arguments.finalists,
            name=name,
            home=home,
            seed=7,
            mlflow=False,
        )
    print(found.reason, flush=True)


if __name__ == "__main__":
    main()
