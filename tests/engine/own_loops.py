"""A training loop as people write one, for the tests beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def train(model: nn.Module, trial: Any) -> Iterator[dict[str, Any]]:
    """Momentum and shuffling: what goes on otherwise after a break shows."""
    data, prepare = trial.task.data, trial.task.prepare
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trial.keep(model=model, optimizer=optimizer)
    for _ in trial.epochs:
        model.train()
        for index in torch.randperm(len(data.train_inputs)).split(64):
            loss = cross_entropy(model(prepare(data.train_inputs[index])), data.train_targets[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = model(prepare(data.valid_inputs)).argmax(1) == data.valid_targets
        yield {"val_accuracy": right.float().mean(), "loss": loss}
