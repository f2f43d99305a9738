"""The commented files in docs/own, to start from: each does what it says, without a search.

Their contracts are tested by a file beside them, docs/own/test_mine.py, as an author would.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from raynas.costs.model import measured
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.training import Training
from raynas.journal import History
from raynas.modules import load, place_of
from raynas.objectives.objective import Objective
from raynas.space import Choice, Space, op
from raynas.tasks.digits import Digits

OWN = Path(__file__).resolve().parents[1] / "docs" / "own"


def load_own(name: str) -> ModuleType:
    return load(place_of(OWN / name))


def test_space() -> None:
    kinds = {type(hole).__name__ for _, hole in load_own("space.py").convnet(Digits()).holes()}
    assert kinds == {"Choice", "Int", "Float"}


def test_task() -> None:
    task = load_own("task.py").Wine()
    from search_spaces.mlp import mlp

    space = mlp(task)
    training = Training(task)
    assert training.preflight(space, space.default()) == (), "metrics of its own are known once they are measured"
    measured = training.check(space, space.default(), TrialContext(0, 0, 1))
    assert {"val_accuracy", "val_worst_class", "val_loss"} <= set(measured.metrics)
    assert task.preprocessing() is None
    sizes = (len(task.data.train_targets), len(task.data.valid_targets))
    assert sizes == (142, 36)


def test_searcher() -> None:
    climber = load_own("searcher.py").HillClimber
    space = load_own("space.py").convnet(Digits())
    searcher = climber(space, seed=1, objective=Objective("score", "max"), **climber.options(10))
    history = History(Objective("score", "max"))
    for number in range(8):
        proposal = searcher.propose(history, number)
        if number >= 3:
            (parent,) = proposal.origin["parents"]
            assert history.trials[parent] in history.best(2)
        ids = {"trial_id": proposal.trial_id, "network_id": proposal.network_id, "origin": proposal.origin}
        values = proposal.architecture.to_json()
        history.apply({"event": "trial_proposed", "trial": number, "architecture": values, **ids})
        measured = {"event": "measured", "trial": number, "step": 1, "rung": 1}
        history.apply({**measured, "metrics": {"score": random.Random(number).random()}})


@pytest.mark.parametrize("path", sorted(OWN.glob("*.py")), ids=lambda path: path.name)
def test_each_says_how_to_try_it(path: Path) -> None:
    assert re.search(rf"Try it:  \S.* {re.escape(path.name)}\b", path.read_text(encoding="utf-8").split('"""')[1])


def test_cost() -> None:
    own = load_own("cost.py")
    network = Space(flat=op(nn.Flatten), wide=op(nn.Linear, out_features=Choice(9, 5)))
    filled = network.network(network.default())
    assert measured(own.Activations(), "own", filled, (2, 3)) == {"activation_bytes": 4 * (6 + 9)}
    assert measured(own.small, "own", filled, (2, 3)) == {"activation_bytes": 6 + 9}
