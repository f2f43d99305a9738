"""Optimizers without torch's compiler: torch's own arithmetic, and no import of the compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from raynas.evaluators import optimizers

WAYS = [("SGD", {"momentum": 0.9, "nesterov": True}), ("SGD", {}), ("AdamW", {"betas": (0.9, 0.99)})]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("name", "settings"), WAYS)
def test_they_do_what_torch_does(name: str, settings: dict[str, object], fused: bool) -> None:
    found = []
    for kind in (getattr(torch.optim, name), getattr(optimizers, name)):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        groups = [{"params": [model.weight], "weight_decay": 0.1}, {"params": [model.bias], "weight_decay": 0.0}]
        optimizer = kind(groups, 0.1, fused=fused, **settings)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_neither_compiler_nor_scikit_learn_is_imported_for_a_training_step() -> None:
    code = """
import sys, torch
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.tasks.digits import Digits

task = Digits()
for optimizer in ("sgd", "adamw"):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    recipe = Recipe(optimizer=optimizer, batch_size=512)
    next(TrainingEvaluation(model, task, task.data, recipe, TrialContext(0, 0, 1)).measurements())
print([name for name in ("torch._dynamo", "sklearn", "pandas", "ray") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
