"""What the search itself costs: ``make bench-overhead``.

Pairs of runs in one process on one Ray: bare Ray Tune (class trainable, reused actors, default loggers off, random
numbers) and RayNAS (the ``resnet`` space, evolution, ASHA, journal, a checkpoint per step), both with a trainable that
does nothing, 500 trials x 3 results. Then one long search for the driver's CPU per trial and for resume, and the start
of ``raynas --help``. Prints Markdown; no figure here is a test.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from raynas.engine.cluster import cluster

WORKERS = 2
STEPS = 3


def bare_ray(trials: int, folder: Path) -> float:
    """Trials per second of Ray Tune alone."""
    from ray import tune

    class Trivial(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.done = 0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.done = 0
            return True

        def step(self) -> dict[str, Any]:
            self.done += 1
            return {"score": self.config["x"] * self.done, "done": self.done == STEPS}

    begun = time.perf_counter()
    tune.Tuner(
        tune.with_resources(Trivial, {"CPU": 1}),
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    return trials / (time.perf_counter() - begun)


def through_raynas(trials: int, home: Path, name: str) -> float:
    """Trials per second through the whole stack."""
    import raynas
    from raynas.evaluators.synthetic import Synthetic

    begun = time.perf_counter()
    raynas.search(
        "resnet",
        evaluator=Synthetic(steps=STEPS),
        strategy="evolution",
        scheduler="asha",
        grace_period=STEPS,
        trials=trials,
        workers=WORKERS,
        name=name,
        home=home,
        mlflow=False,
    )
    return trials / (time.perf_counter() - begun)


def driver_cpu(home: Path, marks: tuple[int, ...]) -> tuple[list[tuple[int, float]], float]:
    """Milliseconds of driver CPU per trial between the marks; seconds that a resume of all trials takes."""
    import raynas
    from raynas.evaluators.synthetic import Synthetic

    seen: dict[int, float] = {}
    ended = 0

    def watch(event: dict[str, Any]) -> None:
        nonlocal ended
        ended += event["event"] == "trial_ended"
        if event["event"] == "trial_ended" and ended in (1, *marks):
            seen[ended] = time.process_time()

    evaluator = Synthetic(steps=STEPS)
    raynas.search(
        "resnet",
        evaluator=evaluator,
        strategy="evolution",
        grace_period=STEPS,
        trials=marks[-1],
        workers=WORKERS,
        name="long",
        home=home,
        progress=watch,
        mlflow=False,
    )
    edges = (1, *marks)
    figures = [
        (after, 1_000 * (seen[after] - seen[before]) / (after - before))
        for before, after in zip(edges, edges[1:], strict=False)
    ]
    begun = time.perf_counter()
    first: list[float] = []

    def on_resume(event: dict[str, Any]) -> None:
        if event["event"] == "trial_proposed" and not first:
            first.append(time.perf_counter() - begun)

    raynas.resume("long", trials=marks[-1] + 2, home=home, evaluator=evaluator, progress=on_resume)
    return figures, first[0]


def help_seconds() -> float:
    """Median wall seconds of ``raynas --help``."""
    found = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "raynas", "--help"], check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--long", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, cluster(WORKERS, None):
        home = Path(scratch)
        pairs = []
        for index in range(arguments.pairs):
            bare = bare_ray(arguments.trials, home / f"bare-{index}")
            ours = through_raynas(arguments.trials, home, f"ours-{index}")
            pairs.append((bare, ours))
            print(f"pair {index}: bare {bare:.1f}, RayNAS {ours:.1f} trials/s", file=sys.stderr, flush=True)
        marks = tuple(m for m in (250, 500, 1_000, 2_000) if m <= arguments.long)
        cpu, resume_seconds = driver_cpu(home, marks)
    ratios = [ours / bare for bare, ours in pairs]
    print(f"| {arguments.trials} trials x {STEPS} results, {WORKERS} workers | median | min | max |")
    print("| --- | --- | --- | --- |")
    for label, values in (
        ("bare Ray Tune, trials/s", [bare for bare, _ in pairs]),
        ("RayNAS, trials/s", [ours for _, ours in pairs]),
        ("RayNAS / bare, pair by pair", ratios),
    ):
        print(f"| {label} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    print("\n| driver CPU, ms per trial | " + " | ".join(f"to {mark}" for mark, _ in cpu) + " |")
    print("| --- |" + " --- |" * len(cpu))
    print("| | " + " | ".join(f"{value:.1f}" for _, value in cpu) + " |")
    print(f"\nResume of {marks[-1]} finished trials to the first new proposal, Ray running: {resume_seconds:.2f} s")
    print(f"`raynas --help`, median of 7: {help_seconds():.2f} s")


if __name__ == "__main__":
    main()
