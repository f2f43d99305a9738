"""Scopes: which words of a statement mean something of its module. Python's own symbol table is the judge."""

from __future__ import annotations

import ast
import symtable
from pathlib import Path

import pytest

import raynas
from raynas.export.names import bound, uses

SOURCES = sorted(Path(raynas.__file__).parent.rglob("*.py"))


def globals_by_python(source: str) -> set[str]:
    """The names that Python's compiler takes for globals, in any scope of the source."""
    found: set[str] = set()

    def look(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if table.get_type() == "module" or symbol.is_global():
                found.add(symbol.get_name())
        for child in table.get_children():
            look(child)

    look(symtable.symtable(source, "source", "exec"))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_agrees_with_the_compiler_on_our_own_source(path: Path) -> None:
    source = path.read_text(encoding="utf-8").replace("from __future__ import annotations", "")
    tree = ast.parse(source)
    found = {use.name for statement in tree.body for use in uses(statement)}
    found |= {name for statement in tree.body for name in bound(statement)}
    missing = globals_by_python(source) - found - {"__conditional_annotations__"}
    assert not missing
    in_strings = {use.name for statement in tree.body for use in uses(statement) if not use.movable}
    extra = found - globals_by_python(source) - in_strings - set(dir(__builtins__)) - {"__class__"}
    assert not extra


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, b=c): return a + d", {"c", "d"}),
        ("def f(act): return make(act=act)", {"make"}),
        ("x = [i + j for i in rows for k in i]", {"x", "j", "rows"}),
        ("class A(Base, metaclass=M):\n    y = 1\n    def f(self): return y", {"Base", "M", "y"}),
        ("def f():\n    global g\n    g = 1", {"g"}),
        ("def f():\n    import math\n    return math.pi", set()),
        ("def f(x):\n    match x:\n        case {'a': a, **rest}: return a, rest, other", {"other"}),
        ("def f(xs): return [last := x for x in xs], last", set()),
        ("f = lambda x: x + y", {"f", "y"}),
        ("def f():\n    try: pass\n    except Error as e: return e", {"Error"}),
        ("def f(x: 'Tensor') -> 'list[Shape]': pass", {"Tensor", "list", "Shape"}),
        ("@wrap(z)\ndef f(): pass", {"wrap", "z"}),
    ],
)
def test_small_cases(source: str, expected: set[str]) -> None:
    assert {use.name for use in uses(ast.parse(source).body[0])} == expected
