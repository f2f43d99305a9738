"""Whether the ranking at a rung is the ranking at the end: ``make bench-agreement``.

Trains random architectures of a space to the full budget under several schedules, measures each after every epoch, and
gives Kendall's tau-b between the accuracies at a rung and at the end, with a 95 % bootstrap interval over
architectures. "The end" is the same schedule's own; and, so that none is judged by its own noise alone, the mean
over all schedules. Results are kept in a file, so an interrupted run goes on. Prints Markdown; no figure is a test.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

#: Recipes under comparison, by the name they get in the table.
RECIPES: dict[str, dict[str, Any]] = {
    "one_cycle": {"schedule": "one_cycle", "ema": 0.0},
    "cosine": {"schedule": "cosine", "ema": 0.0},
    "wsd": {"schedule": "wsd", "ema": 0.0},
    "wsd+ema": {"schedule": "wsd", "ema": 0.99},
    "one_cycle+ema": {"schedule": "one_cycle", "ema": 0.99},
}


def small_resnet(task: Any) -> Any:
    """A residual space small enough to train dozens of its members to the end on a CPU."""
    from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
    from raynas.space import Choice, Repeat, Space, op

    parts: dict[str, Any] = {"stem": op(ConvNormAct, out_channels=Choice(8, 16))}
    for stage, width in enumerate((8, 16, 32)):
        block = op(
            ResidualBlock,
            out_channels=Choice(width // 2, width, width * 2, name=f"width{stage}"),
            kernel_size=Choice(3, 5),
            activation=Choice("relu", "silu", "tanh", name="activation"),
            squeeze_excite=Choice(False, True, name=f"squeeze{stage}"),
        )
        parts[f"stage{stage}"] = Repeat(block, 1, 3, **({"stride": 2} if stage else {}))
    return Space(name="small_resnet", **parts, head=op(ClassifierHead, num_classes=task.num_classes))


def one(arguments: tuple[str, int | None, int, int, str, int]) -> tuple[str, int, list[float], float]:
    """Trains one architecture; its validation accuracy after each epoch, and its seconds."""
    import torch

    data, size, images, epochs, recipe, number = arguments
    from raynas.evaluators.evaluator import TrialContext
    from raynas.evaluators.execution import Execution
    from raynas.evaluators.training import Training
    from raynas.tasks.images import ImageClassification
    from raynas.tasks.task import Data

    torch.set_num_threads(1)
    task = ImageClassification(data, size=size)
    whole = task.data
    # The order is stratified, so any head of it is a fair sample.
    part = Data(
        whole.train_inputs[:images], whole.train_targets[:images], whole.valid_inputs[:1500], whole.valid_targets[:1500]
    )
    task.__dict__["data"] = part
    space = small_resnet(task)
    architecture = space.sample(random.Random(f"agreement/{number}"))
    way = Execution("bf16", "channels_last")
    training = Training(task, execution=way, lr=0.1, **RECIPES[recipe])
    evaluation = training.start(space, architecture, TrialContext(number, number, epochs))
    measured = list(evaluation.measurements())
    curve = [measurement.metrics["val_accuracy"] for measurement in measured]
    return recipe, number, curve, sum(measurement.seconds for measurement in measured)


def interval(figure: Callable[[np.ndarray], float], count: int, draws: int) -> tuple[float, float, float]:
    """A figure of ``count`` architectures, given as numbers from 0, and its 95 % bootstrap interval over them."""
    from scipy.stats import bootstrap

    all_of_them = np.arange(count)
    found = bootstrap(
        (all_of_them,), figure, vectorized=False, n_resamples=draws, method="percentile",
        random_state=np.random.default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    return figure(all_of_them), float(low), float(high)


def tau(a: np.ndarray, b: np.ndarray, draws: int = 1000) -> tuple[float, float, float]:
    """Kendall's tau-b and its 95 % bootstrap interval over the pairs (a[i], b[i])."""
    from scipy.stats import kendalltau

    return interval(lambda index: float(kendalltau(a[index], b[index]).statistic), len(a), draws)


