"""Trains a network as the trials of a search were trained: what the search found is compared with it.

Data, size of the images, batch size, recipe, arithmetic and the trial's budget are read from the search. Each network
is trained in a process of its own; as many of them run at once as trials did, so that none has an idle core beside it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import raynas
from raynas.evaluators.evaluate import evaluate
from raynas.evaluators.execution import Execution
from raynas.evaluators.fit import fit
from raynas.results.components import resumed_components
from raynas.space import Architecture
from raynas.spec.components import Components
from tests.bench.kept_back import taken
from tests.bench.training import hand_designed

Network = Literal["default", "ResNet-20", "winner"]


@dataclass(frozen=True)
class Beside:
    """A training.

    Args:
        home, search: where the search lies, and its name.
        network: the space's default, ResNet-20 (with the default's recipe), or what the search recommends, built anew.
        test: the images kept back.
        seed: of the weights, the order and the augmentation.
        threads: of the CPU.
        seconds: of training; None: the budget of one of the search's trials.
        title: how it is called; None: as the network is.
    """

    home: Path
    search: str
    network: Network
    test: Path
    seed: int
    threads: int
    seconds: float | None = None
    title: str | None = None


def trained(trainings: Sequence[Beside], at_once: int) -> list[dict[str, Any]]:
    """Trains networks, so many at once, and tries them on the images kept back.

    Returns:
        Of each, in order: title, parameters, the validation's accuracy, images a second of training, and accuracy with
        its 95 % interval (``low``, ``high``) on so many ``images``.
    """
    context = multiprocessing.get_context("spawn")  # a fork of a process that has used threads may hang
    with ProcessPoolExecutor(at_once, mp_context=context, initializer=_end_with_parent) as pool:
        return list(pool.map(_trained, trainings))


def _end_with_parent() -> None:
    """Lets this process end when its parent does: one that trained on would take a core from what runs next."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _trained(training: Beside) -> dict[str, Any]:
    torch.set_num_threads(training.threads)
    found = raynas.load(training.search, training.home)
    components = resumed_components(found)
    task, spec = components.task, found.spec
    architecture = _architecture(found, training.network)
    torch.manual_seed(training.seed)
    network = _network(components, architecture, training.network)
    recipe = {"batch_size": spec.batch_size} if spec.batch_size else {}
    recipe |= components.space.network(architecture).recipe
    seconds = training.seconds or spec.trial_time
    done = fit(
        network,
        task,
        **({"seconds": seconds, "steps": spec.epochs} if seconds else {"epochs": spec.epochs}),
        seed=training.seed,
        threads=training.threads,
        execution=execution(found),
        **recipe,
    )
    there, last = evaluate(done.model, task, training.test), done.measurements[-1].metrics
    return {
        "title": training.title or training.network,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "validation": last[found.objective.metric],
        "images_per_second": last["images_per_second"],
        "accuracy": there.accuracy,
        "low": there.low,
        "high": there.high,
        "images": there.images,
    }


def _architecture(found: raynas.SearchResult, network: Network) -> Architecture:
    """Whose recipe the training takes, and (but for ResNet-20) whose network."""
    if network == "winner":
        return taken(found).architecture
    assert found.default is not None, "a search begins with its space's default"
    return found.default.architecture


def _network(components: Components, architecture: Architecture, network: Network) -> nn.Module:
    task = components.task
    if network == "ResNet-20":
        return hand_designed(task.input_shape[0], task.num_classes)
    return components.space.build(architecture, task.input_shape, task.input_dtype)


def execution(found: raynas.SearchResult) -> Execution:
    """The arithmetic that the search decided on."""
    decisions = found.history.sessions[0].started.get("decisions") or {}
    return Execution.of({key: decisions[key] for key in ("precision", "layout", "compile") if key in decisions})
