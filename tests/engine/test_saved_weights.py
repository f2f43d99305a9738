"""Which weights of a trial may be used: not those of an earlier release that have another step's statistics."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from raynas.errors import SearchFolderError
from raynas.evaluators import checkpoint
from raynas.evaluators.evaluator import State, TrialContext
from raynas.evaluators.loop import TrainingEvaluation
from raynas.evaluators.recipe import Recipe
from raynas.results.saved_weights import saved_weights
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.digits import Digits


def test_a_checkpoint_from_mid_step_is_used_only_with_statistics_of_its_own(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, "s")
    result: Any = SimpleNamespace(_folder=folder, name="s")
    record: Any = SimpleNamespace(number=0)
    task = Digits()
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    recipe, context = Recipe(batch_size=128, ema=0.9), TrialContext(0, 0, 3)
    evaluation = TrainingEvaluation(model, task, task.data, recipe, context)

    def save(*, renewed: bool) -> State:
        """As a worker does; without the mark, as workers of earlier releases did."""
        state = evaluation.state()
        marks = {} if renewed else {checkpoint.RENEWED: False}
        values = {checkpoint.EVALUATION: state.values | marks, checkpoint.MEASURED: []}
        place = folder.trial_folder(0)
        checkpoint.save(place, evaluation.step, State(state.tensors, values), partial=evaluation.batch > 0)
        return cast(State, checkpoint.newest(place).state)  # type: ignore[union-attr]

    evaluation.one_batch()
    save(renewed=False)
    with pytest.raises(SearchFolderError, match="middle of its first step.*let it go on: raynas resume s"):
        saved_weights(result, record)
    save(renewed=True)
    assert saved_weights(result, record).partial
    next(evaluation.measurements())
    whole = save(renewed=False)
    evaluation.one_batch()
    save(renewed=False)
    found = saved_weights(result, record)
    assert (found.step, found.partial) == (1, False)
    for name, tensor in found.tensors.items():
        assert torch.equal(tensor, whole.tensors[f"model.{name}"])
