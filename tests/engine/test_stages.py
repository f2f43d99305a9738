"""Work before the trials: killed in the middle, stopped, gone on with; what it makes reaches every trial."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import raynas
from raynas.errors import EvaluatorError
from raynas.evaluators.evaluator import Evaluation, Measurement, Stage, State, TrialContext
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.journal import History, read
from raynas.space import Architecture, Choice, Space, op
from raynas.spec.components import require_stage_names
from raynas.storage.own_entries import foreign

STEPS = 5


def staged(marks: Path, *, fails: str = "", waits: bool = False) -> Synthetic:
    """Adds random numbers up in a stage; its worker is killed once in step 3. Trials report the sum.

    Args:
        fails: what it says once it fails, until it is mended.
        waits: after step 3 until it is stopped.

    Made in a function, since Ray's workers cannot import a test's module.
    """

    class Sum(Evaluation):
        def __init__(self, seed: int) -> None:
            self.total, self.done, self.seed = torch.zeros(2), 0, seed

        def measurements(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
            while self.done < STEPS and not should_stop():
                if self.done == 2 and not (marks / "killed").exists():
                    (marks / "killed").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if fails and not (marks / "mended").exists():
                    raise ValueError(fails)
                while waits and self.done == 3:
                    if should_stop():
                        return
                    time.sleep(0.01)
                self.total += torch.rand(2, generator=torch.Generator().manual_seed(self.seed + self.done))
                self.done += 1
                yield Measurement(self.done, {"total": self.total.sum()}, 0.0)

        def state(self) -> State:
            return State({"total": self.total}, {"done": self.done})

        def load(self, state: State) -> None:
            self.total, self.done = state.tensors["total"], state.values["done"]

    class Sums(Stage):
        name, steps = "sums", STEPS

        def start(self, space: Space, context: TrialContext) -> Evaluation:
            return Sum(context.seed % 2**32)

    class Staged(Synthetic):
        def stages(self, space: Space) -> list[Stage]:
            return [Sums()]

        def receive(self, artifacts: Mapping[str, State]) -> None:
            self.total = artifacts["sums"].tensors["total"].sum().item() if artifacts else None

        def start(self, space: Space, architecture: Architecture, context: TrialContext) -> SyntheticEvaluation:
            evaluation = super().start(space, architecture, context)
            own = evaluation.measurements

            def with_total(should_stop: Callable[[], bool] = lambda: False) -> Iterator[Measurement]:
                for one in own(should_stop):
                    yield Measurement(one.step, {**one.metrics, "total": self.total}, one.seconds)

            evaluation.measurements = with_total
            return evaluation

    return Staged(steps=2)


def space() -> Space:
    return Space(head=op(torch.nn.Linear, out_features=Choice(*range(4, 20))), name="small")


def totals(folder: Path) -> list[tuple[int, float]]:
    """What the stage measured."""
    events = read(folder / "journal.jsonl")
    return [(one["step"], one["metrics"]["total"]) for one in events if one["event"] == "stage_measured"]


@pytest.mark.usefixtures("ray_session")
def test_a_stage_is_killed_stopped_and_gone_on_with_and_reaches_every_trial(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"home": tmp_path, "seed": 1, "workers": 1, "mlflow": False, "trials": 2}
    (tmp_path / "killed").touch()  # not this time
    whole = raynas.search(space(), evaluator=staged(tmp_path), name="whole", **usual)
    assert [step for step, _ in totals(whole.folder)] == [1, 2, 3, 4, 5]
    (tmp_path / "killed").unlink()

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "stage_measured" and event["step"] == 3:
            (tmp_path / "s" / "stop").touch()

    begun = raynas.search(space(), evaluator=staged(tmp_path, waits=True), name="s", progress=stop, **usual)
    assert (tmp_path / "killed").exists()
    assert (begun.status, len(begun.history.trials)) == ("interrupted", 0)
    assert begun.history.stages["sums"].state == "running"
    found = raynas.resume("s", home=tmp_path, space=space(), evaluator=staged(tmp_path))
    assert found.status == "finished"
    assert totals(found.folder) == totals(whole.folder), "the steps go on as if nothing had happened, each once"
    stage = History.from_events(read(found.folder / "journal.jsonl")).stages["sums"]
    assert (stage.state, stage.steps_done) == ("completed", STEPS)
    told = {trial.score[1]["total"] for trial in found.history.trials.values() if trial.score is not None}
    assert told == {totals(found.folder)[-1][1]}
    more = raynas.resume("s", home=tmp_path, space=space(), evaluator=staged(tmp_path), trials=3)
    assert len(totals(more.folder)) == STEPS, "a stage that has ended is not run again"
    assert not foreign(found.folder)


@pytest.mark.usefixtures("ray_session")
def test_a_stage_that_fails_ends_the_search_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "killed").touch()
    usual: dict[str, Any] = {"evaluator": staged(tmp_path, fails="no such table"), "home": tmp_path}
    with pytest.raises(EvaluatorError, match=r"stage 'sums' failed: ValueError: no such table .* raynas resume s"):
        raynas.search(space(), name="s", trials=1, workers=1, seed=1, mlflow=False, **usual)
    failed = raynas.load("s", tmp_path).history.stages["sums"]
    assert failed.state == "failed"
    assert failed.error is not None
    assert "Traceback" in failed.error["traceback"]
    (tmp_path / "mended").touch()
    assert raynas.resume("s", space=space(), **usual).status == "finished"


@pytest.mark.parametrize("names", [["a b"], [""], ["../up"], ["one", "one"]])
def test_names_of_stages(names: list[str]) -> None:
    require_stage_names(["one", "two-2", "three_3"])
    with pytest.raises(EvaluatorError, match="needs a name of its own"):
        require_stage_names(names)
