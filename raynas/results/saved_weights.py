"""A search's networks, built again: which trials' weights are kept, and the module of a trial with them loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raynas.errors import SearchFolderError, SpecError
from raynas.evaluators import checkpoint
from raynas.journal import TrialRecord
from raynas.results.components import resumed_components
from raynas.results.search_view import SearchView
from raynas.results.working_folder import working_as_begun
from raynas.spec.components import input_shape
from raynas.spec.references import TRAINING

if TYPE_CHECKING:
    from torch import Tensor, nn

_MODEL = "model."


@dataclass(frozen=True)
class Weights:
    """A network's weights and buffers by their names in the network, and after how many steps (``partial``: and some
    batches) they were kept."""

    tensors: dict[str, Tensor]
    step: int
    partial: bool


def trials_with_weights(result: SearchView) -> list[TrialRecord]:
    """The trials whose weights are there, the best first: those of ``keep_best``, and unfinished ones."""
    history = result.history
    with_files = (
        record for record in history.trials.values() if any(_folder(result, record.number).glob("step-*.safetensors"))
    )
    return sorted(with_files, key=lambda record: (history.key(record), -record.number), reverse=True)


def chosen_trial(result: SearchView, number: int | None) -> TrialRecord:
    """The trial of that number; the best one for None.

    Raises:
        SearchFolderError: there is no such trial.
    """
    if number is None:
        if result.best is None:
            raise SearchFolderError(
                f"search {result.name!r} has measured nothing yet; let it run first: raynas resume {result.name}"
            )
        return result.best
    record = result.history.trials.get(number)
    if record is None:
        there = len(result.history.trials)
        known = f"its trials are 0 to {there - 1}" if there else "it has none yet"
        raise SearchFolderError(
            f"search {result.name!r} has no trial {number}; {known} (raynas trials {result.name} lists them)"
        )
    return record


def saved_weights(result: SearchView, record: TrialRecord) -> Weights:
    """The weights that a trial left.

    Raises:
        SearchFolderError: they are not kept; the message names the trials whose weights are. Or an earlier release kept
            them in the middle of the trial's first step, with batch-norm statistics that are not theirs.
    """
    found = checkpoint.newest(_folder(result, record.number))
    if found is not None and _stale(found):
        found = checkpoint.newest(_folder(result, record.number), partial=False)
        if found is None:
            raise SearchFolderError(
                f"the weights of trial {record.number} of {result.name!r} were kept in the middle of its first step, "
                "by a release that left the batch-norm statistics of untrained weights in them; "
                f"let it go on: raynas resume {result.name}"
            )
    tensors = {} if found is None else found.state.tensors
    weights = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    if found is None or not weights:
        kept = [str(other.number) for other in trials_with_weights(result) if other is not record]
        keep = f"its keep_best is {result.spec.keep_best}"
        there = f"those of trial {', '.join(kept)} are" if kept else "nor those of any other"
        way_out = f"take one of these (--trial {kept[0]}), or" if kept else "to have weights,"
        raise SearchFolderError(
            f"the weights of trial {record.number} of {result.name!r} are not kept, {there} ({keep}); "
            f"{way_out} search again with a larger keep_best"
        )
    return Weights(weights, found.step, found.partial)


def _stale(found: checkpoint.Checkpoint) -> bool:
    """Whether averaged weights were kept in mid-step with the batch-norm statistics of the step before.

    Earlier releases did that; a state says so where its statistics were renewed.
    """
    averaged = any(name.startswith("live.") for name in found.state.tensors)
    renewed = found.state.values.get(checkpoint.EVALUATION, {}).get(checkpoint.RENEWED, False)
    statistics = any(name.startswith(_MODEL) and "running_" in name for name in found.state.tensors)
    return found.partial and averaged and statistics and not renewed


def build(
    result: SearchView, number: int | None = None, *, weights: bool = True, space: Any = None, task: Any = None
) -> nn.Module:
    """The network of a trial (the best for None), in eval mode, on the CPU.

    Args:
        weights: whether to load those that the search kept; else they are new and random.
        space, task: again, where the search was made with objects and not with references.

    Raises:
        UserError: there is no such trial, its weights are not kept, or the space cannot be had again.
    """
    record = chosen_trial(result, number)
    tensors = saved_weights(result, record).tensors if weights else {}
    with working_as_begun(result):
        components = resumed_components(result, space=space, task=task, evaluator=TRAINING)
        shape = input_shape(components)
        if shape is None:
            raise SpecError(f"search {result.name!r} has no task that says what shape an input has; hand it in: task=…")
        module = components.space.build(record.architecture, shape, begun_dtype(result))
    if weights:
        module.load_state_dict(tensors)
    return module.eval()


def begun_dtype(result: SearchView) -> Any:
    """The dtype of an input, as the search's journal has it; None where it does not: float32, as those searches did."""
    return (result.begun.get("task") or {}).get("input_dtype")


def _folder(result: SearchView, number: int) -> Any:
    return result._folder.trial_folder(number)
