"""What all contract classes share: parameters that a subclass chooses, and a method's answer in another process."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

_PROGRAM = "from raynas.testing.another_process import main; main()"


class Contract:
    """Base of the contract classes. pytest collects subclasses whose names begin with ``Test``."""

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        """The values that each named argument of the tests takes, one after the other."""
        return {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """pytest's hook: runs a test once for each value of its parameters."""
        for name, values in self.parameters().items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values))

    def in_another_process(self, method: str) -> Any:
        """What a method of this class (without arguments; its answer is JSON) answers in a fresh Python process.

        Strings have other hashes there, so sets have another order.

        Raises:
            RuntimeError: the process failed; the message ends with what it wrote.
        """
        case = type(self)
        if "<locals>" in case.__qualname__:
            raise RuntimeError(f"{case.__qualname__} cannot be imported; move it to the top level of its file")
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            request = {
                "module": case.__module__,
                "file": inspect.getfile(case),
                "case": case.__qualname__,
                "method": method,
                "answer": str(answer),
            }
            hash_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
            places = os.pathsep.join(place or os.getcwd() for place in sys.path)
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, json.dumps(request)],
                env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": places},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"{case.__qualname__}.{method}() fails in another process:\n{done.stderr[-4000:]}")
            return json.loads(answer.read_text(encoding="utf-8"))


def as_json(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))
