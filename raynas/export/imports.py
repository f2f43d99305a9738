"""Import statements for the head of a file, merged by module and sorted as isort does it."""

from __future__ import annotations

from collections.abc import Iterable

from raynas.export.modules import Imported, kind_of


def import_lines(wanted: Iterable[tuple[str, Imported]]) -> list[str]:
    """The statements that import each ``(name in the file, what it is)``: Python's own first, then the others."""
    plain: dict[bool, set[str]] = {True: set(), False: set()}
    taken: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for final, one in wanted:
        standard = kind_of(one.module) == "standard"
        if one.attribute is None:
            bare = one.root or final == one.module
            plain[standard].add(f"import {one.module}" + ("" if bare else f" as {final}"))
        else:
            item = one.attribute + ("" if final == one.attribute else f" as {final}")
            taken[standard].setdefault(one.module, set()).add(item)
    lines: list[str] = []
    for standard in (True, False):
        block = sorted(plain[standard])
        for module, items in sorted(taken[standard].items()):
            block.append(f"from {module} import {', '.join(sorted(items, key=_isort_key))}")
        if block:
            lines += ["", *block] if lines else block
    return lines


def _isort_key(item: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    name = item.partition(" ")[0]
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name)
