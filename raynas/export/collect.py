"""The source that a set of classes needs: their definitions, and everything that those use, in one file's order.

Definitions come from the modules' own files, comments and all. Those of raynas and of a person are copied; what
Python, torch and other installed packages define is imported. Names stay as they are written unless two definitions
claim the same one.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from raynas.export.errors import ExportError
from raynas.export.imports import import_lines
from raynas.export.modules import Imported, SourceModule, Unit, kind_of, read_module
from raynas.export.names import Use, inner_imports, uses

_MODULE_GLOBALS = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__annotations__"})


@dataclass(eq=False)
class Name:
    """A name at the top of the exported file: of a definition (``unit``) or of an import.

    Attributes:
        own: how its definition, or the import, calls it.
        called: how the copied code calls it, with the names that mean something else at each spot.
        final: its name in the exported file.
    """

    own: str
    imported: tuple[Imported, ...] = ()
    called: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    final: str = ""

    def could_be(self, name: str) -> bool:
        """Whether every use may be written as ``name``: it means nothing else there."""
        return all(name == used or name not in local for used, local in self.called)


@dataclass(frozen=True)
class Reference:
    """What stands in the exported file for a class or a name; ``str`` of it is right once names are settled."""

    name: Name
    suffix: str = ""

    def __str__(self) -> str:
        return self.name.final + self.suffix


@dataclass(frozen=True)
class _Edit:
    line: int
    start: int
    end: int
    written: str  # how the source begins there
    name: Name


class Collection:
    """State while an export is put together.

    Args:
        reserved: names that the exported file gives to other things.
    """

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        self._reserved = reserved
        self._names: dict[tuple[Any, ...], Name] = {}
        self._units: dict[int, Unit] = {}
        self._edits: dict[int, list[_Edit]] = {}
        self._after: dict[str, list[str]] = {}  # module → modules whose definitions stand before its own
        self._modules: dict[str, SourceModule] = {}
        #: Installed packages that the file needs besides torch, Pillow and safetensors → who needs them.
        self.needs: dict[str, str] = {}

    def add_class(self, cls: type) -> Reference:
        """Takes in a class and all that it needs.

        Raises:
            ExportError: its source cannot be copied, or does not say all.
        """
        import torch

        outer, dot, inner = cls.__qualname__.partition(".")
        if kind_of(cls.__module__) == "source":
            module = read_module(cls.__module__, f"class {cls.__qualname__!r}")
            return Reference(self._known(module, outer), dot + inner)
        if getattr(torch.nn, cls.__name__, None) is cls:
            return Reference(self.add_import("torch", "nn").name, f".{cls.__name__}")
        return Reference(self.add_import(cls.__module__, outer).name, dot + inner)

    def add(self, module_name: str, name: str) -> Reference:
        """Takes in one definition of a module."""
        return Reference(self._known(read_module(module_name, repr(name)), name))

    def add_import(self, module: str, attribute: str | None = None) -> Reference:
        """Takes in ``import module`` or ``from module import attribute``."""
        name = self._import(Imported(attribute or module, module, attribute))
        name.called.append((name.own, frozenset()))
        return Reference(name)

    def _known(self, module: SourceModule, name: str) -> Name:
        found, _ = self._follow(module, name, ())
        assert found is not None
        found.called.append((name, frozenset()))
        return found

    # -- what a name means ---------------------------------------------------------------------------------------

    def _follow(
        self, module: SourceModule, name: str, attributes: tuple[tuple[str, int], ...], by: str = ""
    ) -> tuple[Name | None, int]:
        """What ``name.attributes…`` is in a module, and how many of the attributes that takes. None: a builtin."""
        units = module.units.get(name)
        if units:
            self._modules[module.name] = module
            key = (module.name, name)
            if key not in self._names:
                self._names[key] = Name(name)
                for unit in units:
                    self._take(unit)
            return self._names[key], 0
        imported = module.imports.get(name)
        if imported is not None:
            return self._follow_import(module, imported, attributes)
        if name in _MODULE_GLOBALS or (hasattr(builtins, name) and name not in vars(module.live)):
            return None, 0
        found = getattr(module.live, name, None)
        if isinstance(found, ModuleType):
            return self._follow_module(module, found, attributes)
        homes = [star for star in module.stars if found is not None and getattr(sys.modules[star], name, None) is found]
        home, own = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        home, own = (homes[-1], name) if homes else (home, own)
        if home is None or own is None or (home == module.name and own == name):
            used = f", which {by} uses," if by else ""
            raise ExportError(
                f"{module.path}: the definition of {name!r}{used} is not found in the file; define it there by a "
                "statement at the top level, or import it by its name"
            )
        return self._follow_import(module, Imported(name, home, own), attributes)  # through a star import

    def _follow_import(
        self, module: SourceModule, imported: Imported, attributes: tuple[tuple[str, int], ...]
    ) -> tuple[Name | None, int]:
        if kind_of(imported.module) != "source":
            return self._import(imported, module), 0
        base = read_module(imported.module, repr(imported.name)).live
        if imported.root:
            base = read_module(imported.module.partition(".")[0], repr(imported.name)).live
        found = base if imported.attribute is None else getattr(base, imported.attribute, None)
        if isinstance(found, ModuleType):
            return self._follow_module(module, found, attributes)
        assert imported.attribute is not None
        self._order(module.name, imported.module)
        return self._follow(read_module(imported.module, repr(imported.name)), imported.attribute, attributes)

    def _follow_module(
        self, module: SourceModule, found: ModuleType, attributes: tuple[tuple[str, int], ...]
    ) -> tuple[Name | None, int]:
        """A module's name with dots behind it, as in ``blocks.Block``."""
        for count, (attribute, _) in enumerate(attributes, start=1):
            inner = getattr(found, attribute, None)
            if not isinstance(inner, ModuleType):
                self._order(module.name, found.__name__)
                target, more = self._follow(read_module(found.__name__, repr(attribute)), attribute, attributes[count:])
                return target, count + more
            found = inner
        raise ExportError(
            f"{module.path}: module {found.__name__!r} is used as a value; its source is copied, so take single names "
            f"from it (from {found.__name__} import …)"
        )

    def _import(self, imported: Imported, module: SourceModule | None = None) -> Name:
        top = imported.module.partition(".")[0]
        if kind_of(imported.module) == "installed":
            self.needs.setdefault(top, module.shown if module else "the network")
        try:
            base = importlib.import_module(imported.module)
        except ImportError as error:
            where = f"{module.path} imports {imported.module}" if module else f"{imported.module} is needed"
            raise ExportError(f"{where}, which cannot be imported here: {error}") from None
        found = base if imported.attribute is None else getattr(base, imported.attribute, imported)
        key = ("import", imported.name, top if imported.root else id(found))
        name = self._names.setdefault(key, Name(imported.name))
        plain = imported.attribute is None
        if not name.imported or (plain and imported not in name.imported and name.imported[0].attribute is None):
            name.imported += (imported,)
        return name

    def _order(self, module: str, before: str) -> None:
        if module != before:
            self._after.setdefault(module, []).append(before)

    # -- taking in -----------------------------------------------------------------------------------------------

    def _take(self, unit: Unit) -> None:
        if id(unit) in self._units:
            return
        self._units[id(unit)] = unit
        module, edits = unit.module, self._edits.setdefault(id(unit), [])
        what = f"{unit.binds[0] if unit.binds else 'a statement'!s} ({module.shown})"
        for node in inner_imports(unit.statement):
            if isinstance(node, ast.ImportFrom):
                self._inner_import(node.module or "", node.level > 0, what)
            else:
                for alias in node.names:
                    self._inner_import(alias.name, False, what)
        for use in uses(unit.statement):
            name, count = self._follow(module, use.name, use.attributes, what)
            if name is not None:
                self._note(edits, use, name, count)
        for bound in unit.binds:  # a statement that binds several names brings them all
            self._follow(module, bound, ())

    def _inner_import(self, source: str, relative: bool, what: str) -> None:
        if relative or kind_of(source) == "source":
            raise ExportError(
                f"{what} imports from {source or 'its package'!r} inside a function; its source is copied, so that "
                "import would fail there: move it to the head of the file"
            )
        if kind_of(source) == "installed":
            self.needs.setdefault(source.partition(".")[0], what)

    def _note(self, edits: list[_Edit], use: Use, name: Name, count: int) -> None:
        name.called.append((use.name if not count else use.attributes[count - 1][0], use.locals))
        if use.movable:
            end = use.attributes[count - 1][1] if count else use.column + len(use.name.encode())
            edits.append(_Edit(use.line, use.column, end, use.name, name))

    # -- names ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Gives every name its final form. Nothing can be added afterwards."""
        taken = set(self._reserved) | set(dir(builtins))
        # Names that nobody has to write anew come first, imports before all: nn stays nn.
        for name in sorted(self._names.values(), key=lambda one: not one.imported):
            calls = Counter(called for called, _ in name.called)
            candidates = [name.own, *(called for called, _ in calls.most_common())]
            candidates += [f"{name.own}_{number}" for number in range(2, 100)]
            name.final = next(one for one in candidates if one not in taken and name.could_be(one))
            taken.add(name.final)

    def final_names(self) -> set[str]:
        """All names that the file gives, once they are settled."""
        return {name.final for name in self._names.values()}

    # -- the text ------------------------------------------------------------------------------------------------

    def imports(self) -> list[str]:
        """The import statements, sorted as isort does it: Python's own, then the others."""
        return import_lines([(name.final, one) for name in self._names.values() for one in name.imported])

    def definitions(self, without: frozenset[str] = frozenset(), only: frozenset[str] = frozenset()) -> str:
        """The definitions of all modules, each module's under its name; ``only`` some modules', or all ``without``."""
        text: list[str] = []
        for module in self._ordered():
            if module.name in without or (only and module.name not in only):
                continue
            chosen = {id(unit): unit for unit in self._units.values() if unit.module is module}
            units = sorted(chosen.values(), key=lambda unit: unit.first_line)
            if not units:
                continue
            if not only:
                text.append(f"# From {module.shown}\n" + ("\n" if units[0].is_block else ""))
            previous: Unit | None = None
            for unit in units:
                spaced = previous is not None and (unit.is_block or previous.is_block)
                text.append(("\n\n" if spaced else "") + self._text(unit))
                previous = unit
            text.append("\n")
        return "\n".join(text).rstrip("\n") + "\n" if text else ""

    def _ordered(self) -> list[SourceModule]:
        """Modules, each after those that it imports from."""
        done: list[SourceModule] = []
        begun: set[str] = set()

        def visit(name: str) -> None:
            if name in begun:
                return
            begun.add(name)
            for before in self._after.get(name, []):
                visit(before)
            if name in self._modules:
                done.append(self._modules[name])

        for name in [*self._modules]:
            visit(name)
        return done

    def _text(self, unit: Unit) -> str:
        lines = list(unit.module.lines)
        edits = [edit for edit in self._edits[id(unit)] if edit.name.final]
        for edit in sorted(set(edits), key=lambda one: (one.line, one.start), reverse=True):
            line = lines[edit.line - 1]
            old, new = line[edit.start : edit.end], edit.name.final.encode()
            if old.startswith(edit.written.encode()):
                lines[edit.line - 1] = line[: edit.start] + new + line[edit.end :]
            elif edit.written != edit.name.final:  # before Python 3.12 an f-string does not say where its names stand
                raise ExportError(
                    f"{unit.module.path}, line {edit.line}: {edit.written!r} must be written as {edit.name.final!r} in "
                    "an exported file, and stands in an f-string of several lines; put it into a variable before"
                )
        if unit.is_block:
            name = self._names[unit.module.name, unit.binds[0]]
            head, old = unit.statement.lineno - 1, f" {name.own}".encode()
            lines[head] = lines[head].replace(old, f" {name.final}".encode(), 1)
        return b"\n".join(lines[unit.first_line - 1 : unit.last_line]).decode()
