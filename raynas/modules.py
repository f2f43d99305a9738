"""A person's Python file as a module: where its package begins, under which name it is imported, and the import.

A file that stands by itself becomes the module ``raynas_file_<stem>``. One with relative imports becomes a module of
its package, ``raynas_file_<package>.<module>``, so that these work. The names do not depend on the machine or on the
order of imports: they are part of the names of the classes in it, and so of a search space's fingerprint.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from raynas.errors import UserError

_PREFIX = "raynas_file_"


def imports_of(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """All import statements of a Python file, also those inside functions; none where it cannot be parsed."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def _level(path: Path) -> int:
    """How many folders up a file's relative imports reach (1: its own folder); 0 where it has none."""
    return max((node.level for node in imports_of(path) if isinstance(node, ast.ImportFrom)), default=0)


def root_of(path: Path) -> Path:
    """The folder from which the file's own code is imported: its own, or the one that holds its outermost package."""
    top = path.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    by_level = path.parents[min(_level(path), len(path.parents) - 1)]
    return min(top, by_level, key=lambda folder: len(folder.parts))


@dataclass(frozen=True)
class Place:
    """Where a person's file lies.

    Attributes:
        path: the file that is read: the original, or its copy.
        root: the folder from which its own code is imported.
        original: the file that the person named.
        alone: it is imported by itself, whatever it imports.
    """

    path: Path
    root: Path
    original: Path
    alone: bool = False

    @cached_property
    def inner(self) -> tuple[str, ...]:
        """The names of its packages, the outermost first, and its own; its own alone without relative imports."""
        if self.alone or not _level(self.path):
            return (self.path.stem,)
        return self.path.relative_to(self.root).with_suffix("").parts

    @property
    def original_root(self) -> Path:
        """The original's counterpart of ``root``."""
        return self.original.parents[len(self.path.relative_to(self.root).parts) - 1]

    @property
    def whole(self) -> Path:
        """What the name's first part stands for: the original file, or the folder of its outermost package."""
        return self.original if len(self.inner) == 1 else self.original_root / self.inner[0]


def place_of(path: Path) -> Place:
    """The place of a file that is read where it lies."""
    return Place(path, root_of(path), path)


def module_name(place: Place, beside: Iterable[Place] = ()) -> str:
    """The name under which a file is imported.

    Args:
        beside: files of the same search that have a right to their names before this one.
    """
    first, *rest = place.inner
    taken = any(other.inner[0] == first and other.whole != place.whole for other in beside)
    mark = f"_{hashlib.sha256(str(place.whole).encode()).hexdigest()[:8]}" if taken else ""
    return ".".join((f"{_PREFIX}{first}{mark}", *rest))


def load(place: Place, name: str | None = None) -> ModuleType:
    """Imports a Python file; what has no copy is imported from beside the original.

    Args:
        name: the module's name (default: ``module_name``).

    Raises:
        UserError: the file cannot be imported; the message holds Python's own words.
    """
    path, name = place.path, name or module_name(place)
    if place.alone:
        _search_in(place.original.parent, place.original.parent)
    else:
        _search_in(path.parent, place.original.parent)
        _search_in(place.root, place.original_root)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    try:
        if len(place.inner) == 1:
            return _load_alone(path, name)
        top = name.partition(".")[0]
        _make_package(top, [root / place.inner[0] for root in dict.fromkeys((place.root, place.original_root))])
        return importlib.import_module(name)
    except Exception as error:
        words = error.msg if isinstance(error, SyntaxError) else error  # str() of a syntax error has a place of its own
        raise UserError(f"{path} cannot be imported{line_of(error, path)}: {type(error).__name__}: {words}") from error


def _load_alone(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file; give path/to/file.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _make_package(name: str, folders: list[Path]) -> None:
    """Makes a package under a name of its own; its modules come from the first of the folders that has them."""
    places = [str(folder) for folder in folders]
    known = sys.modules.get(name)
    if known is not None and list(known.__path__) == places:
        return
    for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
        del sys.modules[other]
    start = folders[0] / "__init__.py"
    if not start.is_file():
        module = ModuleType(name)
        module.__path__ = places
        sys.modules[name] = module
        return
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=places)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _search_in(folder: Path, original: Path) -> None:
    """Lets Python look for modules in a folder, and before the one that it is a copy of; after all others else."""
    for place in (original, folder):
        if str(place) not in sys.path:
            where = sys.path.index(str(original)) if str(original) in sys.path else len(sys.path)
            sys.path.insert(where, str(place))


def forget(files: Iterable[Path]) -> None:
    """Lets the modules of these files, and of the packages that they are in, be imported anew, as they stand now."""
    gone = {str(path) for path in files}
    found = [name for name, module in sys.modules.items() if getattr(module, "__file__", None) in gone]
    tops = {name.partition(".")[0] for name in found} - {"__main__"}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]
    importlib.invalidate_caches()


def line_of(error: BaseException, path: Path | str) -> str:
    """`` (line 12)``: the innermost line of that file in an error's traceback; "" where it has none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f" (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""
