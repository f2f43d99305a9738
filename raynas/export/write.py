"""Writes a trial's network as a folder that stands by itself, in a format that a person names.

What is the same for every format is here: the trial and its weights, what is known of the network
(``architecture.json``), how an image becomes its input (``preprocessing.json``), the comparison with the search's
network, and that the folder is there whole or not at all. The format's own files are its exporter's.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.costs import cost
from raynas.errors import TaskError, UserError
from raynas.export.attempt import compare, write_files
from raynas.export.errors import ExportError
from raynas.export.exporter import Exporter, TensorSpec, TrainedNetwork, Written
from raynas.export.folder import (
    ARCHITECTURE,
    PREPROCESSING,
    Scratch,
    cannot_write,
    check_free,
    files_in,
    move,
    write_json,
)
from raynas.export.formats import SOURCE, Format, find_format
from raynas.paths import absolute
from raynas.results.components import resumed_components
from raynas.results.opening import load as load_search
from raynas.results.result import SearchResult
from raynas.results.saved_weights import Weights, begun_dtype, chosen_trial, saved_weights
from raynas.results.working_folder import working_as_begun
from raynas.spec.components import Components, input_shape
from raynas.spec.references import TRAINING
from raynas.tasks.data import each
from raynas.tasks.task import Task
from raynas.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from raynas.journal import TrialRecord
    from raynas.tasks.samples import Outputs

FORMAT = 1
_COMPARED = 4  # inputs
#: What RayNAS itself needs, so that whoever exports has it.
_USUAL = frozenset({"torch", "safetensors", "pillow"})

_logger = logging.getLogger("raynas")


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
        folder: where it lies.
        files: its files' paths in the folder.
        about: the content of ``architecture.json`` (docs/export.md).
        needs: packages that the files need besides torch, safetensors and Pillow.
        format: the format's name.
        written: what its exporter says of the files.
        compared: how far the outputs of what was written may be from those of the search's network, which was tried;
            0: they are equal, bit for bit; None: they were not compared, since the format cannot be run here.
    """

    folder: Path
    files: tuple[str, ...]
    about: dict[str, Any]
    needs: tuple[str, ...]
    format: str
    written: Written
    compared: float | None


def export_model(
    search: str | SearchResult,
    output: str | os.PathLike[str],
    *,
    format: str | Exporter | type[Exporter] = SOURCE,
    trial: int | None = None,
    force: bool = False,
    home: str | os.PathLike[str] | None = None,
    space: Any = None,
    task: Any = None,
) -> Export:
    """Writes the network of a trial, with the weights that the search kept, into a folder.

    The files are tried before they are handed out: what was written, loaded again, must give the outputs of the
    search's network. Source must give the same outputs bit for bit.

    Args:
        search: a search's name, or the search.
        output: a new or empty folder.
        format: an entry point's name (``source``, ``torch_export``), ``path/file.py:name``, or an ``Exporter``.
        trial: a trial's number; default: the best.
        force: write into a folder that is not empty; files of other names stay.
        home: the folder of all searches, as for ``raynas.load``.
        space, task: again, where the search was made with objects and not with references.

    Raises:
        UserError: there is no such trial or format, its weights are not kept, the folder is taken, or the network
            cannot be written so. Nothing is written then.
    """
    result = load_search(search, home) if isinstance(search, str) else search
    folder, chosen = absolute(output), find_format(format)
    check_free(folder, force)
    record = chosen_trial(result, trial)
    weights = saved_weights(result, record)
    with working_as_begun(result):
        components = resumed_components(result, space=space, task=task, evaluator=TRAINING)
        network, expected = _trained(result, record, weights, components)
        return _export(network, weights.tensors, expected, folder, chosen)


def _trained(
    result: SearchResult, record: TrialRecord, weights: Weights, components: Components
) -> tuple[TrainedNetwork, Tensor]:
    """What is known of a trial's network, and its outputs for the samples."""
    import torch

    from raynas.tasks.samples import sample_inputs

    the_task, shape, dtype = getattr(components.evaluator, "task", None), input_shape(components), begun_dtype(result)
    if the_task is None or shape is None:
        raise ExportError(f"search {result.name!r} has no task that says what shape an input has; hand it in: task=…")
    kind = _outputs(result, the_task)
    samples = sample_inputs(the_task, _COMPARED, dtype, result.begun["task"].get("input_range"))
    built = components.space.build(record.architecture, shape, dtype)
    built.load_state_dict(weights.tensors)
    with torch.no_grad():
        expected = built.eval()(each(torch.clone, samples))
    named = isinstance(shape, Mapping)
    shapes, dtypes = (shape, dtype or {}) if named else ({"input": shape}, {"input": dtype})
    network = TrainedNetwork(
        title=_title(result, record),
        network=components.space.network(record.architecture),
        inputs=tuple(TensorSpec(name, tuple(one), dtypes.get(name) or "float32") for name, one in shapes.items()),
        outputs=TensorSpec("output", tuple(expected.shape[1:]), str(expected.dtype).removeprefix("torch.")),
        output_kind=kind,
        samples=tuple(samples[name] for name in shapes) if named else (samples,),
        preprocessing=_preprocessing(the_task, kind),
        about={**_document(result, record, components, weights), "outputs": kind},
        named=named,
    )
    return network, expected


