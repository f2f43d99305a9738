"""What the tests of exports share: programs written to a folder, and an environment with torch, safetensors and Pillow
alone."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from raynas.export.program import write_program
from raynas.export.source import import_program
from raynas.space import Architecture, Space

RUFF = [sys.executable, "-m", "ruff"]


def write(folder: Path, space: Space, architecture: Architecture, shape: tuple[int, ...]) -> str:
    """Writes ``model.py`` and the weights of a freshly built network, which is compared with the file's; its text."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    built = space.build(architecture, shape)
    with torch.no_grad():
        for tensor in built.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1 + torch.rand_like(tensor) / 8)  # batch norms that do something
    built.eval()
    program = write_program(space.network(architecture), shape, "A test.", [], images=len(shape) == 3)
    (folder / "model.py").write_text(program.text, encoding="utf-8")
    save_file(built.state_dict(), folder / "model.safetensors")
    module = import_program(folder / "model.py")
    network = module.load()
    assert list(network.state_dict()) == list(built.state_dict())
    inputs = torch.randn((3, *shape))
    with torch.no_grad():
        outputs = built(inputs)
        assert outputs.isfinite().all()
        assert torch.equal(network(inputs), outputs)
    return program.text


def assert_clean(path: Path) -> None:
    """Ruff finds nothing (its defaults, and unsorted or unused imports), and would write it just so."""
    for words in (
        ["check"],
        ["check", "--select", "F,I,E4,E7,E9,W"],
        ["format", "--check", "--line-length", "120"],
    ):
        done = subprocess.run([*RUFF, words[0], "--isolated", *words[1:], str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def package(folder: Path, name: str, **files: str) -> ModuleType:
    """A package of a person's own, imported."""
    home = folder / name
    home.mkdir(parents=True)
    for file, text in {"__init__": "", **files}.items():
        (home / f"{file}.py").write_text(text, encoding="utf-8")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def bare_environment(folder: Path) -> list[str]:
    """The beginning of a command that runs Python with torch, safetensors, Pillow, what torch itself needs, and nothing
    else: a folder of links to them is all that is on the path."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, done = ["torch", "safetensors", "pillow"], set()
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        done.add(name)
        distribution = importlib.metadata.distribution(name)
        for top in {Path(file).parts[0] for file in distribution.files or ()}:
            source = Path(str(distribution.locate_file(top)))
            if top != ".." and top != "__pycache__" and source.exists() and not (folder / top).exists():
                os.symlink(source, folder / top)
        if name == "torch":
            for requirement in distribution.requires or ():
                if "extra ==" not in requirement:
                    word = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
                    try:
                        importlib.metadata.distribution(word)
                    except importlib.metadata.PackageNotFoundError:
                        continue
                    wanted.append(word)
        elif name not in ("safetensors", "pillow"):
            wanted += [
                re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
                for requirement in distribution.requires or ()
                if ";" not in requirement
            ]
    code = (
        f"import sys; sys.path.append({str(folder)!r}); import runpy; sys.argv = sys.argv[1:];"
        "sys.path.insert(0, str(__import__('pathlib').Path(sys.argv[0]).parent)); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # sums in the same order
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment, **options)
