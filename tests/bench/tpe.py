"""What a proposal of TPE costs as a search grows: ``make bench-tpe``.

A search of its own proposals, without Ray and training (a cheap made-up score), on a flat space of 12 holes and on the
``resnet`` space for digits: milliseconds of CPU a proposal around 200, 1,000 and 2,000 trials, and what a fresh process
needs for its first one. Beside it Optuna's own study with the same sampler, which holds every trial. Prints Markdown;
no figure here is a test.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
import warnings

import optuna
import torch

from raynas.journal import History
from raynas.registry import find
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.searchers.tpe import TPESearcher
from raynas.searchers.tpe.window import distribution
from raynas.space import Architecture, Choice, Space, op
from raynas.space.walk.fill import fill

#: Proposals timed before each mark.
SAMPLE = 100


def flat() -> Space:
    return Space(body=op(torch.nn.Identity), recipe={f"h{index}": Choice(*range(5)) for index in range(12)})


def resnet() -> Space:
    space = find("raynas.spaces", "resnet")(find("raynas.tasks", "digits")())
    assert isinstance(space, Space)
    return space


SPACES = {"flat": flat, "resnet": resnet}


def score(architecture: Architecture) -> float:
    """Every value of every hole is worth something, fixed and made up; their mean, so that depth is not all."""
    worth = [hashlib.sha256(f"{path}={value}".encode()).digest()[0] / 255 for path, value in architecture.items()]
    return sum(worth) / len(worth)


def tell(history: History, searcher: ArchitectureSearcher, number: int, architecture: Architecture) -> None:
    """A trial proposed, measured and ended."""
    ids = {"trial_id": searcher.space.trial_id(architecture), "network_id": searcher.space.network_id(architecture)}
    history.apply({"event": "trial_proposed", "trial": number, "architecture": architecture.to_json(), **ids})
    stop = {"rung": 1, "decision": "stop", "stop_reason": "budget"}
    history.apply({"event": "measured", "trial": number, "step": 1, "metrics": {"score": score(architecture)}, **stop})


def ours(space: Space, marks: list[int]) -> dict[int, tuple[float, float, float, float]]:
    """Per mark, in ms of CPU a proposal: median, 95th percentile; mean draws a proposal; a fresh searcher's first."""
    history, searcher = History(), TPESearcher(space)
    history.apply({"event": "search_started", "objective": {"metric": "score", "mode": "max"}})
    took: list[float] = []
    draws: list[int] = []
    found = {}
    for number in range(max(marks) + 1):
        if number in marks:
            begun = time.process_time()
            TPESearcher(space).propose(history, number)
            fresh = 1_000 * (time.process_time() - begun)
            last = sorted(took[-SAMPLE:])
            found[number] = (
                statistics.median(last),
                last[int(0.95 * len(last))],
                statistics.mean(draws[-SAMPLE:]),
                fresh,
            )
        begun = time.process_time()
        proposal = searcher.propose(history, number)
        took.append(1_000 * (time.process_time() - begun))
        assert proposal is not None
        draws.append(proposal.origin.get("asked", 10))
        tell(history, searcher, number, proposal.architecture)
    return found


def whole_study(space: Space, marks: list[int]) -> dict[int, float]:
    """Median ms of a proposal by Optuna's ask and tell on a study that grows; duplicates are let through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    took: list[float] = []
    for _ in range(max(marks)):
        begun = time.process_time()
        trial = study.ask()
        filled = {}

        def choose(path, hole, trial=trial, filled=filled):
            value = trial._suggest(path, distribution(hole))
            filled[path] = hole.options[value] if isinstance(hole, Choice) else value
            return filled[path]

        fill(space, choose)
        took.append(1_000 * (time.process_time() - begun))
        study.tell(trial, score(Architecture(filled)))
    return {mark: statistics.median(took[mark - SAMPLE : mark]) for mark in marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, nargs="+", default=[200, 1_000, 2_000], metavar="TRIALS")
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=list(SPACES))
    arguments = parser.parse_args()
    marks = arguments.marks
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"ms of CPU a proposal over the {SAMPLE} before each mark; Optuna {optuna.__version__}\n")
    print(
        "| space | trials | TPE, median | 95 % | draws a proposal | per draw | fresh process | whole study, per draw |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.spaces:
        space = SPACES[name]()
        whole = whole_study(space, marks)
        for mark, (median, high, draws, fresh) in ours(space, marks).items():
            print(
                f"| {name} | {mark} | {median:.1f} | {high:.1f} | {draws:.1f} | {median / draws:.1f} | "
                f"{fresh:.1f} | {whole[mark]:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
