"""What training through RayNAS costs, and what it reaches: ``make bench-training``.

``throughput``: pieces of an epoch, by turns, of RayNAS's loop and of a loop written by hand, on the same network, data,
augmentation and arithmetic; the ratio of their rates with an interval over the pairs (``--clock cpu`` counts the
process's CPU seconds, for a machine that has other things to do; ``--ema`` lets RayNAS average its weights besides).

``accuracy``: the same network trained for a given time of one core by each, by turns, the plain loop in plain float32
as one would write it first and RayNAS as it decides by itself. The network is a residual one of 20 layers, designed by
hand. Prints Markdown; no figure here is a test.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from raynas.blocks import ClassifierHead, ConvNormAct, ResidualBlock
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.execution import Execution, fastest
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.tasks.images import ImageClassification
from raynas.tasks.task import Data

BATCH = 128


def hand_designed(channels: int = 3, classes: int = 10) -> nn.Sequential:
    """ResNet-20 (He et al. 2016, section 4.2), 0.27 million parameters."""
    blocks: list[nn.Module] = [ConvNormAct(channels, 16)]
    width = 16
    for out, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        blocks.append(ResidualBlock(width, out, stride=stride))
        width = out
    return nn.Sequential(*blocks, ClassifierHead(width, classes))


class PlainLoop:
    """A training loop as one writes it by hand, with no thought of being interrupted.

    Args:
        way: the arithmetic.
    """

    def __init__(self, model: nn.Module, task: ImageClassification, data: Data, recipe: Recipe, way: Execution) -> None:
        self.model = way.place(model, "cpu")
        self.task, self.data, self.recipe, self.way = task, data, recipe, way
        decayed = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            recipe.peak_lr,
            momentum=recipe.momentum,
            nesterov=True,
            fused=True,
        )
        self.generator = torch.Generator().manual_seed(0)

    def step(self, index: Tensor, progress: float) -> None:
        x = self.task.augment(self.task.prepare(self.data.train_inputs[index]), self.generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate(progress)
        with self.way.autocast("cpu"):
            logits = self.model(self.way.arrange(x))
        loss = cross_entropy(
            logits.float(), self.data.train_targets[index], label_smoothing=self.recipe.label_smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def epoch(self, progress: tuple[float, float]) -> None:
        """Trains on every image once."""
        self.model.train()
        order = torch.randperm(len(self.data.train_inputs))
        batches = len(order) // BATCH
        for number in range(batches):
            at = progress[0] + (progress[1] - progress[0]) * number / batches
            self.step(order[number * BATCH : (number + 1) * BATCH], at)

    def seconds(self, begin: float, seconds: float, budget: float) -> None:
        """Trains for some seconds of a budget of which ``begin`` are gone."""
        self.model.train()
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            if not hasattr(self, "left") or len(self.left) < BATCH:
                self.left = torch.randperm(len(self.data.train_inputs))
            index, self.left = self.left[:BATCH], self.left[BATCH:]
            self.step(index, min(1.0, (begin + spent) / budget))

    @torch.no_grad()
    def accuracy(self) -> float:
        self.model.eval()
        inputs, right = self.data.valid_inputs, 0
        for x, y in zip(inputs.split(512), self.data.valid_targets.split(512), strict=True):
            right += int((self.model(self.way.arrange(self.task.prepare(x))).argmax(1) == y).sum())
        return right / len(inputs)


def interval(values: list[float], draws: int = 4000) -> tuple[float, float, float]:
    """The mean and its 95 % bootstrap interval."""
    sample = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    means = sample[torch.randint(0, len(values), (draws, len(values)), generator=generator)].mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return statistics.fmean(values), low, high


def decided(task: ImageClassification, data: Data, recipe: Recipe) -> Execution:
    """The way of doing the arithmetic that RayNAS would choose for this network."""
    few = Data(data.train_inputs[:BATCH], data.train_targets[:BATCH], data.valid_inputs, data.valid_targets)
    context = TrialContext(0, 0, 1000)
    return fastest(lambda way: TrainingEvaluation(hand_designed(), task, few, recipe, context, way).one_batch, "cpu")


def throughput(task: ImageClassification, pairs: int, batches: int, clock: Callable[[], float], ema: float) -> None:
    recipe = replace(Recipe.of(task.recipe), batch_size=BATCH, ema=ema)
    way = decided(task, task.data, recipe)
    count = batches * BATCH
    data = Data(
        task.data.train_inputs[:count],
        task.data.train_targets[:count],
        task.data.valid_inputs[:1],  # RayNAS validates after each piece; the plain loop does not
        task.data.valid_targets[:1],
    )
    ours = TrainingEvaluation(hand_designed(), task, data, recipe, TrialContext(0, 0, pairs + 1), way).measurements()
    plain = PlainLoop(hand_designed(), task, data, recipe, way)

    def rate(piece: Callable[[], object]) -> float:
        begun = clock()
        piece()
        return count / (clock() - begun)

    rows = []
    for pair in range(pairs + 1):
        by_hand = partial(plain.epoch, (pair / (pairs + 1), (pair + 1) / (pairs + 1)))
        if pair % 2:
            theirs, mine = rate(by_hand), rate(partial(next, ours))
        else:
            mine, theirs = rate(partial(next, ours)), rate(by_hand)
        if pair:  # the first warms up
            rows.append((mine, theirs))
    ratio, low, high = interval([mine / theirs for mine, theirs in rows])
    print(f"Throughput, {way.precision} {way.layout}, {pairs} pairs of {batches} batches of {BATCH}, ema {ema:g}:")
    print()
    print("| loop | images/s (median) |")
    print("| --- | --- |")
    print(f"| RayNAS | {statistics.median(mine for mine, _ in rows):.0f} |")
    print(f"| by hand | {statistics.median(theirs for _, theirs in rows):.0f} |")
    print(f"| ratio | {ratio:.3f} (95 % {low:.3f} to {high:.3f}) |", flush=True)


def accuracy(task: ImageClassification, budget: float, seed: int) -> None:
    recipe = replace(Recipe.of(task.recipe), batch_size=BATCH)
    way = decided(task, task.data, recipe)
    slices = 12
    torch.manual_seed(seed)
    start = hand_designed()
    weights = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    context = TrialContext(0, seed, slices, step_seconds=budget / slices)
    ours = TrainingEvaluation(start, task, task.data, recipe, context, way)
    other = hand_designed()
    other.load_state_dict(weights)
    plain = PlainLoop(other, task, task.data, recipe, Execution())
    mine = math.nan
    for number, measurement in enumerate(ours.measurements()):
        mine = measurement.metrics["val_accuracy"]
        plain.seconds(number * budget / slices, budget / slices, budget)
    print(
        f"| {budget:.0f} s | {seed} | {mine:.2%} ({way.precision} {way.layout}, "
        f"{ours.seen / ours.batches:.1f} epochs) | {plain.accuracy():.2%} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAYNAS_DATA", ".") + "/cifar10/train.parquet")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--batches", type=int, default=20, help="in each half of a pair")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--ema", type=float, default=0.0, help="of the throughput part")
    parser.add_argument("--seconds", type=float, nargs="*", default=[120, 300], help="budgets of the accuracy part")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    if not Path(arguments.data).exists():
        parser.error(f"there is no data at {arguments.data}; set RAYNAS_DATA, or give --data")
    torch.set_num_threads(1)
    task = ImageClassification(arguments.data)
    print(f"{task.summary}; {sum(p.numel() for p in hand_designed().parameters()):,} parameters; one thread")
    print()
    if arguments.pairs:
        clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
        throughput(task, arguments.pairs, arguments.batches, clock, arguments.ema)
    if arguments.seconds:
        print()
        print("| time of one core | seed | RayNAS, as it decides | by hand, fp32 |")
        print("| --- | --- | --- | --- |")
        for seconds in arguments.seconds:
            for seed in range(arguments.seeds):
                accuracy(task, seconds, seed)


if __name__ == "__main__":
    main()
