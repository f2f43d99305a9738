"""What a person asks of a search, checked: from a YAML file, from flags, from Python.

``SearchSpec`` holds what was asked; ``resolve`` fills in what was left open, so that the spec kept with the search
says everything and a resumed search does what the first session did.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from raynas.durations import parse_duration
from raynas.engine.spec_paths import anchored
from raynas.errors import SpecError
from raynas.tracking.redaction import public_uri

#: A search that names no budget ends by itself within a few minutes on a laptop.
DEFAULT_TRIALS = 40
DEFAULT_SECONDS = 300.0
#: Into so many steps a trial with a budget of time is divided: rungs at 3 and 9.
TIMED_STEPS = 9

Count = Annotated[int, Field(ge=1, strict=True)]


class _NoDuration(SpecError):
    """A field that is no length of time."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message.replace("time", field, 1))
        self.field = field


def _seconds(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    try:
        return parse_duration(value)
    except SpecError as error:
        raise _NoDuration(info.field_name or "time", str(error)) from None


_STORES = re.compile(r"(https?|sqlite|postgresql|mysql|mssql|file|databricks)(\+\w+)?:|databricks$|[./~]")


def _store(value: Any) -> Any:
    if isinstance(value, str) and not _STORES.match(value):
        raise ValueError("not the address of an MLflow store; write http://HOST:PORT or sqlite:///FILE")
    return value


class SearchSpec(BaseModel):
    """The settings of a search; the keys of ``search.yaml``.

    ``trials`` and ``time`` (seconds) are totals over all sessions of the search, failures and trial 0 included;
    the ``repeats`` of each of the ``finalists`` come on top of ``trials``, within ``time``.
    ``trial_time`` (seconds of training) is a trial's full budget in place of epochs; ``epochs`` is then into how many
    steps it is divided. ``trial_timeout`` is the limit on one step of a trial, in seconds. Where a search with a
    ``time`` is given neither of them, it measures and decides itself (``raynas.engine.fitting``), also
    ``affordable_flops``: what a space may use (``Task.affordable_flops``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str = Field(min_length=1)
    task: str | None = Field(default=None, min_length=1)
    task_options: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    strategy: str = Field(default="auto", min_length=1)
    strategy_options: dict[str, Any] = Field(default_factory=dict)
    scheduler: str = "asha"
    grace_period: Count | None = None
    reduction_factor: Annotated[int, Field(ge=2, strict=True)] | None = None
    metric: str | None = None
    mode: Literal["min", "max"] | None = None
    trials: Count | None = None
    time: Annotated[float, BeforeValidator(_seconds)] | None = None
    finalists: Annotated[int, Field(ge=0, strict=True)] = 0
    repeats: Count | None = None
    warm_start: Annotated[str, Field(min_length=1)] | None = None
    epochs: Count | None = None
    trial_time: Annotated[float | None, BeforeValidator(_seconds)] = None
    effort: Literal["normal", "wide", "deep"] | None = None
    image_size: Count | None = None
    batch_size: Count | None = None
    affordable_flops: Annotated[float, Field(ge=0)] | None = None
    workers: Count | None = None
    seed: Annotated[int, Field(ge=0, strict=True)] | None = None
    max_concurrent: Count | None = None
    cpus_per_trial: Annotated[float, Field(gt=0)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    trial_timeout: Annotated[float, BeforeValidator(_seconds)] | None = None
    keep_best: Annotated[int, Field(ge=0, strict=True)] = 3
    mlflow: bool = True
    tracking_uri: Annotated[str, BeforeValidator(_store)] | None = None
    name: str | None = None
    address: str | None = None


class Settings(TypedDict, total=False):
    """The keywords of ``raynas.search``: those of ``SearchSpec``, with the same names (``seconds``: its ``time``)."""

    data: str | None
    """What the task reads: for images a folder or a Parquet file (docs/data.md). The task is then ``images``."""
    task_options: Mapping[str, Any] | None
    """The task's own settings."""
    strategy: str | None
    """The searcher: an entry point's name, or ``path/file.py:name``."""
    strategy_options: Mapping[str, Any] | None
    """The strategy's own settings."""
    name: str | None
    """The search's folder in ``home``; default: the space's name and a number."""
    seed: int | None
    """Makes the search repeatable; default: drawn, and kept."""
    trials: int | None
    """Limit on trials over all sessions, failures and trial 0 included."""
    seconds: float | str | None
    """Limit on time over all sessions ("5m" is understood too). With neither limit, both have defaults."""
    finalists: int | None
    """After the last trial so many of the leading networks are trained again, on top of ``trials``, within ``seconds``;
    what the search then recommends (``SearchResult.recommended``) has the best mean of its repeats."""
    repeats: int | None
    """How often each of them (default: 3)."""
    warm_start: str | None
    """What is known of this space: another search's name, or a Parquet file of its trials (``raynas trials``)."""
    epochs: int | None
    """A trial's full budget; default: the task's. With ``trial_time``: into how many steps that is divided (9)."""
    trial_time: float | str | None
    """A trial's full budget as time in training, in place of epochs ("2m" is understood too)."""
    effort: str | None
    """How ``seconds`` are shared out, where neither epochs nor trial_time is given: ``normal``, ``wide`` (more, shorter
    trials) or ``deep`` (fewer, longer ones)."""
    image_size: int | None
    """Side in pixels to which pictures are brought; default: what the time allows, never larger than they are."""
    batch_size: int | None
    """Samples a step of training; default: the task's, or what the time allows."""
    affordable_flops: float | None
    """FLOPs of one sample's forward pass that a trial can afford; default: measured, where a search has a time."""
    workers: int | None
    """Trials at once; default: as many as the machine has room for."""
    max_concurrent: int | None
    """A further limit on them."""
    cpus_per_trial: float | None
    gpus_per_trial: float | None
    """What each trial gets; fractions of a GPU are shared, not isolated."""
    device: str | None
    """``auto``, ``cpu``, ``cuda`` or ``mps``."""
    precision: str | None
    """``auto`` (what is faster here, by a short timing), ``fp32`` or ``bf16``."""
    trial_timeout: float | str | None
    """Limit on one step (epoch) of a trial, in seconds ("5m" is understood too)."""
    keep_best: int | None
    """Of so many of the best trials the weights are kept (default: 3)."""
    mlflow: bool | None
    """Whether the search is written to MLflow as it goes (default: yes)."""
    tracking_uri: str | None
    """MLflow's store; default ``$MLFLOW_TRACKING_URI``, else a file in ``home``."""
    scheduler: str | None
    """``asha``, ``asha_promotion``, ``hyperband``, ``none``, or ``path/file.py:name``."""
    grace_period: int | None
    """Steps that every trial gets."""
    reduction_factor: int | None
    """One trial in so many goes on past a rung."""
    metric: str | None
    """What trials are compared by; default: the task's objective."""
    mode: str | None
    """``min`` or ``max``: which way the metric is good, where neither the task nor RayNAS knows it."""
    address: str | None
    """Of a running Ray cluster that shares ``home``; default: a private Ray on this machine."""


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
        return SearchSpec(**{key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise SpecError(_where(field, origin, lines) + _what_is_wrong(field, first)) from None
    except _NoDuration as error:
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
        near = difflib.get_close_matches(field, SearchSpec.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the fields are: {', '.join(SearchSpec.model_fields)}"
        return f"field {field!r} is unknown; {hint}"
    if kind == "missing":
        return f"field {field!r} is missing; name a search space (raynas spaces lists them)"
    if kind == "greater_than_equal":
        return f"{field} {value!r} is too small; give {error['ctx']['ge']} or more"
    if kind == "greater_than":
        return f"{field} {value!r} is too small; give more than {error['ctx']['gt']:g}"
    if kind in {"int_type", "int_from_float", "int_parsing"}:
        return f"{field} {value!r} is not a whole number"
    if kind == "literal_error":
        return f"{field} {value!r} is none of {error['ctx']['expected']}"
    return f"{field} {value!r}: {str(error['msg']).removeprefix('Value error, ')}"


def completed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved spec with the defaults of the fields that the release which wrote it did not have yet."""
    known = {name: field.get_default(call_default_factory=True) for name, field in SearchSpec.model_fields.items()}
    return {**known, **spec}


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


def write_spec(path: Path, spec: Mapping[str, Any]) -> None:
    """Writes the resolved spec for people to read and to use as a ``--config`` again."""
    header = "# The resolved settings of this search. The journal beside it is what counts.\n"
    shown = {key: _shown(key, value) for key, value in spec.items() if value is not None}
    text = header + yaml.safe_dump(shown, sort_keys=False)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