def _export(
    network: TrainedNetwork, weights: Mapping[str, Tensor], expected: Tensor, folder: Path, chosen: Format
) -> Export:
    with Scratch(folder) as scratch:
        try:
            written = write_files(chosen, network, weights, scratch)
            about = {**network.about, "needs": list(written.needs)}
            write_json(scratch / ARCHITECTURE, about)
            if network.preprocessing is not None:
                write_json(scratch / PREPROCESSING, network.preprocessing)
        except OSError as error:
            raise cannot_write(folder.parent, error) from None
        compared = compare(chosen, network, expected, scratch)
        names = tuple(files_in(scratch))
        move(scratch, folder)
    needs = tuple(package for package in written.needs if package not in _USUAL)
    return Export(folder, names, about, needs, chosen.name, written, compared)


def _outputs(result: SearchResult, task: Any) -> Outputs:
    """What the network's outputs are: as the task declares, as the search's journal has it, or as it can be told now.

    An earlier release did not journal it, and the data may be gone by now: what is not certain is ``values``.
    """
    from raynas.tasks.samples import declared_outputs, output_kind

    declared: Outputs | None = declared_outputs(task) or result.begun["task"].get("outputs")
    if declared is not None:
        return declared
    try:
        return output_kind(task)
    except Exception:
        return "values"


def _preprocessing(task: Any, outputs: str = "classes") -> dict[str, Any] | None:
    """What the task says of its inputs, after a look at whether it is true, and what comes out of its networks."""
    import torch

    from raynas.export.runtime import prepare

    try:
        described = task.preprocessing()
    except Exception as error:  # it may look at the data, which may be gone
        if type(task).preprocessing is Task.preprocessing:
            _logger.warning(
                "the data of task %r cannot be read (%s: %s), so how an image becomes an input is left out",
                task.name, type(error).__name__, error,
            )  # fmt: skip
            return None
        if isinstance(error, UserError):
            raise
        raise TaskError(
            f"task {task.name!r} does not say how its inputs are prepared: preprocessing() ends with "
            f"{type(error).__name__}: {error}"
        ) from error
    if described is None:
        return None
    described = json.loads(json.dumps(described))
    shape = (described["channels"], described["height"], described["width"])
    count = shape[0] * shape[1] * shape[2]
    pixels = torch.arange(2 * count).mul(37).remainder(256).to(torch.uint8).reshape(2, *shape)
    if shape != each(tuple, task.input_shape) or not torch.equal(
        prepare(pixels, described), task.prepare(pixels.clone())
    ):
        raise TaskError(
            f"task {task.name!r} prepares its inputs otherwise than its preprocessing() says, so an exported model "
            "would see other inputs than the trained one; override preprocessing() to say what prepare() does, or "
            "return None for inputs that are not images"
        )
    if outputs == "values" and type(task).preprocessing is Task.preprocessing:
        del described["classes"]  # numbers that nobody gave; a task's own names stay
    return {**described, "outputs": outputs}


def _title(result: SearchResult, record: TrialRecord) -> str:
    """What the network is and where it is from, in one line."""
    step, metrics = record.score or (record.steps, {})
    metric = result.objective.metric
    steps = f"{step} {result.history.step_name}{'' if step == 1 else 's'}"
    value = f", {metric} {metrics[metric]:.4f} after {steps}" if metric in metrics else ""
    return f"A network found by RayNAS: trial {record.number} of search {result.name}{value}."


def _document(result: SearchResult, record: TrialRecord, components: Components, weights: Weights) -> dict[str, Any]:
    """What is known of the network, still without what the exporter needs."""
    import torch

    shape = input_shape(components)
    assert shape is not None
    network = components.space.network(record.architecture)
    dtype = begun_dtype(result)
    total = cost(network, shape, dtype)
    step, metrics = record.score or (None, {})
    return {
        "format": FORMAT,
        "architecture": record.architecture.to_json(),
        "name": record.name,
        "trial": record.number,
        "trial_id": record.trial_id,
        "network_id": record.network_id,
        "input_shape": each(list, shape),
        "input_dtype": dtype or "float32",
        "parameters": total.params,
        "flops": total.flops,
        "weights": {"step": weights.step, "unit": result.history.step_name, "partial": weights.partial},
        "measured": {"step": step, "metrics": _finite(metrics), "state": record.state, "reason": record.reason},
        "recipe": network.recipe,
        "search": {
            "name": result.name,
            "search_id": result.begun["search_id"],
            "space": result.spec.space,
            "space_fingerprint": result.begun["space"]["fingerprint"],
            "task": result.spec.task,
            "strategy": result.spec.strategy,
            "seed": result.spec.seed,
            "objective": {"metric": result.objective.metric, "mode": result.objective.mode},
        },
        "needs": [],
        "versions": {"raynas": __version__, "torch": str(torch.__version__)},
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _finite(metrics: Any) -> dict[str, Any]:
    return {name: value if abs(value) < float("inf") else str(value) for name, value in metrics.items()}
