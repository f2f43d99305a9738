"""How fast networks train here: a few real steps of one, and a line through several of them.

The steps are those of the training loop, on the task's own functions, as many at the same time as trials will run:
cores that share caches and memory are slower together than alone.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

#: A measurement goes on for so long, and for so many steps at most; one step is done in any case.
SECONDS, STEPS = 0.35, 5
#: Steps shorter than this are not slowed down by each other's memory traffic; here Python's own lock would slow them.
_WORTH_CROWDING = 0.02
#: More at the same time than this say no more, and wait for Python's lock.
_CROWD = 4


@dataclass(frozen=True)
class Pace:
    """How long training an architecture takes.

    Args:
        flops: of one sample's forward pass (2 x multiply-adds).
        train_seconds: of one sample in training.
        batch_size: of the steps that were measured.
    """

    flops: float
    train_seconds: float
    batch_size: int

    @property
    def valid_seconds(self) -> float:
        """Of one sample in a validation: a forward pass is about a third of a training step."""
        return self.train_seconds / 3

    def epoch_seconds(self, train_size: int, valid_size: int) -> float:
        """Of a pass over so many samples and a validation on so many."""
        return train_size * self.train_seconds + valid_size * self.valid_seconds


@dataclass(frozen=True)
class SpeedLine:
    """Seconds of a sample in training against its FLOPs: ``overhead + flops * per_flop``."""

    overhead: float
    per_flop: float

    @staticmethod
    def through(paces: Sequence[Pace]) -> SpeedLine:
        """The line of least squared *relative* error through what was measured.

        No part of it is below zero, and the overhead is half of the least time at most: measurements scatter, and a
        line that says "nothing is affordable" helps nobody.

        Args:
            paces: one or more.
        """
        flops = [float(pace.flops) for pace in paces]
        seconds = [pace.train_seconds for pace in paces]
        overhead = 0.0
        if len(set(flops)) > 1:
            weights = [1 / each for each in seconds]  # numpy squares them
            slope, intercept = np.polyfit(flops, seconds, 1, w=weights)
            overhead = min(max(0.0, float(intercept)), min(seconds) / 2) if slope > 0 else 0.0
        per_flop = statistics.median(
            (each - overhead) / max(1.0, count) for each, count in zip(seconds, flops, strict=True)
        )
        return SpeedLine(overhead, per_flop)

    def seconds(self, flops: float) -> float:
        """Of one sample in training."""
        return self.overhead + flops * self.per_flop

    def affordable(self, seconds: float) -> float:
        """FLOPs of a sample that trains in so many seconds; 0 where even the overhead takes longer."""
        return max(0.0, (seconds - self.overhead) / self.per_flop) if self.per_flop > 0 else math.inf


def seconds_of(step_of: Callable[[], Callable[[], None]], *, threads: int, at_once: int, device: str) -> float:
    """The median time of a step, with others like it at the same time.

    Args:
        step_of: makes something that steps, and gives a function that does one step.
        threads: of each.
        at_once: how many of them will run on this machine.
        device: what the steps run on.
    """
    crowd = min(at_once, _CROWD) if device == "cpu" else 1
    first = step_of()
    alone: list[float] = []
    _timed(first, alone, threads, device, warm=1, seconds=0.0)
    if crowd > 1 and alone[0] < _WORTH_CROWDING:
        crowd = 1
    spent: list[list[float]] = [[] for _ in range(crowd)]
    steps = [first, *(step_of() for _ in range(crowd - 1))]
    failures: list[BaseException] = []

    def run(step: Callable[[], None], found: list[float], warm: int) -> None:
        try:
            _timed(step, found, threads, device, warm=warm, seconds=SECONDS)
        except BaseException as error:  # raised again below, in the caller's thread
            failures.append(error)

    workers = [
        threading.Thread(target=run, args=(step, found, min(number, 1)), daemon=True)
        for number, (step, found) in enumerate(zip(steps, spent, strict=True))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return statistics.median(time_ for found in spent for time_ in found)


def _timed(
    step: Callable[[], None], found: list[float], threads: int, device: str, *, warm: int, seconds: float
) -> None:
    """Steps until the time is used up; the first ``warm`` ones compile kernels, and do not count."""
    torch.set_num_threads(threads)
    begun = time.perf_counter()
    for number in range(warm + STEPS):
        before = time.perf_counter()
        step()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if number >= warm:
            found.append(time.perf_counter() - before)
            if time.perf_counter() - begun > seconds:
                return
