"""Arithmetic over a table's columns, as a person writes it: ``12 * seconds / 2``, ``last(valid_accuracy)``.

The text is parsed, and only numbers, columns, ``+ - * / **`` and the functions below are let through: it cannot run
code.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from raynas.errors import SpecError

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _last(values: np.ndarray) -> np.ndarray:
    """The last value of each curve; curves end where their padding (NaN after the last figure) begins."""
    places = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum(places.max(axis=1), 0)[:, None], axis=1)


def _over_steps(fold: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def folded(values: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a curve without any figure stays NaN
            return fold(values, axis=1, keepdims=True)

    return folded


#: What may be called on a curve: one number a row comes out.
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "last": _last,
    "max": _over_steps(np.nanmax),
    "min": _over_steps(np.nanmin),
    "mean": _over_steps(np.nanmean),
    "sum": _over_steps(np.nansum),
}


def evaluate(text: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The expression's value for every row.

    Args:
        text: a column's name, or arithmetic over columns.
        columns: name to figures of shape ``(rows, steps)``; one step for a plain column, curves padded with NaN.

    Returns:
        Shape ``(rows, steps)``.

    Raises:
        SpecError: it is no such arithmetic, or names a column that is not there.
    """
    if text in columns:
        return columns[text]
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        raise SpecError(f"{text!r} is no arithmetic over columns; write it as in '12 * seconds / 2'") from None
    rows = len(next(iter(columns.values()))) if columns else 0
    with np.errstate(all="ignore"):
        found = np.asarray(_value(tree, text, columns), dtype=float)
    return np.broadcast_to(found, (rows, 1)).copy() if found.ndim == 0 else found


def _value(node: ast.AST, text: str, columns: Mapping[str, np.ndarray]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and type(node.value) is not bool:
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id not in columns:
            raise SpecError(f"{text!r}: there is no column {node.id!r} of figures; there are: {', '.join(columns)}")
        return columns[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, text, columns)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, text, columns), _value(node.right, text, columns))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords and len(node.args) == 1:
        if node.func.id not in FUNCTIONS:
            raise SpecError(f"{text!r}: {node.func.id!r} is not known; there are: {', '.join(FUNCTIONS)}")
        value = _value(node.args[0], text, columns)
        return FUNCTIONS[node.func.id](value) if isinstance(value, np.ndarray) else value
    raise SpecError(f"{text!r}: only numbers, columns, + - * / ** and {', '.join(FUNCTIONS)} of a curve are understood")
