"""The parts of ``tests.bench.fit``, each done once and then kept: data sets, searches, what is trained beside them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import raynas
from raynas.durations import format_duration
from raynas.resources import available_cpus
from raynas.spec.settings import SearchSpec
from tests.bench.beside import Beside, execution, trained
from tests.bench.kept_back import once, searched, split, taken
from tests.bench.mixed_sizes import mixed_sizes

SPACE = "resnet"
KEPT_BACK = 10_000
SOURCES = {"cifar10": "cifar10", "fashion": "fashion_mnist", "mixed": "cifar10"}  # name to folder in $RAYNAS_DATA
MIXED_TRAIN, MIXED_TEST = 6_000, 5_000
PLAN = "plan"  # how the search that plans for itself is called
#: How networks are called that a search recommends, and that are trained anew: by the way of the search.
ANEW = {PLAN: "recommended, anew", "random": "random search's, anew"}
REPEATS = 2  # of each training beside the searches, with other seeds
#: What a plan decides: random search is given the same.
PLANNED = (
    *("task_options", "epochs", "trial_time", "batch_size", "affordable_flops", "scheduler", "grace_period"),
    *("reduction_factor", "workers", "cpus_per_trial", "max_concurrent", "precision"),
)


@dataclass(frozen=True)
class Bench:
    """What all of a run shares: where it keeps what was done, a search's time in seconds, and the cut of the data."""

    home: Path
    seconds: float
    images: int | None

    def data(self, name: str) -> tuple[Path, Path]:
        """What a search gets of a data set, and what is kept back; made once."""
        folder = self.home / "data" / self.label(name)
        source = Path(os.environ["RAYNAS_DATA"]) / SOURCES[name] / "train.parquet"
        train, test = split(source, KEPT_BACK, folder, self.images)
        if name != "mixed":
            return train, test
        most = self.images or max(MIXED_TRAIN, MIXED_TEST)
        return (
            mixed_sizes(train, min(most, MIXED_TRAIN), folder / "train", seed=0),
            mixed_sizes(test, min(most, MIXED_TEST), folder / "test", seed=1),
        )

    def label(self, name: str) -> str:
        """A data set's name in the home."""
        return name if self.images is None else f"{name}-{self.images}"

    def search(self, name: str, seed: int, way: str) -> str:
        """A search's name."""
        return f"{self.label(name)}-{format_duration(self.seconds)}-{seed}-{way}"

    def kept(self, name: str) -> Path:
        """The file that keeps a result."""
        return self.home / "results" / f"{name}.json"

    def planned(self, name: str, seed: int) -> raynas.SearchResult:
        """The search that is given nothing but data and time."""
        settings = {"data": str(self.data(name)[0]), "seconds": self.seconds, "seed": seed}
        return searched(self.home, self.search(name, seed, PLAN), SPACE, settings)

    def random(self, name: str, seed: int) -> raynas.SearchResult:
        """Random search on the same plan."""
        planned = raynas.load(self.search(name, seed, PLAN), self.home)
        settings = plan_of(planned.spec) | {"seconds": self.seconds, "seed": seed, "strategy": "random"}
        settings |= {"data": planned.spec.data, "precision": execution(planned).precision}
        return searched(self.home, self.search(name, seed, "random"), SPACE, settings)

    def found(self, name: str, seed: int, way: str) -> dict[str, Any]:
        """A search's facts: its trials, its plan, and what the network that it recommends does."""
        search = self.planned if way == PLAN else self.random
        return once(self.kept(self.search(name, seed, way)), lambda: facts(search(name, seed), self.data(name)[1]))

    def beside(self, name: str, seed: int) -> list[dict[str, Any]]:
        """What both searches recommend, the default and ResNet-20, each trained anew with one trial's budget.

        Two at the same time where two trials were: the recommended network and the default, then the others.
        """

        def all_of_them() -> list[dict[str, Any]]:
            search, random = self.search(name, seed, PLAN), self.search(name, seed, "random")
            found = raynas.load(search, self.home)
            test, threads = self.data(name)[1], max(1, int(found.spec.cpus_per_trial))
            trainings = [
                Beside(self.home, of, network, test, seed + 1_000 * repeat, threads, title=title)
                for repeat in range(REPEATS)
                for of, network, title in (
                    (search, "winner", ANEW[PLAN]),
                    (search, "default", "default"),
                    (search, "ResNet-20", "ResNet-20"),
                    (random, "winner", ANEW["random"]),
                )
            ]
            return trained(trainings, min(2, found.history.sessions[0].started["workers"]))

        return once(self.kept(self.search(name, seed, "beside")), all_of_them)

    def long(self, name: str, seed: int) -> list[dict[str, Any]]:
        """The winner trained for a search's time, and ResNet-20 for twice that; one at a time on all cores."""

        def one_by_one() -> list[dict[str, Any]]:
            test, threads = self.data(name)[1], available_cpus()
            budgets = {"winner": self.seconds, "ResNet-20": 2 * self.seconds}
            trainings = [
                Beside(self.home, search, network, test, seed, threads, budgets[network]) for network in budgets
            ]
            return trained(trainings, at_once=1)

        search = self.search(name, seed, PLAN)
        return once(self.kept(self.search(name, seed, "long")), one_by_one)


def plan_of(spec: SearchSpec) -> dict[str, Any]:
    """What of a search's settings its plan decides."""
    return {field: spec[field] for field in PLANNED if spec[field] is not None}


def facts(found: raynas.SearchResult, test: Path) -> dict[str, Any]:
    """What a search did, and what its network does on the images kept back, in plain JSON."""
    trial, history = taken(found), found.history
    there = found.evaluate(test, trial=trial.number)[trial.number]
    reached = [
        record
        for record in history.trials.values()
        if record.score is not None or record.state in ("completed", "stopped")
    ]
    return {
        "title": f"trial {trial.number}: {trial.title}",
        "trials": len(history.trials),
        "reached": len(reached),
        "failed": history.counts["failed"],
        "seconds": history.elapsed_seconds,
        "parameters": sum(weight.numel() for weight in found.build(trial.number).parameters()),
        "validation": history.value(trial),
        "images_per_second": trial.score[1]["images_per_second"] if trial.score else None,
        "accuracy": there.accuracy,
        "low": there.low,
        "high": there.high,
        "images": there.images,
        "budget": budget(found),
        "settings": plan_of(found.spec),
        "plan": found.begun.get("plan"),
    }


def budget(found: raynas.SearchResult) -> str:
    """What a trial of a search had, in words."""
    spec, started = found.spec, found.history.sessions[0].started
    height, width = found.begun["task"]["input_shape"][1:]
    words = [
        f"{spec.trial_time:g} s in {spec.epochs} steps" if spec.trial_time else f"{spec.epochs} epochs",
        f"{height}x{width}",
        f"batches of {spec.batch_size}" if spec.batch_size else "",
        f"{spec.affordable_flops / 1e6:.0f} MFLOPs" if spec.affordable_flops else "",
        f"{started['workers']} at once, {spec.cpus_per_trial:g} core each",
    ]
    return ", ".join(filter(None, words))
