"""What goes wrong in a real search, made up for a simulated one: noise, failures, stragglers, lost nodes, slow starts.

Everything is drawn from (seed, trial number) or (seed, node), so a trial has the same luck whatever the strategy does
around it, and a run is the same on any number of processes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from raynas.errors import SpecError


@dataclass(frozen=True)
class Faults:
    """How much goes wrong. All off by default.

    Args:
        noise: standard deviation of what is added to a trial's objective (one draw a trial: its training's luck).
        failures: share of trials that fail, at a random moment.
        stragglers: share of trials that are slow.
        straggler_factor: how many times as long those take.
        node_loss_seconds: mean time to the loss of a node (exponential); None: none is lost. What its trials had
            finished is kept (a checkpoint a step); they are taken up again by the next free workers.
        retries: how often a trial is taken up again, as in a real search; lost once more, it has failed.
        workers_per_node: how many workers go down with a node.
        recovery_seconds: until a lost node's workers are back.
        startup_seconds: from taking a trial up to the start of its first step, each time.
    """

    noise: float = 0.0
    failures: float = 0.0
    stragglers: float = 0.0
    straggler_factor: float = 5.0
    node_loss_seconds: float | None = None
    retries: int = 2
    workers_per_node: int = 1
    recovery_seconds: float = 0.0
    startup_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("failures", "stragglers"):
            if not 0 <= getattr(self, name) <= 1:
                raise SpecError(f"{name} {getattr(self, name)!r} is a share of trials; give 0 to 1")
        for name in ("noise", "recovery_seconds", "startup_seconds"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name} {getattr(self, name)!r} is below 0; give 0 or more")
        if self.straggler_factor < 1:
            raise SpecError(f"straggler factor {self.straggler_factor!r} makes trials faster; give 1 or more")
        if self.node_loss_seconds is not None and self.node_loss_seconds <= 0:
            raise SpecError(f"a mean time to the loss of a node of {self.node_loss_seconds!r} s; give more than 0")
        if self.retries < 0:
            raise SpecError(f"{self.retries!r} retries of a lost trial; give 0 or more")
        if self.workers_per_node < 1:
            raise SpecError(f"{self.workers_per_node!r} workers a node; give 1 or more")


@dataclass(frozen=True)
class Luck:
    """One trial's luck.

    Attributes:
        noise: added to its objective.
        slowdown: its steps take so many times as long.
        fails_at: ``(step, share of that step)`` at which it fails; None if it does not.
    """

    noise: float = 0.0
    slowdown: float = 1.0
    fails_at: tuple[int, float] | None = None


EVEN = Luck()


def luck(faults: Faults, seed: int, number: int, max_steps: int) -> Luck:
    """The luck of trial ``number`` in the run of ``seed``."""
    if not (faults.noise or faults.failures or faults.stragglers):
        return EVEN
    rng = random.Random(f"{seed}/{number}/luck")
    noise = rng.gauss(0.0, faults.noise)
    fails, at, share = rng.random() < faults.failures, rng.randint(1, max_steps), rng.random()
    slow = rng.random() < faults.stragglers
    return Luck(noise, faults.straggler_factor if slow else 1.0, (at, share) if fails else None)


def node_rng(seed: int, node: int) -> random.Random:
    """The generator of a node's losses."""
    return random.Random(f"{seed}/node {node}")
