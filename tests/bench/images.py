"""What half an hour of searching on real images finds: ``make bench-images``.

The data set's last images are kept from every search. For each seed, three searches of the same space with the same
budget a trial: two of the same length, one by each strategy, and one of trial 0 alone (the space's default, trained in
full). What each recommends (else the best observed) is then tried on the images kept back, which picked nothing: the
``validation`` column flatters, ``test`` does not. Prints Markdown; no figure here is a test.

With ``--home FOLDER`` the searches are kept: what was interrupted goes on, and what is done is not done again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from tests.bench.kept_back import searched, split, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("RAYNAS_DATA", ".") + "/cifar10/train.parquet")
    parser.add_argument("--space", default="resnet")
    parser.add_argument("--strategies", default="auto,random")
    parser.add_argument("--time", default="30m", help="of a search")
    parser.add_argument("--trial-time", default="2m", help="of a trial, at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--kept-back", type=int, default=10_000, metavar="IMAGES")
    parser.add_argument("--home", type=Path, help="where to keep the searches")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        data, test = split(arguments.data, arguments.kept_back, home)
        shared = {"data": str(data), "trial_time": arguments.trial_time, "mlflow": False}
        lone = {"strategy": "random", "scheduler": "none", "trials": 1, "workers": 1, "seconds": None}
        timed = {"seconds": arguments.time, "workers": arguments.workers}
        ways = {
            "default": lone,
            **{strategy: {**timed, "strategy": strategy} for strategy in arguments.strategies.split(",")},
        }
        print("| search | seed | trials | recommended | parameters | validation | test | 95 % interval |")
        print("| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |", flush=True)
        figures: dict[str, list[float]] = {}
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            for way, settings in ways.items():
                settings = {key: value for key, value in settings.items() if value is not None}
                found = searched(home, f"{way}-{seed}", arguments.space, {**shared, **settings, "seed": seed})
                trial = taken(found)
                number = trial.number
                there = found.evaluate(test, trial=number)[number]
                value = found.history.value(trial)
                size = sum(weight.numel() for weight in found.build(number).parameters())
                print(
                    f"| {way} | {seed} | {len(found.history.trials)} | trial {number}: {trial.title} | "
                    f"{size:,} | {value:.4f} | {there.accuracy:.4f} | {there.low:.4f} to {there.high:.4f} |",
                    flush=True,
                )
                figures.setdefault(way, []).append(there.accuracy)
        print()
        for way, values in figures.items():
            print(f"{way}: mean test accuracy {statistics.mean(values):.4f} over {len(values)} seeds")


if __name__ == "__main__":
    main()
