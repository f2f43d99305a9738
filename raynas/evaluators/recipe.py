"""How to train: optimizer, learning rate and its schedule. Values come from a person, or from holes of a space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from raynas.errors import UserError
from raynas.evaluators import optimizers

DEFAULT_LR = {"sgd": 0.05, "adamw": 0.003}
SCHEDULES = ("one_cycle", "cosine", "wsd")


@dataclass(frozen=True)
class Recipe:
    """The settings of a training. Each may be a hole of a space's recipe (its path is then ``recipe.<name>``).

    Args:
        optimizer: ``"sgd"`` (with Nesterov momentum) or ``"adamw"`` (Loshchilov & Hutter 2019).
        lr: the schedule's peak; None for the optimizer's usual one (``DEFAULT_LR``).
        weight_decay: of weights alone; biases and norms (tensors with one dimension) have none.
        momentum: of SGD; for AdamW the first of its two betas.
        batch_size: samples a step (fewer where there are not as many).
        label_smoothing: share of the target's mass spread over all classes.
        schedule: ``"one_cycle"``: up in a line, down in a line (Smith & Topin 2018); ``"cosine"``: up in a line, down
            along half a cosine (Loshchilov & Hutter 2017); ``"wsd"``: warm-up, stable, decay: up in a line, level, down
            in a line over the last ``decay`` (Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392).
            Until the decay begins, what is trained does not depend on how long the budget is.
        warmup: share of the budget in which the learning rate goes up.
        decay: share of the budget in which it goes down, under ``"wsd"``.
        ema: weight of the past in a moving average of the weights, which is then what is measured (0: none; 0.99
            looks back some 100 batches). Averaging does for weights what a falling learning rate does, without
            having to know where the training ends (Polyak & Juditsky 1992; Izmailov et al. 2018).

    Raises:
        UserError: a value that cannot be; the message names it.
    """

    optimizer: str = "sgd"
    lr: float | None = None
    weight_decay: float = 5e-4
    momentum: float = 0.9
    batch_size: int = 64
    label_smoothing: float = 0.0
    schedule: str = "one_cycle"
    warmup: float = 0.1
    decay: float = 0.3
    ema: float = 0.0

    def __post_init__(self) -> None:
        def need(name: str, holds: bool, wanted: str) -> None:
            if not holds:
                raise UserError(f"recipe.{name} is {getattr(self, name)!r}; it must be {wanted}")

        need("optimizer", self.optimizer in DEFAULT_LR, f"one of {', '.join(DEFAULT_LR)}")
        need("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        need("lr", self.lr is None or 0 < self.lr < math.inf, "above 0")
        need("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more")
        need("momentum", 0 <= self.momentum < 1, "in [0, 1)")
        need("batch_size", isinstance(self.batch_size, int) and self.batch_size >= 1, "a whole number, 1 or more")
        need("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)")
        need("warmup", 0 <= self.warmup < 1, "in [0, 1)")
        need(
            "decay",
            0 < self.decay <= 1 - self.warmup,
            f"above 0 and, with the warm-up, at most 1 ({1 - self.warmup:g})",
        )
        need("ema", 0 <= self.ema < 1, "in [0, 1)")

    @staticmethod
    def of(values: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
        """A recipe with some values given, the rest from ``base``.

        Raises:
            UserError: a name that no recipe has.
        """
        known = [field.name for field in fields(Recipe)]
        for name in values:
            if name not in known:
                raise UserError(f"recipe.{name} is not known to training; there are: {', '.join(known)}")
        return replace(base or Recipe(), **values)

    @property
    def peak_lr(self) -> float:
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    def learning_rate(self, progress: float) -> float:
        """The learning rate after a share ``progress`` in [0, 1] of the whole budget."""
        if progress < self.warmup:
            return self.peak_lr * progress / self.warmup
        if self.schedule == "wsd":
            return self.peak_lr * min(1.0, (1 - progress) / self.decay)
        left = (1 - progress) / (1 - self.warmup)
        if self.schedule == "cosine":
            left = 0.5 - 0.5 * math.cos(math.pi * left)
        return self.peak_lr * left

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """A new optimizer over all parameters that want a gradient."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # One call for all tensors instead of a loop over them in Python.
        fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
        if self.optimizer == "sgd":
            nesterov = self.momentum > 0  # torch refuses Nesterov without momentum
            return optimizers.SGD(groups, self.peak_lr, momentum=self.momentum, nesterov=nesterov, fused=fused)
        return optimizers.AdamW(groups, self.peak_lr, betas=(self.momentum, 0.999), fused=fused)
