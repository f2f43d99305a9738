"""What a worker is told of the search, and what it makes of that."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from typing import Any

from raynas.evaluators import checkpoint
from raynas.evaluators.checkpoint import ENDED, EVALUATION
from raynas.evaluators.evaluator import Evaluator, State, TrialContext
from raynas.space import Space
from raynas.spec.references import Source, make_evaluator, make_space, make_task
from raynas.storage.search_folder import SearchFolder


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to know of the search, the same for all its trials.

    Attributes:
        folder: the search's, shared by all machines.
        max_steps: a trial's full budget.
        memory_bytes: what a trial may take (None: no limit).
        step_timeout: seconds that a step may take (None: no limit).
        step_seconds: seconds of training that a step is (None: a step is an epoch).
        rungs: the steps at which the scheduler decides.
        metric: what trials are compared by.
        decisions: what the evaluator decided once for the whole search (``Evaluator.decide``).
        batch_size: samples a step of training (None: the task's own).
        affordable_flops: what a trial can afford (``Task.affordable_flops``).
        working_folder: where the search was begun: relative paths in a task are read from there (None: not known).
    """

    space: Source
    task: Source
    task_arguments: dict[str, Any]
    evaluator: Source
    folder: SearchFolder
    seed: int
    max_steps: int
    threads: int = 1
    device: str = "cpu"
    memory_bytes: int | None = None
    step_timeout: float | None = None
    step_seconds: float | None = None
    rungs: tuple[int, ...] | None = None
    metric: str | None = None
    decisions: dict[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    affordable_flops: float | None = None
    working_folder: str | None = None

    def make_components(self) -> tuple[Space, Evaluator]:
        """The search's space and its evaluator, ready to start trials: what they share is loaded."""
        task = make_task(self.task, self.task_arguments, self.affordable_flops)
        space, evaluator = make_space(self.space, task), make_evaluator(self.evaluator, task, self.batch_size)
        evaluator.adopt(self.decisions)
        stages = evaluator.stages(space)
        if stages:
            made = {stage.name: artifact_of(self.folder, stage.name) for stage in stages}
            evaluator.receive({name: state for name, state in made.items() if state is not None})
        evaluator.load()
        return space, evaluator

    def context(self, number: int) -> TrialContext:
        """What the evaluation of trial ``number`` must know."""
        seed = seed_for(self.seed, number)
        budget = self.max_steps, self.threads, self.device, self.step_seconds, self.rungs, self.metric
        return TrialContext(number, seed, *budget)


def use_threads(threads: int) -> None:
    """Ray tells a worker by the environment how many threads to use, which a torch imported before has not seen."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def seed_for(seed: int, what: int | str) -> int:
    """The seed of a trial (by its number) or a stage, in [0, 2**63): from the search's seed alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{what}".encode()).digest()[:8], "big") >> 1


def artifact_of(folder: SearchFolder, stage: str) -> State | None:
    """What a stage of the search has made; None while it has not ended."""
    found = checkpoint.newest(folder.stage_folder(stage))
    if found is None or not found.state.values.get(ENDED):
        return None
    return State(found.state.tensors, found.state.values[EVALUATION])
