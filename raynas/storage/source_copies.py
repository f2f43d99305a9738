"""Copies of a person's own files in a search's folder, so that a search goes on with the code that it began with.

A space, a task or a strategy of one's own is a file, and mostly one that imports others beside it. All of these are
kept, in a tree for each folder that code is imported from (``source/spaces-1a2b3c4d/model.py``), at the place that
they have there: two files of one name stay two, and relative imports work. Not kept is what is installed.

An earlier release kept the named file alone, directly in ``source/``; such a copy is used as it was then.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from raynas.errors import UserError
from raynas.modules import Place, imports_of, root_of

#: So many files, and so many bytes, are copied for one file that a person named.
MOST_FILES, MOST_BYTES = 200, 4 * 2**20

#: In each tree: of which folder it is a copy.
_NOTE = "origin.json"


def copy_of(folder: Path, original: Path) -> Place | None:
    """The copy of a file; None where there is none.

    Args:
        folder: the search's folder of copies.
    """
    flat = folder / original.name
    if flat.is_file():
        return Place(flat, folder, original, alone=True)
    for tree, root in _trees(folder):
        if original.is_relative_to(root) and (copy := tree / original.relative_to(root)).is_file():
            return Place(copy, tree, original)
    return None


def keep(folder: Path, original: Path, *, anew: bool = False) -> Place:
    """Copies a file and the files beside it that it imports, and theirs; what is kept already stays as it is.

    Args:
        anew: what is kept already is replaced.

    Raises:
        UserError: they are too many.
    """
    known = copy_of(folder, original)
    if known is not None and (not anew or not original.is_file()):
        return known
    if known is not None and known.alone:
        shutil.copyfile(original, known.path)
        return known
    root = root_of(original)
    tree = folder / f"{root.name or 'root'}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    for path in needed(original, root, tree):
        copy = tree / path.relative_to(root)
        if anew or not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (tree / _NOTE).write_text(json.dumps({"root": str(root)}) + "\n", encoding="utf-8")
    return Place(tree / original.relative_to(root), tree, original)


def changed(folder: Path, originals: list[Path]) -> list[Path]:
    """The files that differ from their copies; one that is gone does not.

    Args:
        originals: the files that a person named.
    """
    pairs = [(place.path, place.original) for place in (copy_of(folder, path) for path in originals) if place]
    for tree, root in _trees(folder):
        pairs += [(copy, root / copy.relative_to(tree)) for copy in sorted(tree.rglob("*.py"))]
    return sorted({path for copy, path in pairs if path.is_file() and path.read_bytes() != copy.read_bytes()})


def needed(original: Path, root: Path, tree: Path) -> list[Path]:
    """A file and all files under ``root`` that it imports, directly or through others.

    Args:
        tree: where copies of them lie, or will.

    Raises:
        UserError: they are more than can be copied, or Python finds another module of that name.
    """
    found, waiting, size = [original], [original], original.stat().st_size
    seen = set(found)
    while waiting:
        for path in _imported(waiting.pop(), original, root, tree):
            if path in seen:
                continue
            seen.add(path)
            found.append(path)
            waiting.append(path)
            size += path.stat().st_size
            if len(found) > MOST_FILES or size > MOST_BYTES:
                raise UserError(
                    f"{original} imports more than {MOST_FILES} files, or {MOST_BYTES >> 20} MiB, of {root}, which is "
                    "too much to be copied into a search's folder; install that code as a package (pip install -e …) "
                    "and import it from there, or name the object by an entry point"
                )
    return found


def _trees(folder: Path) -> list[tuple[Path, Path]]:
    """Each tree of copies, and the folder that it is of."""
    notes = sorted(folder.glob(f"*/{_NOTE}"))
    return [(note.parent, Path(json.loads(note.read_text(encoding="utf-8"))["root"])) for note in notes]


def _imported(path: Path, original: Path, root: Path, tree: Path) -> Iterator[Path]:
    """The files under ``root`` that a file's import statements name."""
    for node in imports_of(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _found(_absolute(alias.name, original, root, tree), alias.name.split("."), root)
            continue
        parts = node.module.split(".") if node.module else []
        if node.level:
            base = path.parents[node.level - 1] if node.level <= len(path.parents) else None
        else:
            base = _absolute(parts[0], original, root, tree)
        for alias in node.names:
            yield from _found(base, [*parts, alias.name], root)


def _absolute(name: str, original: Path, root: Path, tree: Path) -> Path | None:
    """The folder in which Python finds an absolute import's first name, where that is one of the person's own.

    Raises:
        UserError: it is, but another one of that name comes before it.
    """
    first = name.partition(".")[0]
    for base in dict.fromkeys((original.parent, root)):
        here = [path for path in (base / f"{first}.py", base / first) if path.exists()]
        if not here or first in sys.builtin_module_names:
            continue
        try:
            spec = importlib.util.find_spec(first)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            continue
        places = [Path(place) for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
        if any(place.is_relative_to(own) for place in places for own in (base, tree)):
            return base
        if places and not any(place.is_relative_to(installed) for place in places for installed in _installed()):
            raise UserError(
                f"{original} imports {first!r}, of which there are two: {here[0]} and {places[0]}; give one of them "
                f"another name, or import it relatively: from .{first} import …"
            )
    return None


def _installed() -> set[Path]:
    """Where Python's own modules lie, and those that were installed."""
    return {Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "purelib", "platlib")}


def _found(base: Path | None, parts: list[str], root: Path) -> Iterator[Path]:
    """The files of ``a.b.c`` in a folder: those of its packages, and its own (``c`` may be no module at all)."""
    if base is None or not base.is_relative_to(root):
        return
    if (base / "__init__.py").is_file():
        yield base / "__init__.py"
    for part in parts:
        module, base = base / f"{part}.py", base / part
        if module.is_file():
            yield module
        if (base / "__init__.py").is_file():
            yield base / "__init__.py"
        if not base.is_dir():
            return
