"""The map of the rooms, checked on the source: a room imports only from those below it, and there are no circles."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: How high each room (a package, or a module at the top of ``raynas``) lies: it may know every lower one.
FLOORS = {
    **dict.fromkeys(("counts", "errors", "locks", "progress_bar", "resources", "running_clock", "version"), 0),
    **dict.fromkeys(("atomic_write", "suggestions"), 0),
    **dict.fromkeys(("durations", "modules", "paths"), 1),
    "registry": 2,
    **dict.fromkeys(("blocks", "objectives"), 3),
    "space": 4,
    "tasks": 5,
    **dict.fromkeys(("costs", "search_spaces"), 6),
    "evaluators": 7,
    "journal": 8,
    **dict.fromkeys(("schedulers", "searchers", "tracking"), 9),
    **dict.fromkeys(("storage", "simulate"), 10),
    "spec": 11,
    "report": 12,
    "results": 13,
    **dict.fromkeys(("engine", "export"), 14),
    "api": 15,
    "testing": 16,
    "cli": 17,
    "__main__": 18,
}

#: What lies within a room, the lowest first; a file beside them may know them all.
WITHIN = {
    "space": ("template", "walk", "network", "identity"),
    "engine": ("address", "worker", "cluster", "time_plan"),
    "cli": ("console", "options", "progress", "render", "commands"),
}

#: Ray is known in these rooms only.
RAY_ROOMS = {"searchers", "schedulers", "engine", "cli"}

#: Where torch may be imported at the head of a module; all others import it in the function that needs it.
TORCH_PACKAGES = {"blocks", "tasks", "costs", "evaluators", "search_spaces", "export"}

#: The same map in words, for people.
PAGE = ROOT / "docs" / "architecture.md"

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


def _names() -> dict[str, Path]:
    return {_module(path): path for path in FILES}


def _known(path: Path, names: Mapping[str, Path]) -> set[str]:
    """Our modules that a file imports, anywhere in it and also for types alone."""
    found = set()
    for _, module, name in _imports(path):
        found |= {f"{module}.{name}"} if f"{module}.{name}" in names else {module} & names.keys()
    return found


def test_every_room_is_on_the_map() -> None:
    rooms = {_room(_module(path)) for path in FILES} - {None}
    assert rooms == FLOORS.keys(), f"the map and the house differ in {sorted(rooms ^ FLOORS.keys())}"


def test_the_page_on_the_architecture_has_this_map() -> None:
    rows = re.findall(r"^\| (\d+) \| ((?:`\w+` ?)+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    on_the_page = {room: int(floor) for floor, names in rows for room in re.findall(r"\w+", names)}
    assert on_the_page == FLOORS


def test_the_page_on_the_architecture_names_files_that_are_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE.read_text(encoding="utf-8")))
    missing = {name for name in named if not any((folder / name).is_file() for folder in (ROOT, ROOT / "raynas"))}
    assert {name for name in missing if not name.endswith("NAME.py")} == set()


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_imports_point_downwards(path: Path) -> None:
    room = _room(_module(path))
    if room is None:
        pytest.skip("the package's door: lazy, it may name everything")
    for line, module, name in _imports(path):
        other = _target(module, name)
        if other is None or other == room:
            continue
        assert FLOORS[other] < FLOORS[room], (
            f"{_id(path)}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


@pytest.mark.parametrize("room", WITHIN)
def test_imports_point_downwards_within_a_room(room: str) -> None:
    names, order = _names(), WITHIN[room]
    place = {f"raynas.{room}.{inner}": number for number, inner in enumerate(order)}

    def level(module: str) -> int:
        inner = ".".join(module.split(".")[:3])
        return place.get(inner, len(order))

    for module, path in names.items():
        if not module.startswith(f"raynas.{room}.") or level(module) == len(order):
            continue
        for other in _known(path, names):
            if other.startswith(f"raynas.{room}."):
                assert level(other) <= level(module), f"{module} imports {other}; within {room}: {' < '.join(order)}"


def test_there_are_no_circles() -> None:
    """Not between rooms, not between the files of one, and not by imports that only types need."""
    names = _names()
    left = {module: _known(path, names) - {module} for module, path in names.items() if module != "raynas"}
    while left:
        free = {module for module, known in left.items() if not known & left.keys()}
        assert free, f"these import each other in a circle, or what does: {sorted(left)}"
        left = {module: known for module, known in left.items() if module not in free}


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_ray_is_known_to_few_rooms(path: Path) -> None:
    if _room(_module(path)) in RAY_ROOMS:
        return
    users = [f"{_id(path)}:{line}" for line, module, _ in _imports(path) if module.partition(".")[0] == "ray"]
    assert not users, f"Ray is for {sorted(RAY_ROOMS)} alone: {users}"


def test_nothing_of_ours_imports_the_contract_tests() -> None:
    """They need pytest, which a person who searches need not have."""
    users = [
        f"{_id(path)}:{line}"
        for path in FILES
        if _room(_module(path)) != "testing"
        for line, module, name in _imports(path)
        if _target(module, name) == "testing" or module.partition(".")[0] == "pytest"
    ]
    assert not users, f"raynas.testing and pytest are for tests alone: {users}"


def test_without_pytest_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import raynas.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: raynas.testing needs pytest: pip install pytest"


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
        (
            ", ".join(f"raynas.testing.{name}" for name in ("space", "task", "cost", "scheduler", "evaluator")),
            ("ray", "torch", "sklearn", "pydantic"),
        ),
        ("raynas.api", ("ray", "torch", "sklearn")),  # Ray starts before torch is imported
    ],
)
def test_light_modules_stay_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
