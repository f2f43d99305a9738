"""A limit on a step's time covers what comes before the step, too: a constructor that hangs."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from raynas.engine.worker import watchdog
from raynas.engine.worker.setup import WorkerSetup
from raynas.engine.worker.trainable import TrialRunner
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.space import Architecture, Choice, Space, op
from raynas.spec.references import Source
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.digits import Digits


def test_a_network_that_is_never_built_fails_by_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    killed = threading.Event()

    class Hanging(Synthetic):
        def start(self, space: Space, architecture: Architecture, context: TrialContext) -> SyntheticEvaluation:
            assert killed.wait(60), "nobody watches"
            return SyntheticEvaluation("x", context.max_steps, 0.0)

    monkeypatch.setattr(watchdog, "_MINIMUM_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.set() if number == signal.SIGKILL else None)
    space = Space(head=op(nn.Linear, out_features=Choice(1, 2)))
    worker = WorkerSetup(
        Source("raynas.spaces", "", obj=space), Source("raynas.tasks", "", obj=Digits()), {},
        Source("raynas.evaluators", "", obj=Hanging()),
        SearchFolder(tmp_path, "s"), seed=0, max_steps=3, step_timeout=0.01,
    )  # fmt: skip

    def failure() -> dict[str, object]:
        runner = TrialRunner.__new__(TrialRunner)
        runner.setup({"trial": 0, "architecture": json.dumps(space.default().to_json())}, worker)
        return dict(json.loads(runner.step()["report"])["failure"])

    for told in (failure(), failure()):  # the second is the process that Ray starts after the kill: it does not try
        assert told["reason"] == "timeout"
        assert "building the network took longer than the limit of 0.01 s" in json.dumps(told["error"])
        killed.clear()
