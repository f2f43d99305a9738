"""The format ``source``: one readable Python file with the network and its blocks, and the weights beside it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from raynas.export.errors import ExportError
from raynas.export.exporter import Exporter, TrainedNetwork, Written
from raynas.export.folder import ARCHITECTURE
from raynas.export.program import write_program
from raynas.report.wording import counted
from raynas.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

PROGRAM, WEIGHTS = "model.py", "model.safetensors"
_NEEDS = ("torch", "safetensors", "pillow")


class SourceExporter(Exporter):
    """Writes ``model.py`` and ``model.safetensors``. The file gives the search's outputs bit for bit."""

    def write(self, network: TrainedNetwork, weights: Mapping[str, Tensor], folder: Path) -> Written:
        from safetensors.torch import save

        about = network.about
        lines = [
            f"Written by RayNAS {__version__} from the source of the search's own blocks.",
            f"The weights are in {WEIGHTS}, what is known of the network in {ARCHITECTURE}.",
        ]
        images = network.preprocessing is not None
        program = write_program(network.network, network.input_shape, network.title, lines, images, network.input_dtype)
        (folder / PROGRAM).write_text(program.text, encoding="utf-8")
        ids = json.dumps({key: about[key] for key in ("trial_id", "network_id", "name")})
        (folder / WEIGHTS).write_bytes(save(dict(weights), metadata={"format": "pt", "raynas": ids}))
        steps = counted(about["weights"]["step"], about["weights"]["unit"])
        return Written(
            {PROGRAM: "the network and its blocks, in one file", WEIGHTS: f"its weights after {steps} of training"},
            (*_NEEDS, *program.needs),
            (f"python {{folder}}/{PROGRAM} IMAGE.png",) if images else (),
        )

    def load(self, folder: Path) -> Callable[..., Tensor]:
        try:
            network: Callable[..., Tensor] = import_program(folder / PROGRAM).load()
        except Exception as error:
            raise ExportError(
                f"the exported source does not run ({type(error).__name__}: {error}); its blocks must stand at the "
                "top level of their files and need nothing that is done elsewhere"
            ) from error
        return network


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
