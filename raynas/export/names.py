"""Which names in a statement mean something of its module: Python's scopes, read from the syntax tree.

An exported file holds single definitions of a module, so one has to know what each of them needs from the rest, and,
where a definition gets another name, which words to write anew (and which not: a parameter may have the same name).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """A use of a module's name: ``line`` (from 1) and ``column`` (in bytes) of where it stands.

    Attributes:
        name: the name.
        attributes: what is taken from it by dots, with the column at which each ends (on the same line).
        locals: names that mean something else at this spot.
        movable: whether the spot is certain (not inside a string).
    """

    name: str
    line: int
    column: int
    attributes: tuple[tuple[str, int], ...]
    locals: frozenset[str]
    movable: bool = True


@dataclass
class _Scope:
    names: set[str]
    is_class: bool = False


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def uses(statement: ast.AST) -> list[Use]:
    """Every use of a module's names in one of its top-level statements; those that it binds itself are included."""
    reader = _Reader()
    reader.read(statement)
    return reader.found


def bound(statement: ast.stmt) -> tuple[str, ...]:
    """The names that a top-level statement gives to its module."""
    return tuple(dict.fromkeys(_bindings([statement])))


def inner_imports(statement: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports within a statement."""
    return (node for node in ast.walk(statement) if isinstance(node, (ast.Import, ast.ImportFrom)))


def _bindings(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Names bound by ``nodes`` in their own scope."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, _COMPREHENSIONS):
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):  # a walrus binds outside the comprehension
                    yield inner.target.id
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest
        yield from _bindings(list(ast.iter_child_nodes(node)))


class _Reader:
    def __init__(self) -> None:
        self.found: list[Use] = []
        self.scopes: list[_Scope] = []

    def read(self, node: ast.AST | None) -> None:
        if node is None:
            return
        if isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name):
            self._name(node, ())
        elif isinstance(node, _FUNCTIONS):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, _COMPREHENSIONS):
            targets = [generator.target for generator in node.generators]
            self._inside(_Scope(set(_bindings(list(targets)))), list(ast.iter_child_nodes(node)))
        elif isinstance(node, ast.AnnAssign):
            self.read(node.target)
            self._annotation(node.annotation)
            self.read(node.value)
        else:
            for child in ast.iter_child_nodes(node):
                self.read(child)

    def _attribute(self, node: ast.Attribute) -> None:
        chain: list[tuple[str, int]] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            if inner.end_lineno == node.lineno and inner.end_col_offset is not None:
                chain.append((inner.attr, inner.end_col_offset))
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._name(inner, tuple(reversed(chain)))
        else:
            self.read(inner)

    def _name(self, node: ast.Name, attributes: tuple[tuple[str, int], ...]) -> None:
        self._add(node.id, node.lineno, node.col_offset, attributes)

    def _add(
        self, name: str, line: int, column: int, attributes: tuple[tuple[str, int], ...], movable: bool = True
    ) -> None:
        # A class's names are seen in its body alone, not in its methods.
        seen = [scope for index, scope in enumerate(self.scopes) if not scope.is_class or index == len(self.scopes) - 1]
        local: set[str] = set()
        for scope in seen:
            local |= scope.names
        if name not in local:
            self.found.append(Use(name, line, column, attributes, frozenset(local), movable))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        listed += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            self.read(default)
        names = {argument.arg for argument in listed}
        if isinstance(node, ast.Lambda):
            self._inside(_Scope(names), [node.body])
            return
        for decorator in node.decorator_list:
            self.read(decorator)
        types = self._type_parameters(node)
        for argument in listed:
            self._annotation(argument.annotation)
        self._annotation(node.returns)
        stated = {name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names}
        self._inside(_Scope((names | set(_bindings(node.body))) - stated), list(node.body))
        if types:
            self.scopes.pop()

    def _class(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self.read(decorator)
        types = self._type_parameters(node)
        for base in [*node.bases, *(keyword.value for keyword in node.keywords)]:
            self.read(base)
        self._inside(_Scope(set(_bindings(node.body)), is_class=True), list(node.body))
        if types:
            self.scopes.pop()

    def _type_parameters(self, node: ast.AST) -> bool:
        """Opens a scope for ``class C[T]`` and ``def f[T]`` (Python 3.12); whether there is one."""
        parameters = getattr(node, "type_params", [])
        if parameters:
            self.scopes.append(_Scope({parameter.name for parameter in parameters}))
        return bool(parameters)

    def _inside(self, scope: _Scope, nodes: Sequence[ast.AST]) -> None:
        self.scopes.append(scope)
        for node in nodes:
            self.read(node)
        self.scopes.pop()

    def _annotation(self, node: ast.expr | None) -> None:
        if node is None:
            return
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                try:
                    written = ast.parse(inner.value, mode="eval")
                except SyntaxError:
                    continue  # Literal["a b"] is no type
                for name in ast.walk(written):
                    if isinstance(name, ast.Name):
                        self._add(name.id, inner.lineno, inner.col_offset, (), movable=False)
        self.read(node)
