"""The journal's events as data: their names, their fields, and one event as one line of strict JSON.

``docs/journal.md`` is the contract, and a test compares the two. The writer and the reader deal with files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

#: Version of the contract. New events and new optional fields do not raise it (readers ignore what they do not know).
VERSION = 1

#: Fields of every line.
ENVELOPE = ("v", "seq", "time", "event")

#: A field of every event that a session writes: seconds that the session had run by then, pauses left out. Journals of
#: earlier releases do not have it.
ELAPSED = "elapsed"

#: The fields that each event always has.
FIELDS: dict[str, tuple[str, ...]] = {
    "search_started": (
        "name",
        "search_id",
        "spec",
        "seed",
        "space",
        "task",
        "objective",
        "versions",
        "machine",
    ),
    "session_started": ("session", "pid", "host", "limits", "workers", "changes", "versions"),
    "stage_started": ("stage", "steps", "session"),
    "stage_measured": ("stage", "step", "metrics", "seconds"),
    "stage_ended": ("stage", "state", "error", "seconds"),
    "trial_proposed": (
        "trial",
        "architecture",
        "trial_id",
        "network_id",
        "name",
        "strategy",
        "origin",
        "session",
    ),
    "trial_started": ("trial", "attempt", "session"),
    "measured": ("trial", "attempt", "step", "metrics", "seconds", "rung", "decision", "stop_reason"),
    "trial_promoted": ("trial", "rung", "session"),
    "trial_ended": ("trial", "state", "reason", "error", "steps", "seconds"),
    "session_ended": ("session", "reason", "message"),
}

#: The fields that an event may have besides.
OPTIONAL: dict[str, tuple[str, ...]] = {
    "search_started": ("objectives", "constraints", "working_folder", "plan", "warm_start"),
    "session_started": ("decisions", "explanation", "files", "left_out", "void"),
    "trial_proposed": ("params", "flops", "costs", "repeat_of", "repeat", "refused", "beyond", "infeasible"),
    "trial_ended": ("rung",),
    "session_ended": ("recommended",),
}

#: Why a trial has failed. (A reader of a journal may meet others: a later release may add some.)
FailureReason = Literal["nan", "exception", "out_of_memory", "timeout", "worker_died", "infrastructure"]

#: Why a session has ended. (A reader may meet others.)
SessionEnd = Literal["trials", "time", "exhausted", "interrupted", "disk_full", "all_failed", "error"]


class ErrorFields(TypedDict):
    """``error`` of ``trial_ended``."""

    type: str
    message: str
    traceback: str


#: The reason of a trial whose evaluator ended before the full budget: its last measurement counts as that of it.
EVALUATOR_ENDED = "evaluator_ended"

#: How a trial ends by the reason for which it was stopped.
STATE_OF_STOP = {"budget": "completed", EVALUATOR_ENDED: "completed", "early_stopped": "stopped", "nan": "failed"}

#: What of an error's texts stands in the journal at most; the whole is in the trial's log.
MESSAGE_CHARACTERS, TRACEBACK_CHARACTERS = 2_000, 8_000

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(event: Mapping[str, Any]) -> bytes:
    """One event as a line, newline included.

    Raises:
        TypeError: a value is not JSON.
    """
    try:
        text = json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:  # rare: a measurement that is not finite
        text = json.dumps(_spell_out(event), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A lone surrogate (a file name in a traceback) must not end a search: \\udc80 is how JSON writes it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The event of one line.

    Raises:
        ValueError: it is not a line of a journal.
    """
    event = json.loads(line)
    if not isinstance(event, dict) or not isinstance(event.get("seq"), int) or not isinstance(event.get("event"), str):
        raise ValueError("not an event")
    metrics = event.get("metrics")
    if isinstance(metrics, dict):
        for name, value in metrics.items():
            if isinstance(value, str):
                metrics[name] = _NOT_FINITE.get(value, value)
    if isinstance(event.get("seconds"), str):
        event["seconds"] = _NOT_FINITE.get(event["seconds"], event["seconds"])
    return event


def shortened(text: str, characters: int) -> str:
    """A text of so many characters at most: its beginning and its end, where it is longer."""
    if len(text) <= characters:
        return text
    mark = f"\n… {len(text) - characters:,} characters and more are left out here …\n"
    room = characters - len(mark)
    return text[: room - room // 2] + mark + text[-(room // 2) :]


def shortened_error(error: ErrorFields) -> ErrorFields:
    """An error as the journal takes it."""
    return {
        "type": error["type"],
        "message": shortened(error["message"], MESSAGE_CHARACTERS),
        "traceback": shortened(error["traceback"], TRACEBACK_CHARACTERS),
    }


def _spell_out(value: Any) -> Any:
    """The same value with nan and infinities as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: _spell_out(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell_out(item) for item in value]
    return value
