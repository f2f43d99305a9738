"""The house's floors, checked on the source: a package imports only from those below it (see the table)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What each package, or module at the top of ``raynas``, may know: everything on a lower floor.
FLOORS = {
    "bars": 0,
    "counts": 0,
    "errors": 0,
    "durations": 0,
    "modules": 0,
    "paths": 0,
    "registry": 0,
    "locks": 0,
    "resources": 0,
    "running_clock": 0,
    "space": 1,
    "blocks": 1,
    "tasks": 2,
    "costs": 2,
    "search_spaces": 2,
    "evaluators": 3,
    "journal": 4,
    "searchers": 5,
    "schedulers": 5,
    "engine": 6,
    "simulate": 6,
    "report": 6,
    "export": 6,
    "tracking": 5,
    "cli": 7,
    "__main__": 8,
}

#: A built graph is a block, a space may name the type of the task it is made for, and all of the ground floor may raise
#: its errors; an export reads a search. Nothing else looks across its own floor.
SIDEWAYS = {
    ("space", "blocks"),
    ("search_spaces", "tasks"),
    ("durations", "errors"),
    ("paths", "errors"),
    ("registry", "errors"),
    ("registry", "paths"),
    ("registry", "modules"),
    ("modules", "errors"),
    ("export", "engine"),
}

#: Ray is known on these floors only.
RAY_FLOORS = {5, 6, 7}

#: Where torch may be imported at the head of a module; all others import it in the function that needs it.
TORCH_PACKAGES = {"blocks", "tasks", "costs", "evaluators", "search_spaces", "export"}

FILES = sorted([*(ROOT / "raynas").rglob("*.py"), *(ROOT / "search_spaces").rglob("*.py")])


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str | None:
    """The package of ours that a dotted name lies in; None for others' and for ``raynas`` itself."""
    first, _, rest = module.partition(".")
    if first == "search_spaces":
        return first
    return rest.partition(".")[0] or None if first == "raynas" else None


def _imported(nodes: list[ast.stmt] | Iterator[ast.AST], path: Path) -> Iterator[tuple[int, str, str]]:
    """Every import among ``nodes`` as (line, module, name taken from it or '')."""
    here = _module(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, module, alias.name


def _imports(path: Path) -> list[tuple[int, str, str]]:
    return list(_imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))), path))


def _target(module: str, name: str) -> str | None:
    """The room that ``from module import name`` reaches into."""
    return (name if name in FLOORS else None) if module == "raynas" else _room(module)


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_package_has_a_floor() -> None:
    rooms = {_room(_module(path)) for path in FILES} - {None}
    assert rooms <= FLOORS.keys(), f"give a floor to {sorted(rooms - FLOORS.keys())}"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_imports_point_downwards(path: Path) -> None:
    room = _room(_module(path))
    if room is None:
        pytest.skip("the package's door: lazy, it may name everything")
    for line, module, name in _imports(path):
        other = _target(module, name)
        if other is None or other == room or (room, other) in SIDEWAYS:
            continue
        assert FLOORS[other] < FLOORS[room], (
            f"{_id(path)}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_ray_is_known_on_the_upper_floors_only(path: Path) -> None:
    if FLOORS.get(_room(_module(path)) or "", 0) in RAY_FLOORS:
        return
    users = [f"{_id(path)}:{line}" for line, module, _ in _imports(path) if module.partition(".")[0] == "ray"]
    assert not users, f"Ray below floor 5: {users}"


@pytest.mark.parametrize("path", [path for path in FILES if _room(_module(path)) == "blocks"], ids=_id)
def test_blocks_import_torch_alone(path: Path) -> None:
    for line, module, _ in _imports(path):
        first = module.partition(".")[0]
        assert first == "torch" or first in sys.stdlib_module_names or module.startswith("raynas.blocks"), (
            f"{_id(path)}:{line} imports {module}: blocks are exported as they stand, with torch alone"
        )


@pytest.mark.parametrize("path", [path for path in FILES if _room(_module(path)) == "search_spaces"], ids=_id)
def test_shipped_spaces_use_what_a_user_has(path: Path) -> None:
    import raynas.blocks
    import raynas.space

    public = {
        "raynas.space": set(raynas.space.__all__),
        "raynas.blocks": set(raynas.blocks.__all__),
        "raynas.tasks.task": {"Task"},  # the type of a space's one argument
    }
    for line, module, name in _imports(path):
        if not module.startswith("raynas"):
            continue
        assert module in public, f"{_id(path)}:{line} imports {module}, not one of {sorted(public)}"
        assert name in public[module], f"{_id(path)}:{line} takes {name!r} from {module}, which is not public"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_torch_waits_for_the_function_that_needs_it(path: Path) -> None:
    if _room(_module(path)) in TORCH_PACKAGES:
        return
    body = ast.parse(path.read_text(encoding="utf-8")).body
    heads = [line for line, module, _ in _imported(body, path) if module.partition(".")[0] == "torch"]
    assert not heads, f"{_id(path)}:{heads[0]} imports torch at its head; import it in the function that needs it"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("raynas", ("ray", "torch", "optuna", "pydantic", "sklearn", "numpy")),
        ("raynas.cli", ("ray", "torch", "optuna", "pydantic", "sklearn", "numpy", "yaml")),
        ("raynas.space", ("ray", "torch", "sklearn")),
        ("raynas.journal", ("ray", "torch", "sklearn", "pydantic")),
        ("raynas.journal.history", ("ray", "torch", "sklearn", "pydantic")),
        ("raynas.schedulers.rungs", ("ray", "torch", "sklearn")),
        ("raynas.engine.api", ("ray", "torch", "sklearn")),  # Ray starts before torch is imported
    ],
)
def test_light_modules_stay_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
