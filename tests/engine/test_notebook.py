"""A search from a notebook: a space defined in a cell, the interrupt button pressed, resumed in another cell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

jupyter = pytest.importorskip("jupyter_client", reason="needs ipykernel (pip install -e '.[dev]')")

PATIENCE = 240

DEFINITIONS = """
import time
import raynas
from torch import nn
from raynas.evaluators.evaluator import Evaluation, Evaluator, Measurement, State
from raynas.space import Choice, Space, op
from raynas.objectives.objective import Objective


class Mine(nn.Module):
    def __init__(self, in_features, width):
        super().__init__()
        self.layer = nn.Linear(in_features, width)

    def forward(self, x):
        return self.layer(x)


class Slow(Evaluator):
    objective = Objective("score", "max")
    default_steps = 3

    def start(self, space, architecture, context):
        return SlowEvaluation(architecture["mine.width"])


class SlowEvaluation(Evaluation):
    def __init__(self, width):
        self.width, self.step = width, 0

    def measurements(self, should_stop=lambda: False):
        while self.step < 3:
            for _ in range(20):
                if should_stop():
                    return
                time.sleep(0.05)
            self.step += 1
            yield Measurement(self.step, {"score": self.width * self.step / 100}, 1.0)

    def state(self):
        return State(values={"step": self.step})

    def load(self, state):
        self.step = state.values["step"]


space = Space(flat=op(nn.Flatten), mine=op(Mine, width=Choice(*range(1, 40))), name="cells")
"""


class Notebook:
    """A real kernel, and what its cells print."""

    def __init__(self, folder: Path) -> None:
        self.manager = jupyter.KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def start(self, code: str) -> str:
        return str(self.client.execute(code))

    def wait(self, message_id: str) -> str:
        """What the cell printed; an exception in it fails the test."""
        until, printed = time.monotonic() + PATIENCE, ""
        while time.monotonic() < until:
            message: dict[str, Any] = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] == "error":
                pytest.fail("\n".join(content["traceback"]))
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed
        pytest.fail(f"the cell does not end; it printed {printed!r}")

    def run(self, code: str) -> str:
        return self.wait(self.start(code))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    opened = Notebook(tmp_path)
    yield opened
    opened.close()


def test_a_notebook_searches_is_interrupted_and_goes_on(notebook: Notebook, tmp_path: Path) -> None:
    notebook.run(DEFINITIONS)
    cell = notebook.start(
        "found = raynas.search(space, evaluator=Slow(), trials=4, workers=1, name='s', seed=1, strategy='random', "
        "scheduler='none', mlflow=False)\nprint(found.status, len(found.history.ended))"
    )
    journal, until = tmp_path / "raynas-runs" / "s" / "journal.jsonl", time.monotonic() + PATIENCE
    while not journal.exists() or b'"measured"' not in journal.read_bytes():
        assert time.monotonic() < until
        time.sleep(0.1)
    notebook.manager.interrupt_kernel()
    assert "interrupted 0" in notebook.wait(cell)
    again = notebook.run(
        "found = raynas.resume('s', space=space, evaluator=Slow())\n"
        "print(found.status, [(t.state, t.steps) for t in found.history.trials.values()], len(found.history.sessions))"
    )
    assert f"finished {[('completed', 3)] * 4} 2" in again
