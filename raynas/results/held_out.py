"""A search's kept networks, tried on images that the search never saw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.errors import SearchFolderError, SpecError
from raynas.journal import TrialRecord
from raynas.results.components import resumed_components
from raynas.results.saved_weights import begun_dtype, chosen_trial, saved_weights, trials_with_weights
from raynas.results.search_view import SearchView
from raynas.results.working_folder import working_as_begun
from raynas.spec.components import Components
from raynas.spec.references import TRAINING

if TYPE_CHECKING:
    from torch import Tensor

    from raynas.evaluators.evaluate import Evaluated


def evaluate(
    result: SearchView,
    data: str | Path,
    *,
    trial: int | None = None,
    space: Any = None,
    task: Any = None,
    progress: Callable[[TrialRecord, int, int], None] = lambda record, total, images: None,
) -> list[tuple[TrialRecord, Evaluated]]:
    """The networks whose weights are kept, each tried on other images (float32, on the CPU).

    Args:
        data: a Parquet file or a folder, as the search's own; classes are matched by name.
        trial: only the network of that trial.
        space, task: again, where the search was made with objects and not with references.
        progress: is told the trial, how many images there are for all trials, and how many more it was tried on.

    Returns:
        Trials and what they do, the best of the search first.

    Raises:
        UserError: no weights are kept, the search was not one of images, or the data cannot be used.
    """
    measured = [record for record in trials_with_weights(result) if record.measurements]
    records = measured if trial is None else [chosen_trial(result, trial)]
    if not records:
        raise SearchFolderError(
            f"search {result.name!r} has kept no weights (its keep_best is {result.spec.keep_best}); "
            "search again with a larger keep_best"
        )
    weights = [saved_weights(result, record).tensors for record in records]
    data = Path(data).expanduser().absolute()
    with working_as_begun(result):
        return _tried(
            result,
            data,
            records,
            weights,
            resumed_components(result, space=space, task=task, evaluator=TRAINING),
            progress,
        )


def _tried(
    result: SearchView,
    data: Path,
    records: list[TrialRecord],
    weights: list[dict[str, Tensor]],
    components: Components,
    progress: Callable[[TrialRecord, int, int], None],
) -> list[tuple[TrialRecord, Evaluated]]:
    from raynas.evaluators.evaluate import OtherImages, judge
    from raynas.tasks.images import ImageClassification

    if not isinstance(components.task, ImageClassification):
        raise SpecError(
            f"search {result.name!r} was made on task {components.task.name!r}, which reads no other data; "
            "evaluate is for searches on images (raynas search … --data PATH)"
        )
    images = OtherImages.read(components.task, data)
    total = len(records) * len(images.targets)
    found = []
    for record, tensors in zip(records, weights, strict=True):
        module = components.space.build(record.architecture, components.task.input_shape, begun_dtype(result))
        module.load_state_dict(tensors)
        told = partial(progress, record, total)
        found.append((record, judge(module, components.task, images, progress=told)))
    return found
