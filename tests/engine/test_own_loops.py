"""Searches with a training loop of a person's own: stopped and gone on with, ended early, killed, exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import raynas
from raynas.errors import SpecError
from raynas.journal import read
from raynas.results.components import resumed_components
from raynas.results.result import SearchResult
from raynas.schedulers.replay import replay
from raynas.schedulers.rungs import Rungs
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.digits import Digits
from tests.engine import own_loops
from tests.engine.journals import check_journal
from tests.engine.processes import kill_twice

LOOPS = Path(own_loops.__file__)


def measured(folder: Path) -> dict[int, list[Any]]:
    """Each trial's metrics, step by step; what a trial measured again after a break counts once."""
    found: dict[int, dict[int, Any]] = {}
    for event in read(folder / "journal.jsonl"):
        if event["event"] == "measured":
            found.setdefault(event["trial"], {}).setdefault(event["step"], event["metrics"])
    return {trial: [steps[step] for step in sorted(steps)] for trial, steps in found.items()}


@pytest.mark.usefixtures("ray_session")
def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    path, go_on = tmp_path / "loops.py", tmp_path / "go-on"
    wait = f"""
        while trial.done == 1 and not Path({str(go_on)!r}).exists():
            if trial.should_stop():
                return
            time.sleep(0.01)
        model.train()"""
    text = LOOPS.read_text().replace("import torch\n", "import time\nfrom pathlib import Path\n\nimport torch\n", 1)
    path.write_text(text.replace("\n        model.train()", wait, 1))
    go_on.touch()
    usual: dict[str, Any] = {"epochs": 3, "workers": 1, "seed": 3, "mlflow": False, "strategy": "random"}
    whole = raynas.search("mlp", evaluator=f"{path}:train", trials=2, home=tmp_path, name="whole", **usual)
    go_on.unlink()  # now a trial waits after its first epoch until it is stopped

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "measured":
            (tmp_path / "s" / "stop").touch()

    found = raynas.search("mlp", evaluator=f"{path}:train", trials=2, home=tmp_path, name="s", progress=stop, **usual)
    assert (found.status, found.spec.evaluator) == ("interrupted", f"{path}:train")
    path.unlink()  # there is a copy
    go_on.touch()
    more = raynas.resume("s", home=tmp_path)
    assert more.status == "finished"
    assert measured(more.folder) == measured(whole.folder)
    assert more.best is not None
    raynas.export_model(more, tmp_path / "model")
    inputs = Digits().prepare(Digits().data.valid_inputs)
    right = raynas.load_model(tmp_path / "model")(inputs).argmax(1) == Digits().data.valid_targets
    assert right.float().mean().item() == pytest.approx(more.history.value(more.best), abs=1e-6)
    assert torch.equal(more.build()(inputs), raynas.load_model(tmp_path / "model")(inputs))


def patient_loop() -> Any:
    """Ends by itself after two epochs; its third trial yields nothing, and its fourth forgets the metric.

    Made in a function, since Ray's workers cannot import a test's module.
    """

    def patient(model: Any, trial: Any) -> Any:
        for epoch in trial.epochs:
            if trial.number == 2 or epoch == 2:
                return
            yield {"val_accuracy": 0.1 * (epoch + 1) + 0.01 * trial.number} if trial.number != 3 else {"other": 1.0}

    return patient


@pytest.mark.usefixtures("ray_session")
def test_a_trial_that_ends_by_itself_is_completed_with_its_last_values(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"grace_period": 1, "reduction_factor": 2, "workers": 1, "seed": 3, "mlflow": False}
    found = raynas.search(
        "mlp", evaluator=patient_loop(), trials=5, epochs=8, home=tmp_path, name="s", strategy="random", **settings
    )
    first, last = found.history.trials[0], found.history.trials[4]
    assert (first.state, first.reason, first.steps) == ("completed", "evaluator_ended", 2)
    assert first.score == (8, {"val_accuracy": pytest.approx(0.2)})
    assert found.best is last, "the later trials are better by a little"
    assert [found.history.trials[number].reason for number in (2, 3)] == ["exception", "exception"]
    nothing, without = (found.history.trials[number].error for number in (2, 3))
    assert nothing is not None
    assert without is not None
    assert (nothing["type"], nothing["message"].partition(";")[0]) == (
        "EvaluatorError",
        "the evaluator ended without a measurement",
    )
    assert "metric 'val_accuracy' is not among those reported (other)" in without["message"]

    again = SearchResult(SearchFolder(tmp_path, "s"))
    assert again.history.trials[0].score == first.score, "the journal says it"
    rule = Rungs(8, grace_period=1, reduction_factor=2)
    replay(rule, again.history)
    assert rule.record(99, 8, 0.5).reason == "budget"
    with pytest.raises(SpecError, match="begun with the evaluator object <patient>, which is not kept"):
        raynas.resume("s", home=tmp_path, trials=6)


@pytest.mark.slow
def test_killed_without_warning_and_exported(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "s")
    begin = ("search", "mlp", "--evaluator", f"{LOOPS}:train", "--trials", "4", "--epochs", "9", "--name", "s")
    kill_twice(tmp_path, (*begin, "--seed", "3", "--no-mlflow"), folder, lambda: 4)
    found = SearchResult(folder)
    check_journal(folder.journal, resumed_components(found).space, trials=4)
    assert found.history.counts["failed"] == 0
    raynas.export_model(found, tmp_path / "model")
    assert raynas.load_model(tmp_path / "model")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