def gain(old: np.ndarray, new: np.ndarray, rung: int, draws: int = 1000) -> tuple[float, float, float]:
    """How much better a rung of the new schedule agrees with its own end than that of the old, architectures paired."""
    from scipy.stats import kendalltau

    def difference(index: np.ndarray) -> float:
        taus = [kendalltau(curve[index, rung - 1], curve[index, -1]).statistic for curve in (old, new)]
        return float(taus[1] - taus[0])

    return interval(difference, len(old), draws)


def report(curves: dict[str, np.ndarray], rungs: list[int]) -> None:
    """The table: one line a schedule and rung."""
    reference = np.mean([curve[:, -1] for curve in curves.values()], axis=0)
    print("| schedule | rung (epochs) | mean accuracy | tau with its own end | tau with the mean end of all |")
    print("| --- | --- | --- | --- | --- |")
    for name, curve in curves.items():
        for rung in rungs:
            at = curve[:, rung - 1]
            own, mean = tau(at, curve[:, -1]), tau(at, reference)
            words = [f"{t:.2f} ({low:.2f} to {high:.2f})" for t, low, high in (own, mean)]
            if rung == curve.shape[1]:
                words[0] = "1"
            print(f"| {name} | {rung} | {at.mean():.2%} | {words[0]} | {words[1]} |")
    print()
    (first, old), *others = curves.items()
    for name, curve in others:
        for rung in rungs[:-1]:
            t, low, high = gain(old, curve, rung)
            print(f"- {name} instead of {first}, rung {rung}: tau {t:+.2f} ({low:+.2f} to {high:+.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAYNAS_DATA", ".") + "/cifar10/train.parquet")
    parser.add_argument("--architectures", type=int, default=24)
    parser.add_argument("--images", type=int, default=45_000, help="images to train on")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--size", type=int, help="pixels a side (default: the images' own)")
    parser.add_argument("--recipes", nargs="*", default=["one_cycle", "wsd+ema"], choices=list(RECIPES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, default=Path("agreement.jsonl"), help="where results are kept")
    arguments = parser.parse_args()
    if not Path(arguments.data).exists():
        parser.error(f"there is no data at {arguments.data}; set RAYNAS_DATA, or give --data")
    done: dict[tuple[str, int], list[float]] = {}
    key = [arguments.size, arguments.images, arguments.epochs]
    if arguments.keep.exists():
        for line in arguments.keep.read_text().splitlines():
            entry = json.loads(line)
            if entry["key"] == key:
                done[entry["recipe"], entry["number"]] = entry["curve"]
    wanted = [(recipe, number) for number in range(arguments.architectures) for recipe in arguments.recipes]
    todo = [
        (arguments.data, arguments.size, arguments.images, arguments.epochs, recipe, number)
        for recipe, number in wanted
        if (recipe, number) not in done
    ]
    with ProcessPoolExecutor(arguments.jobs) as pool, arguments.keep.open("a") as file:
        for recipe, number, curve, seconds in pool.map(one, todo):
            done[recipe, number] = curve
            entry = {"key": key, "recipe": recipe, "number": number, "curve": curve, "seconds": seconds}
            file.write(json.dumps(entry) + "\n")
            file.flush()
    rungs = []
    step = 1
    while step < arguments.epochs:
        rungs.append(step)
        step *= 3
    rungs.append(arguments.epochs)
    curves = {
        recipe: np.array([done[recipe, number] for number in range(arguments.architectures)])
        for recipe in arguments.recipes
    }
    size = f" of {arguments.size}x{arguments.size}" if arguments.size else ""
    print(f"{arguments.architectures} architectures, {arguments.images:,} images{size}, {arguments.epochs} epochs:")
    print()
    report(curves, rungs)


if __name__ == "__main__":
    main()
