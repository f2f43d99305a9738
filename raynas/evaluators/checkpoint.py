"""A trial's checkpoints: one safetensors file each, written atomically, without pickle.

A file ``step-000012.safetensors`` holds the state after 12 steps; ``step-000012-partial.safetensors`` holds one taken
in the middle of step 13. Names of tensors are the evaluation's own; the weights and buffers of a network are
``model.<parameter name>``, so that any safetensors reader can take them out. The rest (values, measurement) is JSON in
the file's metadata, with a checksum over everything.

A file gets its name only when it is complete (temporary name, then ``os.replace``), so ``kill -9`` at any moment
leaves the older checkpoints as they are. After a power cut a file may be damaged: the checksum tells, and the one
before is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.atomic_write import atomic_write
from raynas.evaluators.evaluator import Measurement, State

if TYPE_CHECKING:
    from torch import Tensor

KEEP = 2  # the newest, and one to fall back on
VERSION = 1
#: In the values of a trial's checkpoint: the evaluation's own, all measurements so far, and (true, if there) that the
#: evaluator needs no further step.
EVALUATION, MEASURED, ENDED = "evaluation", "measured", "ended"
#: In an evaluation's values: the batch-norm statistics are those of the weights beside them. States that earlier
#: releases took in mid-step lack it, and averaged weights have the statistics of an earlier step there.
RENEWED = "statistics_renewed"
_NAME = re.compile(r"step-(\d+)(-partial)?\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back.

    Args:
        step: steps that are done.
        state: what :meth:`Evaluation.load` takes.
        measurement: the last measurement made before it was taken (None before the first).
        partial: whether it stands in the middle of the step after ``step``.
    """

    step: int
    state: State
    measurement: Measurement | None
    partial: bool


def save(
    folder: str | Path, step: int, state: State, measurement: Measurement | None = None, partial: bool = False
) -> Path:
    """Writes a checkpoint and removes all but it and the one before it.

    Args:
        folder: the trial's own; made where missing.
        step: steps that are done.
        state: from :meth:`Evaluation.state`.
        measurement: of ``step``; give it with a partial checkpoint too, in case it has not been reported yet.
        partial: whether the state stands in mid-step.

    Returns:
        The file written.

    Raises:
        OSError: the folder cannot be written (disk full, no permission); older checkpoints are untouched.
    """
    from safetensors.torch import save as to_bytes

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = _separate(state.tensors)
    content: dict[str, Any] = {
        "version": VERSION,
        "step": step,
        "partial": partial,
        "measurement": asdict(measurement) if measurement is not None else None,
        "values": state.values,
    }
    text = json.dumps(content)
    data = to_bytes(tensors, metadata={"raynas": text, "crc32": f"{_checksum(text, tensors):08x}"})
    target = folder / f"step-{step:06d}{'-partial' if partial else ''}.safetensors"
    atomic_write(target, data)
    _tidy(folder, target)
    return target


def newest(folder: str | Path, *, partial: bool = True) -> Checkpoint | None:
    """The newest valid checkpoint in a folder; damaged ones are passed over. None where there is none.

    Args:
        partial: whether one taken in mid-step will do.
    """
    for path in _files(Path(folder), partial=partial):
        with contextlib.suppress(_Damaged, OSError):  # OSError: removed or unreadable just now
            return _read(path)
    return None


def remove(folder: str | Path) -> None:
    """Removes a trial's checkpoints, folder and all; nothing happens where there is none."""
    shutil.rmtree(folder, ignore_errors=True)


class _Damaged(Exception):
    """A file that is not a whole checkpoint."""


def _read(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        text = metadata["raynas"]
        if f"{_checksum(text, tensors):08x}" != metadata["crc32"]:
            raise _Damaged(f"{path}: checksum differs")
        content = json.loads(text)
        measurement = Measurement(**content["measurement"]) if content["measurement"] else None
        return Checkpoint(content["step"], State(tensors, content["values"]), measurement, content["partial"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _Damaged(f"{path}: {error}") from error


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors with a memory of their own each: safetensors refuses shared ones (tied weights)."""
    taken: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        address = tensor.untyped_storage().data_ptr()
        if address in taken:
            tensor = tensor.clone()
        taken.add(address)
        result[name] = tensor
    return result


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> int:
    import torch

    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        value = zlib.crc32(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode(), value)
        if tensor.numel():
            value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def _files(folder: Path, *, partial: bool = True) -> list[Path]:
    """Checkpoints in a folder, newest first (a partial one is newer than the whole one of its step)."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if (match := _NAME.fullmatch(name)) and (partial or match[2] is None):
                found.append((int(match[1]), match[2] is not None, folder / name))
    return [path for *_, path in sorted(found, reverse=True)]


def _tidy(folder: Path, written: Path) -> None:
    files = _files(folder)
    place = files.index(written) if written in files else 0
    # What stands above the one just written was damaged, or the trial would have gone on from there.
    for path in (*files[:place], *files[place + KEEP :]):
        path.unlink(missing_ok=True)
    for path in folder.glob("*.tmp"):  # left by a process that was killed while writing
        path.unlink(missing_ok=True)
