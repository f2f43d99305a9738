"""A module's source as an export sees it: top-level statements, what each binds, and what is imported from where."""

from __future__ import annotations

import ast
import importlib
import sys
import sysconfig
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Literal

from raynas.export.errors import ExportError
from raynas.export.names import bound

#: What an exported file may import without further words.
GIVEN = frozenset({"torch", "PIL", "safetensors"})
#: Packages whose source is copied wherever they are installed.
OURS = frozenset({"raynas", "search_spaces"})

Kind = Literal["standard", "given", "installed", "source"]


@dataclass(frozen=True)
class Imported:
    """A name that a module imports: ``import module`` (``attribute`` None) or ``from module import attribute``.

    ``root``: ``import a.b`` without ``as``, which binds ``a``.
    """

    name: str
    module: str
    attribute: str | None
    root: bool = False


@dataclass(eq=False)
class Unit:
    """A top-level statement that goes into an export whole, with the comment above it."""

    module: SourceModule
    statement: ast.stmt
    first_line: int  # from 1, comment included
    binds: tuple[str, ...]

    @property
    def last_line(self) -> int:
        return self.statement.end_lineno or self.statement.lineno

    @property
    def is_block(self) -> bool:
        """Whether it is a class or a function, which stand with two empty lines around them."""
        return isinstance(self.statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))


@dataclass(eq=False)
class SourceModule:
    """A Python file, read.

    Attributes:
        units: name → the statements that bind it or change it, in order.
        imports: name → where it comes from.
        stars: modules from which all is imported.
    """

    name: str
    path: Path
    live: ModuleType
    lines: list[bytes]
    units: dict[str, list[Unit]] = field(default_factory=dict)
    imports: dict[str, Imported] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    @cached_property
    def shown(self) -> str:
        """What a person calls it: a file's name, or a package's module."""
        return self.path.name if self.name.startswith("raynas_file_") or self.name == "__main__" else self.name


def kind_of(module_name: str) -> Kind:
    """Whether a module is Python's own, is there wherever a model runs, is some other package, or is to be copied."""
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return "standard"
    if top in GIVEN:
        return "given"
    if top in OURS or module_name == "__main__":
        return "source"
    file = getattr(sys.modules.get(module_name) or sys.modules.get(top), "__file__", None)
    if file is None or not file.endswith(".py"):
        return "installed"
    path = Path(file).resolve()
    places = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}
    inside = any(place in path.parents for place in places) or {"site-packages", "dist-packages"} & set(path.parts)
    return "installed" if inside else "source"


def read_module(name: str, what: str) -> SourceModule:
    """A module's source; ``what`` is needed from it, for messages.

    Raises:
        ExportError: there is no source to copy.
    """
    live = sys.modules.get(name)
    if live is None:
        try:
            live = importlib.import_module(name)
        except ImportError as error:
            raise ExportError(f"{what} comes from module {name!r}, which cannot be imported: {error}") from None
    file = getattr(live, "__file__", None)
    if file is None or not Path(file).is_file():
        where = "a notebook or an interpreter" if name == "__main__" else f"module {name!r}, which has no file"
        raise ExportError(
            f"{what} was defined in {where}, so its source cannot be copied; move it into a file, import it from "
            "there, and search with that (path/to/file.py:name)"
        )
    return _read(name, Path(file), id(live))


@lru_cache(maxsize=256)
def _read(name: str, path: Path, identity: int) -> SourceModule:
    text = path.read_bytes()
    module = SourceModule(name, path, sys.modules[name], text.splitlines())
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ExportError(f"{path} has changed since it was imported and is no Python now: {error}") from None
    for statement in tree.body:
        _take(module, statement)
    return module


def _take(module: SourceModule, statement: ast.stmt) -> None:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        _take_import(module, statement)
        return
    if isinstance(statement, ast.If):
        named = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
        named |= {node.attr for node in ast.walk(statement.test) if isinstance(node, ast.Attribute)}
        if "__name__" in named:
            return  # what a script does when it is run
        if "TYPE_CHECKING" in named:
            for inner in statement.body:
                if isinstance(inner, (ast.Import, ast.ImportFrom)):
                    _take_import(module, inner)
            return
    names = bound(statement)
    unit = Unit(module, statement, _first_line(module, statement), names)
    for name in names or _changed(statement):
        if names or name in module.units:
            module.units.setdefault(name, []).append(unit)


def _take_import(module: SourceModule, statement: ast.Import | ast.ImportFrom) -> None:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            root = alias.asname is None and "." in alias.name
            name = alias.asname or alias.name.partition(".")[0]
            module.imports[name] = Imported(name, alias.name, None, root)
        return
    base = statement.module or ""
    if statement.level:
        package = (module.live.__package__ or "").split(".")
        base = ".".join([*package[: len(package) - statement.level + 1], *([base] if base else [])])
    for alias in statement.names:
        if alias.name == "*":
            module.stars.append(base)
        elif base != "__future__":
            name = alias.asname or alias.name
            module.imports[name] = Imported(name, base, alias.name)


def _changed(statement: ast.stmt) -> list[str]:
    """Names whose values a statement changes in place: ``X["a"] = 1``, ``X.update(…)``."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        targets = [statement.target]
    elif (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
    ):
        targets = [statement.value.func.value]
    found = []
    for target in targets:
        while isinstance(target, (ast.Attribute, ast.Subscript)):
            target = target.value
        if isinstance(target, ast.Name):
            found.append(target.id)
    return found


def _first_line(module: SourceModule, statement: ast.stmt) -> int:
    """The statement's first line, or that of its decorators and of the comment right above."""
    decorators = getattr(statement, "decorator_list", [])
    line = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    while line > 1 and module.lines[line - 2].startswith(b"#") and not module.lines[line - 2].startswith(b"#!"):
        line -= 1
    return line
