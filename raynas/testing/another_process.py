"""The other side of ``Contract.in_another_process``: imports a test class, calls a method, writes its answer down."""

from __future__ import annotations

import importlib
import importlib.util
import json
import operator
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Answers the request in the first argument (JSON)."""
    request = json.loads(sys.argv[1])
    case = operator.attrgetter(request["case"])(_module(request["module"], request["file"]))
    answer = getattr(case(), request["method"])()
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _module(name: str, file: str) -> ModuleType:
    """A test module, by its name or (where pytest does not import test files by name) from its file."""
    try:
        module = importlib.import_module(name)
        if getattr(module, "__file__", None) == file:
            return module
    except ModuleNotFoundError:
        pass
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
