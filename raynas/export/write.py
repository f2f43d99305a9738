"""Writes a trial's network as a folder that stands by itself: weights, what it is, how to use it, and its source."""

from __future__ import annotations

import datetime
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raynas.costs import cost
from raynas.errors import TaskError, UserError
from raynas.export.errors import ExportError
from raynas.export.program import Program, write_program
from raynas.paths import absolute
from raynas.results.components import resumed_components
from raynas.results.opening import load as load_search
from raynas.results.result import SearchResult
from raynas.results.saved_weights import Weights, begun_dtype, chosen_trial, saved_weights
from raynas.results.working_folder import working_as_begun
from raynas.spec.components import Components, input_shape
from raynas.tasks.data import Inputs, each
from raynas.tasks.task import Task
from raynas.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from raynas.journal import TrialRecord

WEIGHTS, ARCHITECTURE, PREPROCESSING, PROGRAM = (
    "model.safetensors",
    "architecture.json",
    "preprocessing.json",
    "model.py",
)
FORMAT = 1
_COMPARED = 4  # inputs

_logger = logging.getLogger("raynas")


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
        folder: where it lies.
        files: its files' names.
        about: the content of ``architecture.json`` (docs/export.md).
        needs: installed packages that ``model.py`` imports besides torch, safetensors and Pillow.
    """

    folder: Path
    files: tuple[str, ...]
    about: dict[str, Any]
    needs: tuple[str, ...]


def export_model(
    search: str | SearchResult,
    output: str | os.PathLike[str],
    *,
    trial: int | None = None,
    force: bool = False,
    home: str | os.PathLike[str] | None = None,
    space: Any = None,
    task: Any = None,
) -> Export:
    """Writes the network of a trial, with the weights that the search kept, into a folder.

    The files are tried before they are handed out: the exported source, loaded with the exported weights, must give
    the same outputs as the network of the search, bit for bit.

    Args:
        search: a search's name, or the search.
        output: a new or empty folder.
        trial: a trial's number; default: the best.
        force: write into a folder that is not empty; files of other names stay.
        home: the folder of all searches, as for ``raynas.load``.
        space, task: again, where the search was made with objects and not with references.

    Raises:
        UserError: there is no such trial, its weights are not kept, the folder is taken, or the source of a module
            cannot be copied. Nothing is written then.
    """
    result = load_search(search, home) if isinstance(search, str) else search
    folder = absolute(output)
    _check_free(folder, force)
    record = chosen_trial(result, trial)
    weights = saved_weights(result, record)
    with working_as_begun(result):
        return _export(result, record, weights, folder, resumed_components(result, space=space, task=task))


def _export(
    result: SearchResult, record: TrialRecord, weights: Weights, folder: Path, components: Components
) -> Export:
    from raynas.tasks.samples import sample_inputs

    the_task, shape, dtype = getattr(components.evaluator, "task", None), input_shape(components), begun_dtype(result)
    if the_task is None or shape is None:
        raise ExportError(f"search {result.name!r} has no task that says what shape an input has; hand it in: task=…")
    network = components.space.network(record.architecture)
    outputs = _outputs(result, the_task)
    preprocessing = _preprocessing(the_task, outputs)
    title, about = _description(result, record)
    program = write_program(network, shape, title, about, preprocessing is not None, dtype)
    built = components.space.build(record.architecture, shape, dtype)
    built.load_state_dict(weights.tensors)
    document = {**_document(result, record, components, weights, program), "outputs": outputs}
    inputs = sample_inputs(the_task, _COMPARED, dtype, result.begun["task"].get("input_range"))
    with _scratch(folder) as scratch:
        _write_files(scratch, program, document, preprocessing, weights)
        _compare(scratch, built.eval(), inputs)
        names = sorted(path.name for path in scratch.iterdir() if path.is_file())
        _move(scratch, names, folder)
    return Export(folder, tuple(names), document, tuple(program.needs))


def _check_free(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file; give a folder: --output model/")
    if folder.is_dir() and not force and any(folder.iterdir()):
        raise ExportError(f"folder {folder} is not empty; give another one, or --force to write into it")


def _outputs(result: SearchResult, task: Any) -> str:
    """What the network's outputs are: as the task declares, as the search's journal has it, or as it can be told now.

    An earlier release did not journal it, and the data may be gone by now: what is not certain is ``values``.
    """
    from raynas.tasks.samples import declared_outputs, output_kind

    declared = declared_outputs(task) or result.begun["task"].get("outputs")
    if declared is not None:
        return str(declared)
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


def _description(result: SearchResult, record: TrialRecord) -> tuple[str, list[str]]:
    """The head of the exported file: what it is, and where it is from."""
    step, metrics = record.score or (record.steps, {})
    metric = result.objective.metric
    steps = f"{step} {result.history.step_name}{'' if step == 1 else 's'}"
    value = f", {metric} {metrics[metric]:.4f} after {steps}" if metric in metrics else ""
    title = f"A network found by RayNAS: trial {record.number} of search {result.name}{value}."
    return title, [
        f"Written by RayNAS {__version__} from the source of the search's own blocks.",
        f"The weights are in {WEIGHTS}, what is known of the network in {ARCHITECTURE}.",
    ]


def _document(
    result: SearchResult, record: TrialRecord, components: Components, weights: Weights, program: Program
) -> dict[str, Any]:
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
        "needs": ["torch", "safetensors", "pillow", *program.needs],
        "versions": {"raynas": __version__, "torch": str(torch.__version__)},
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _finite(metrics: Any) -> dict[str, Any]:
    return {name: value if abs(value) < float("inf") else str(value) for name, value in metrics.items()}


class _scratch:
    """A folder beside the wanted one, so that moving files into it is a rename; gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        except OSError as error:
            raise ExportError(
                f"{self._folder.parent} cannot be written ({error.strerror}); give another --output"
            ) from None
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _write_files(
    folder: Path, program: Program, document: dict[str, Any], preprocessing: dict[str, Any] | None, weights: Weights
) -> None:
    from safetensors.torch import save

    about = {"format": "pt", "raynas": json.dumps({key: document[key] for key in ("trial_id", "network_id", "name")})}
    try:
        (folder / PROGRAM).write_text(program.text, encoding="utf-8")
        (folder / ARCHITECTURE).write_text(_dumps(document), encoding="utf-8")
        if preprocessing is not None:
            (folder / PREPROCESSING).write_text(_dumps(preprocessing), encoding="utf-8")
        (folder / WEIGHTS).write_bytes(save(weights.tensors, metadata=about))
    except OSError as error:
        raise ExportError(f"{folder.parent} cannot be written ({error.strerror}); give another --output") from None


