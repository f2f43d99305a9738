"""What ``--json`` prints, as plain data. Every key stands in docs/json.md: both are a contract with programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raynas.counts import digits

if TYPE_CHECKING:
    from raynas.engine.dry_run import Plan
    from raynas.evaluators.evaluate import Evaluated
    from raynas.journal import TrialRecord
    from raynas.results.search_view import SearchView
    from raynas.space import Architecture, Space


def dumps(document: Any) -> str:
    """Strict JSON, for people as well: NaN and infinities become the words ``"nan"``, ``"inf"``, ``"-inf"``."""
    return json.dumps(_strict(document), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def best(result: SearchView, count: int) -> dict[str, Any]:
    """``raynas best --json``."""
    from raynas.results.search_view import finalist_summary, recommendation_summary, trial_summary

    objective = result.objective
    return {
        "name": result.name,
        "folder": str(result.folder),
        "status": result.status,
        "objective": {"metric": objective.metric, "mode": objective.mode},
        "default": None if result.default is None else trial_summary(result.default, objective),
        "best": [trial_summary(record, objective) for record in result.best_trials(count)],
        "recommended": recommendation_summary(result),
        "finalists": [finalist_summary(finalist) for finalist in result.finalists],
    }


def trial(result: SearchView, record: TrialRecord, log: int) -> dict[str, Any]:
    """``raynas show --json``."""
    from raynas.results.search_view import trial_summary

    return {
        **trial_summary(record, result.objective),
        "strategy": record.strategy,
        "origin": dict(record.origin),
        "repeat_of": record.repeat_of,
        "attempts": record.attempts,
        "error": None if record.error is None else dict(record.error),
        "curve": [
            {
                "step": measured.step,
                "metrics": dict(measured.metrics),
                "seconds": measured.seconds,
                "rung": measured.rung,
                "decision": measured.decision,
                "stop_reason": measured.stop_reason,
            }
            for measured in record.measurements
        ],
        "log": result.log_tail(record.number, log),
    }


def evaluated(result: SearchView, data: str, found: list[tuple[TrialRecord, Evaluated]]) -> dict[str, Any]:
    """``raynas evaluate --json``."""
    from raynas.results.search_view import trial_summary

    return {
        "name": result.name,
        "data": data,
        "trials": [
            {**trial_summary(record, result.objective), "evaluated": there.to_json()} for record, there in found
        ],
    }


def plan(plan: Plan) -> dict[str, Any]:
    """``raynas search --dry-run --json``."""
    return {
        "spec": plan.spec.to_json(),
        "data": plan.data,
        "size": digits(plan.size),
        "sample": plan.sample.to_json(),
        "size_exact": plan.size_exact,
        "workers": plan.workers,
        "step_seconds": plan.step_seconds,
        "steps_per_trial": plan.steps_per_trial,
        "trials": plan.trials,
        "repeats": plan.repeats,
        "seconds": plan.seconds,
        "limit": plan.limit,
        "lines": list(plan.lines),
    }


def sizes(space: Space) -> dict[str, Any]:
    """The numbers of fillings, in all and without the recipe: digits, or ``"inf"``; and whether both are exact.

    Strings, since they may not fit a program's integers.
    """
    parts: dict[str, Any] = dict(space.root.parts)
    bare = type(space)(**parts)
    counts = {"size": space.size(), "size_without_recipe": bare.size()}
    found = {key: digits(count) for key, count in counts.items()}
    return {**found, "size_exact": space.size_exact and bare.size_exact}


def hole(path: str, value: Any) -> dict[str, Any]:
    """One hole: its path, its kind, its domain and its default (see raynas.space.template.holes)."""
    domain: dict[str, Any] = {"options": None, "low": None, "high": None, "log": None}
    if hasattr(value, "low"):
        domain |= {"low": value.low, "high": value.high, "log": value.log}
    else:
        domain["options"] = list(value.options)
    return {"path": path, "kind": type(value).__name__.lower(), **domain, "default": value.default}


def architecture(space: Space, filling: Architecture, input_shape: Any, dtype: Any = None) -> dict[str, Any]:
    """A filling with its network's parameters and FLOPs (2 x multiply-adds, one sample)."""
    from raynas import costs

    network = space.network(filling)
    total = costs.cost(network, input_shape, dtype)
    return {
        "architecture": filling.to_json(),
        "network_id": space.network_id(filling),
        "trial_id": space.trial_id(filling),
        "parameters": total.params,
        "flops": total.flops,
    }
