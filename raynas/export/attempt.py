"""Runs an exporter, which may be a person's own: whatever goes wrong in it becomes one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.errors import UserError, is_disk_full
from raynas.export.errors import ExportError
from raynas.export.exporter import TrainedNetwork, Written
from raynas.export.folder import ARCHITECTURE, PREPROCESSING, files_in
from raynas.export.formats import SOURCE, Format

if TYPE_CHECKING:
    from torch import Tensor


def write_files(chosen: Format, network: TrainedNetwork, weights: Mapping[str, Tensor], scratch: Path) -> Written:
    """Lets an exporter write its files into an empty folder.

    Raises:
        ExportError: it failed, or wrote nothing, or a file that is not its own to write.
        OSError: the disk is full, or the folder cannot be written.
    """
    called = f"export format {chosen.name!r}"
    try:
        written = chosen.exporter.write(network, weights, scratch)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and (is_disk_full(error) or str(error.filename).startswith(str(scratch))):
            raise
        raise ExportError(f"{called} failed{chosen.where(error)}: {type(error).__name__}: {error}") from error
    written = Written() if written is None else written
    if not isinstance(written, Written):
        raise ExportError(f"{called}: write() returned a {type(written).__name__}; it returns raynas.export.Written")
    there = files_in(scratch)
    if not there:
        raise ExportError(f"{called} wrote nothing; write() puts its files into the folder that it is given")
    taken = sorted({ARCHITECTURE, PREPROCESSING}.intersection(there))
    if taken:
        raise ExportError(f"{called} wrote {taken[0]}, which RayNAS writes itself; give the file another name")
    return written


def compare(chosen: Format, network: TrainedNetwork, expected: Tensor, scratch: Path) -> float | None:
    """Runs what was written on the network's samples, and compares the outputs with those of the search's network.

    Returns:
        How far they may be from them (``Exporter.tolerance``); None where the format cannot be run here.

    Raises:
        ExportError: they are farther from them, or cannot be had.
    """
    import torch

    called, tolerance = f"export format {chosen.name!r}", chosen.exporter.tolerance
    try:
        loaded = chosen.exporter.load(scratch)
        if loaded is None:
            return None
        with torch.no_grad():
            arguments = network.arguments([batch.clone() for batch in network.samples])
            outputs = torch.as_tensor(loaded(*arguments)).to(expected.dtype)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise ExportError(
            f"what {called} wrote cannot be run{chosen.where(error)}: {type(error).__name__}: {error}"
        ) from error
    if _same(outputs, expected, tolerance):
        return tolerance
    apart = "" if chosen.name == SOURCE else f" (format {chosen.name!r}{_apart(outputs, expected)})"
    raise ExportError(
        f"the exported network gives other outputs than the search's{apart}: some module keeps numbers outside its "
        "parameters and buffers, or draws random ones in eval mode; register what it computes with as a buffer"
    )


def _same(outputs: Tensor, expected: Tensor, tolerance: float) -> bool:
    import torch

    if outputs.shape != expected.shape:
        return False
    if tolerance:
        return torch.allclose(outputs, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    return bool(((outputs == expected) | (outputs.isnan() & expected.isnan())).all())


def _apart(outputs: Tensor, expected: Tensor) -> str:
    """How outputs differ, for a message."""
    if outputs.shape != expected.shape:
        return f": shape {tuple(outputs.shape)}, not {tuple(expected.shape)}"
    return f": up to {(outputs - expected).abs().max().item():.3g} apart"
