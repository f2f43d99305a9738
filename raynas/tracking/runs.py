"""What a search's facts are called in MLflow: pure functions from the journal's records to names, tags and values.

The parent run is the search, a nested run is a trial. The mapping depends on the journal alone, so that writing twice
writes the same. MLflow's limits (``mlflow.utils.validation``, 3.17) are kept here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from raynas.journal.history import MeasurementRecord, TrialRecord
from raynas.tracking.keys import MAX_KEY, OWN_METRICS, Keys
from raynas.tracking.redaction import public_uri

MAX_PARAM = 6_000
MAX_TAG = 8_000


class MetricPoint(NamedTuple):
    """One value of one metric; ``timestamp`` in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


def milliseconds(seconds: float) -> int:
    """A journal's time in MLflow's unit."""
    return round(seconds * 1_000)


def clean_text(text: str, limit: int) -> str:
    """``text`` as every database takes it (no NUL, no lone surrogates), cut to ``limit`` characters."""
    text = text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def value_text(value: Any) -> str:
    """A hole's value as a parameter: strings as they are, else JSON (``0``, ``0.0``, ``false`` stay apart)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def params(values: Mapping[str, Any], keys: Keys | None = None) -> dict[str, str]:
    """An architecture's holes as parameters, named by hole path.

    Args:
        keys: of the search's holes, as its earlier trials have them.
    """
    keys = Keys() if keys is None else keys
    return {keys(path): clean_text(value_text(value), MAX_PARAM) for path, value in values.items()}


def spec_params(spec: Mapping[str, Any]) -> dict[str, str]:
    """A search's settings as parameters of the parent run, nested ones with dots; open ones are left out.

    So is an address that has its password, as earlier releases kept it: the parameter is there with it, and MLflow does
    not let a parameter be changed.
    """
    if public_address(spec) != spec.get("tracking_uri"):
        spec = {**spec, "tracking_uri": None}
    keys = Keys()
    return {keys(name): clean_text(value_text(value), MAX_PARAM) for name, value in _flat(spec, "")}


def public_address(spec: Mapping[str, Any]) -> str | None:
    """The store's address among a search's settings, without a password."""
    uri = spec.get("tracking_uri")
    return public_uri(uri) if isinstance(uri, str) else None


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and value != []:
            yield f"{prefix}{name}", value


def trial_run_name(record: TrialRecord) -> str:
    """Trial number and short form of the architecture, as in ``007 stage1.depth=3 ...``."""
    return clean_text(f"{record.number:03d} {record.name}".strip(), MAX_KEY)


def trial_identity(record: TrialRecord, search_id: str, search_name: str, parent_run_id: str) -> dict[str, str]:
    """The tags that a trial's run is made with; they never change."""
    tags = {
        "mlflow.parentRunId": parent_run_id,
        "mlflow.note.content": _trial_note(record, search_name),
        "raynas.kind": "trial",
        "raynas.search": search_name,
        "raynas.search_id": search_id,
        "raynas.trial": str(record.number),
        "raynas.trial_id": record.trial_id,
        "raynas.network_id": record.network_id,
        "raynas.strategy": record.strategy,
        "raynas.repeat_of": "" if record.repeat_of is None else str(record.repeat_of),
        "raynas.origin": json.dumps(record.origin, ensure_ascii=False),
    }
    return {key: clean_text(value, MAX_TAG) for key, value in tags.items() if value}


def trial_state(record: TrialRecord, running: bool) -> dict[str, str]:
    """The tags of a trial that change as it goes on."""
    state = record.state if record.terminal or running else "unfinished"
    tags = {
        "raynas.state": state,
        "raynas.reason": record.reason or ("" if running else "interrupted"),
        "raynas.attempts": str(record.attempts),
        "raynas.steps": str(record.steps),
        "raynas.rung": "" if record.score is None else str(record.score[0]),
    }
    if record.error:
        message = f"{record.error.get('type', '')}: {record.error.get('message', '')}".strip(": ")
        tags["raynas.error"] = clean_text(message, MAX_TAG)
    return tags


def trial_status(record: TrialRecord, running: bool) -> str:
    """MLflow's status: a trial stopped early is a finished one; one that nobody trains at the moment is KILLED."""
    if record.terminal:
        return "FAILED" if record.state == "failed" else "FINISHED"
    return "RUNNING" if running else "KILLED"


def search_status(reason: str | None, live: bool) -> str:
    """MLflow's status of the parent run, from the reason of the last session's end."""
    if live:
        return "RUNNING"
    return {"trials": "FINISHED", "time": "FINISHED", "exhausted": "FINISHED", "all_failed": "FAILED"}.get(
        reason or "", "FAILED" if reason == "error" else "KILLED"
    )


def search_state(status: str, reason: str | None, sessions: int) -> dict[str, str]:
    """The tags of the parent run that change as the search goes on."""
    states = {"RUNNING": "running", "FINISHED": "finished", "FAILED": "failed"}
    return {
        "raynas.state": states.get(status, "interrupted"),
        "raynas.reason": "" if status == "RUNNING" else reason or "interrupted",
        "raynas.sessions": str(sessions),
    }


def points(measurement: MeasurementRecord, keys: Keys | None = None) -> Iterator[MetricPoint]:
    """A measurement's metrics, and the seconds that the step took.

    Args:
        keys: of the search's metrics, as earlier measurements have them.
    """
    keys = Keys(OWN_METRICS) if keys is None else keys
    when, step = milliseconds(measurement.time), measurement.step
    yield MetricPoint("seconds", float(measurement.seconds), when, step)
    for name, value in measurement.metrics.items():
        if isinstance(value, (int, float)):
            yield MetricPoint(keys(name), float(value), when, step)


def cost_points(event: Mapping[str, Any], keys: Keys | None = None) -> Iterator[MetricPoint]:
    """The costs of a proposed network as metrics (MLflow sorts metrics as numbers, parameters as text).

    Args:
        keys: as for ``points``: the figures of further cost models share the names with what trials measure.
    """
    keys = Keys(OWN_METRICS) if keys is None else keys
    own = [("parameters", event.get("params")), ("flops", event.get("flops"))]
    for name, value in [*own, *((keys(name), value) for name, value in event.get("costs", {}).items())]:
        if isinstance(value, (int, float)) and math.isfinite(value):
            yield MetricPoint(name, float(value), milliseconds(event["time"]), 0)


def architecture_document(record: TrialRecord) -> str:
    """The whole architecture as JSON, the artifact ``architecture.json`` of a trial."""
    document = {
        "trial": record.number,
        "trial_id": record.trial_id,
        "network_id": record.network_id,
        "strategy": record.strategy,
        "origin": record.origin,
        "architecture": record.values,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _trial_note(record: TrialRecord, search_name: str) -> str:
    kind, parents = record.origin.get("kind"), record.origin.get("parents")
    how = f", {kind}" if kind and kind != record.strategy else ""
    of = f" of trial {', '.join(str(parent) for parent in parents)}" if isinstance(parents, list) and parents else ""
    values = "\n".join(f"{path}: {value_text(value)}" for path, value in record.values.items())
    note = f"Trial {record.number} of search **{search_name}**, proposed by {record.strategy}{how}{of}."
    return f"{note}\n\n```yaml\n{clean_text(values, MAX_TAG - 1_000)}\n```\n"