def _move(scratch: Path, names: list[str], folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        for name in names:
            os.replace(scratch / name, folder / name)
    except OSError as error:
        raise ExportError(f"{folder} cannot be written ({error.strerror}); give another --output") from None


def _compare(folder: Path, built: nn.Module, inputs: Inputs) -> None:
    """Raises ExportError unless the files give the outputs of the search's own network for some inputs."""
    import torch

    try:
        loaded = import_program(folder / PROGRAM).load()
    except Exception as error:
        raise ExportError(
            f"the exported source does not run ({type(error).__name__}: {error}); its blocks must stand at the top "
            "level of their files and need nothing that is done elsewhere"
        ) from error
    with torch.no_grad():
        here, there = built(inputs), loaded(inputs)
    same = here.shape == there.shape and ((here == there) | (here.isnan() & there.isnan())).all()
    if not same:
        raise ExportError(
            "the exported network gives other outputs than the search's: some module keeps numbers outside its "
            "parameters and buffers, or draws random ones in eval mode; register what it computes with as a buffer"
        )


def import_program(path: Path) -> ModuleType:
    """The module of an exported file: its ``Network`` and ``load``. Runs the file's code."""
    name = f"raynas_model_{abs(hash(str(path)))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    written = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # no __pycache__ in a person's folder
    sys.modules[name] = module  # so that classes of it can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = written
    return module


def _dumps(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
