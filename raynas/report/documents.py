"""What ``--json`` prints, as plain data. Every key stands in docs/json.md: both are a contract with programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raynas.counts import digits

if TYPE_CHECKING:
    from raynas.evaluators.evaluate import Evaluated
    from raynas.report.search_report import FinalistReport, RecommendationReport, SearchReport, TrialReport
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


def status(report: SearchReport) -> dict[str, Any]:
    """``raynas status --json``."""
    spec, counts = report.spec, report.counts
    return {
        "name": report.name,
        "folder": str(report.folder),
        "status": report.status,
        "reason": report.reason,
        "message": report.message,
        "space": spec.space,
        "task": spec.task,
        "evaluator": spec.evaluator,
        "strategy": spec.strategy,
        "scheduler": spec.scheduler,
        "objective": _objective(report),
        "constraints": list(spec.constraints),
        "trials": {
            "total": counts.total,
            "repeats": counts.repeats,
            "limit": spec.trials,
            "running": counts.running,
            "paused": counts.paused,
            "unfinished": counts.unfinished,
            "completed": counts.completed,
            "stopped": counts.stopped,
            "failed": counts.failed,
            "refused": counts.refused,
            "beyond": counts.beyond,
            "infeasible": counts.infeasible,
        },
        "seconds": {"elapsed": round(report.elapsed_seconds, 3), "limit": spec.time},
        "sessions": report.sessions,
        "training_saved": round(report.training_saved, 4),
        "best": _trial_or_none(report.best),
        "recommended": _recommended(report.recommended),
        "default": _trial_or_none(report.default),
        "mlflow": {"problem": report.tracking_problem},
    }


def best(report: SearchReport, count: int) -> dict[str, Any]:
    """``raynas best --json``."""
    return {
        "name": report.name,
        "folder": str(report.folder),
        "status": report.status,
        "objective": _objective(report),
        "default": _trial_or_none(report.default),
        "best": [trial(one) for one in report.ranking[:count]],
        "recommended": _recommended(report.recommended),
        "finalists": [_finalist(one) for one in report.finalists],
    }


def trial(one: TrialReport) -> dict[str, Any]:
    """A trial in any document: its figures are those at the highest rung that it reached."""
    return {
        "trial": one.number,
        "name": one.name,
        "state": one.state,
        "reason": one.reason,
        "trial_id": one.trial_id,
        "network_id": one.network_id,
        "step": one.step,
        "value": one.value,
        "metrics": dict(one.metrics),
        "seconds": round(one.seconds, 3),
        "architecture": dict(one.architecture),
    }


def whole_trial(one: TrialReport, log: list[str]) -> dict[str, Any]:
    """``raynas show --json``. ``log``: the last lines of what the trial printed."""
    return {
        **trial(one),
        "strategy": one.strategy,
        "origin": dict(one.origin),
        "repeat_of": one.repeat_of,
        "costs": dict(one.costs),
        "attempts": one.attempts,
        "error": None if one.error is None else dict(one.error),
        "curve": [
            {
                "step": measured.step,
                "metrics": dict(measured.metrics),
                "seconds": measured.seconds,
                "rung": measured.rung,
                "decision": measured.decision,
                "stop_reason": measured.stop_reason,
            }
            for measured in one.curve
        ],
        "log": log,
    }


def evaluated(name: str, data: str, found: list[tuple[TrialReport, Evaluated]]) -> dict[str, Any]:
    """``raynas evaluate --json``."""
    return {
        "name": name,
        "data": data,
        "trials": [{**trial(one), "evaluated": there.to_json()} for one, there in found],
    }


def _objective(report: SearchReport) -> dict[str, str]:
    return {"metric": report.objective.metric, "mode": report.objective.mode}


def _trial_or_none(one: TrialReport | None) -> dict[str, Any] | None:
    return None if one is None else trial(one)


def _recommended(found: RecommendationReport | None) -> dict[str, Any] | None:
    if found is None:
        return None
    finalist = None if found.finalist is None else _finalist(found.finalist)
    return {"by": found.by, "trial": trial(found.trial), "finalist": finalist}


def _finalist(one: FinalistReport) -> dict[str, Any]:
    return {
        "trial": one.trial.number,
        "network_id": one.trial.network_id,
        "repeats": list(one.repeats),
        "values": list(one.values),
        "mean": one.mean,
        "interval": None if one.interval is None else list(one.interval),
        "failed": one.failed,
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
