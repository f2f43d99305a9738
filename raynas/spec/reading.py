"""What a person asks of a search, read and checked: from a YAML file, from flags, from Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Optional, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, create_model

from raynas.atomic_write import atomic_write
from raynas.durations import parse_duration
from raynas.errors import SpecError
from raynas.objectives.constraint import Constraint
from raynas.spec.relative_paths import anchored
from raynas.spec.settings import SearchSpec, setting_of, value_type
from raynas.suggestions import did_you_mean
from raynas.tracking.redaction import public_uri


class _WrongValue(SpecError):
    """What is wrong with a field's value, in the words of those who read such values."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _seconds(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    try:
        return parse_duration(value)
    except SpecError as error:
        field = info.field_name or "time"
        raise _WrongValue(field, str(error).replace("time", field, 1)) from None


def _listed(value: Any) -> Any:
    """One thing as a list of one: a person who has a single one need not write a list."""
    return list(value) if isinstance(value, tuple) else [value] if isinstance(value, str | Constraint) else value


def _constraints(value: Any, info: ValidationInfo) -> Any:
    """Limits in the one form in which they are kept."""
    listed = _listed(value)
    if not isinstance(listed, list):
        return listed
    try:
        return [str(each if isinstance(each, Constraint) else Constraint.parse(each)) for each in listed]
    except SpecError as error:
        raise _WrongValue(info.field_name or "constraints", str(error)) from None


_STORES = re.compile(r"(https?|sqlite|postgresql|mysql|mssql|file|databricks)(\+\w+)?:|databricks$|[./~]")


def _store(value: Any) -> Any:
    if isinstance(value, str) and not _STORES.match(value):
        raise ValueError("not the address of an MLflow store; write http://HOST:PORT or sqlite:///FILE")
    return value


@lru_cache(maxsize=1)
def _model() -> type[BaseModel]:
    """The declaration of the settings as a model that checks plain values."""
    model_fields: dict[str, Any] = {}
    for each in fields(SearchSpec):
        kind, optional = value_type(each.name)
        if checks := _checks(each.name, kind):
            kind = Annotated[(kind, *checks)]
        if each.default is not MISSING:
            default = each.default
        else:
            default = ... if each.default_factory is MISSING else Field(default_factory=each.default_factory)
        model_fields[each.name] = (Optional[kind] if optional else kind, default)  # noqa: UP045
    created: type[BaseModel] = create_model(
        "SearchSpec", __config__=ConfigDict(extra="forbid", frozen=True), **model_fields
    )
    return created


def _checks(name: str, kind: Any) -> list[Any]:
    """What a value is checked for beside its type."""
    setting = setting_of(name)
    readers: dict[str, Callable[..., Any]] = {"duration": _seconds, "store": _store, "constraints": _constraints}
    if setting.kind != "value":
        return [BeforeValidator(readers[setting.kind])]
    if get_origin(kind) is list:
        return [BeforeValidator(_listed)]
    limits: dict[str, Any] = {}
    if setting.at_least is not None:
        limits["min_length" if kind is str else "ge"] = setting.at_least
    if setting.more_than is not None:
        limits["gt"] = setting.more_than
    if kind is int:
        limits["strict"] = True
    return [Field(**limits)] if limits else []


def make_spec(values: Mapping[str, Any], *, origin: str = "", lines: Mapping[str, int] | None = None) -> SearchSpec:
    """A checked spec of plain values.

    Args:
        values: the fields; those that are None count as not given.
        origin: the file they come from, for messages.
        lines: the line of each field in that file.

    Raises:
        SpecError: a field is unknown or has a value that cannot be; one line that names file, line and field.
    """
    try:
        checked = _model()(**{key: value for key, value in values.items() if value is not None})
        return SearchSpec(**checked.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise SpecError(_where(field, origin, lines) + _what_is_wrong(field, first)) from None
    except _WrongValue as error:
        raise SpecError(_where(error.field, origin, lines) + str(error)) from None


def _shown(field: str, value: Any) -> Any:
    """A field's value as it is written or told: without the password that the store's address may hold."""
    return public_uri(value) if field == "tracking_uri" and isinstance(value, str) else value


def _where(field: str, origin: str, lines: Mapping[str, int] | None) -> str:
    if not origin:
        return ""
    line = (lines or {}).get(field)
    return f"{origin}, line {line}: " if line else f"{origin}: "


def _what_is_wrong(field: str, error: Mapping[str, Any]) -> str:
    kind, value = error["type"], _shown(field, error.get("input"))
    if kind == "extra_forbidden":
        names = [each.name for each in fields(SearchSpec)]
        hint = did_you_mean(field, names, otherwise=f"the fields are: {', '.join(names)}")
        return f"field {field!r} is unknown; {hint}"
    if kind == "missing":
        return f"field {field!r} is missing; name a search space (raynas spaces lists them)"
    if kind == "greater_than_equal":
        return f"{field} {value!r} is too small; give {error['ctx']['ge']} or more"
    if kind == "greater_than":
        return f"{field} {value!r} is too small; give more than {error['ctx']['gt']:g}"
    if kind in {"int_type", "int_from_float", "int_parsing"}:
        return f"{field} {value!r} is not a whole number"
    if kind == "string_too_short":
        return f"{field} '' is empty; give a value, or leave it out"
    if kind == "string_type":
        return f"{field} {value!r} is no text; write it in quotes"
    if kind == "dict_type":
        return f"{field} {value!r} is no mapping; write name: value, a line each"
    if kind == "literal_error":
        return f"{field} {value!r} is none of {error['ctx']['expected']}"
    return f"{field} {value!r}: {str(error['msg']).removeprefix('Value error, ')}"


def read_spec_file(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The fields of a YAML file, and the line of each.

    Raises:
        SpecError: the file is missing, is not YAML, or is not a mapping of fields.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"settings file {str(path)!r} cannot be read: {error}") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{path}, line {line}: not YAML: {error.problem}; write 'field: value' lines") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise SpecError(f"{path}, line 1: settings are 'field: value' lines, such as 'space: resnet'")
    return {str(key): value for key, value in values.items()}, {
        str(key.value): key.start_mark.line + 1 for key, _ in node.value
    }


def read_spec(path: Path | None, overrides: Mapping[str, Any]) -> SearchSpec:
    """The spec of a file with ``overrides`` (those that are not None) in place of its fields.

    Relative paths in the file are relative to it.

    Raises:
        SpecError: see ``make_spec`` and ``read_spec_file``.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    if path is None:
        return make_spec(given)
    values, lines = read_spec_file(path)
    if given.get("finalists") == 0:  # the file's repeats are of the finalists that are not wanted now
        given = {"repeats": None, **given}
    make_spec({"space": "-", **values}, origin=str(path), lines=lines)
    return make_spec({**anchored(values, path, lines, given), **given})


def write_spec(path: Path, spec: SearchSpec) -> None:
    """Writes the resolved spec for people to read and to use as a ``--config`` again."""
    header = "# The resolved settings of this search. The journal beside it is what counts.\n"
    shown = {key: _shown(key, value) for key, value in spec.to_json().items() if value is not None and value != []}
    text = header + yaml.safe_dump(shown, sort_keys=False)
    atomic_write(path, text.encode())
