"""Searches of other libraries, each run by a Python of its own: Syne Tune, NePS, DeepHyper. Speaks JSON by lines.

They do not install beside each other, nor beside what RayNAS needs, so this file imports nothing of RayNAS, is started
as a script by the interpreter of the library's environment, and takes each library's search as it is, defaults and all:

    python3 -m venv ENVS/syne-tune && ENVS/syne-tune/bin/pip install syne-tune huggingface_hub
    python3 -m venv ENVS/neps      && ENVS/neps/bin/pip install neural-pipeline-search
    python3 -m venv ENVS/deephyper && ENVS/deephyper/bin/pip install deephyper
    python -m tests.bench.search nasbench201 --environments ENVS

Holes are categories, by the number of options of each. Asked ``{"ask": 7}``, it answers the chosen options' places, in
the order of the holes; told ``{"tell": 7, "loss": 0.3}``, it answers nothing.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any, Protocol


class Search(Protocol):
    """What a library's search does here; smaller losses are better."""

    def ask(self, number: int) -> dict[str, Any]: ...

    def tell(self, number: int, loss: float) -> None: ...


class SyneTune:
    """``CQR`` (conformal quantile regression) or ``BORE``, each over gradient-boosted trees."""

    def __init__(self, holes: dict[str, list[str]], seed: int, kind: str) -> None:
        from syne_tune.config_space import choice
        from syne_tune.optimizer import baselines
        from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

        space = {name: choice(options) for name, options in holes.items()}
        made = getattr(baselines, kind)(space, metric="loss", do_minimize=True, random_seed=seed)
        self.search = AskTellScheduler(base_scheduler=made)
        self.trials: dict[int, Any] = {}

    def ask(self, number: int) -> dict[str, Any]:
        self.trials[number] = self.search.ask()
        return self.trials[number].config

    def tell(self, number: int, loss: float) -> None:
        self.search.tell(self.trials.pop(number), {"loss": loss})


class NePS:
    """What its ``auto`` takes for categories without fidelities: Bayesian optimisation by BoTorch."""

    def __init__(self, holes: dict[str, list[str]], seed: int) -> None:
        import random

        import neps
        import numpy as np
        import torch

        for seeded in (random.seed, np.random.seed, torch.manual_seed):
            seeded(seed)
        torch.set_num_threads(1)
        categories = {name: neps.HPOCategorical(options) for name, options in holes.items()}
        self.search = neps.AskAndTell(neps.algorithms.bayesian_optimization(neps.SearchSpace(categories)))
        self.trials: dict[int, Any] = {}

    def ask(self, number: int) -> dict[str, Any]:
        self.trials[number] = self.search.ask()
        return dict(self.trials[number].config)

    def tell(self, number: int, loss: float) -> None:
        self.search.tell(self.trials.pop(number), loss)


class DeepHyper:
    """``CBO`` (centralised Bayesian optimisation), by default over extremely randomised trees."""

    def __init__(self, holes: dict[str, list[str]], seed: int) -> None:
        from deephyper.hpo import CBO, HpProblem

        problem = HpProblem()
        for name, options in holes.items():
            problem.add_hyperparameter(options, name)
        self.folder = tempfile.TemporaryDirectory()
        self.search = CBO(problem, random_state=seed, log_dir=self.folder.name, checkpoint_history_to_csv=False)
        self.asked: dict[int, dict[str, Any]] = {}

    def ask(self, number: int) -> dict[str, Any]:
        (self.asked[number],) = self.search.ask(1)
        return self.asked[number]

    def tell(self, number: int, loss: float) -> None:
        self.search.tell([(self.asked.pop(number), -loss)])


#: Names of searches: the folder of the library's environment, and how the search is made there.
SEARCHES: dict[str, tuple[str, Any]] = {
    "Syne Tune CQR": ("syne-tune", lambda holes, seed: SyneTune(holes, seed, "CQR")),
    "Syne Tune BORE": ("syne-tune", lambda holes, seed: SyneTune(holes, seed, "BORE")),
    "NePS BO": ("neps", NePS),
    "DeepHyper CBO": ("deephyper", DeepHyper),
}


def main() -> None:
    name, seed, counts = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    holes = {f"h{place}": [str(option) for option in range(count)] for place, count in enumerate(counts)}
    search: Search = SEARCHES[name][1](holes, seed)
    for line in sys.stdin:
        said = json.loads(line)
        if "ask" in said:
            config = search.ask(said["ask"])
            print(json.dumps([int(config[hole]) for hole in holes]), file=answers, flush=True)
        else:
            search.tell(said["tell"], said["loss"])


if __name__ == "__main__":
    main()
