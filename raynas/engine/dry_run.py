"""What a search would do, and how long it would take here: for ``raynas search --dry-run``."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from raynas.counts import digits
from raynas.engine.cluster import slots_here
from raynas.engine.time_plan.plan import Fitted
from raynas.evaluators.evaluator import TrialContext
from raynas.resources import available_cpus
from raynas.space import Architecture
from raynas.spec.components import Components, make_rule, step_seconds
from raynas.spec.constraints import feasible_samples
from raynas.spec.settings import ResolvedSpec

#: One step of the default and of this many random samples is measured.
_SAMPLES = 2


#: A space with more fillings than this is no limit on a search. (Far larger counts do not fit a float either.)
_TRIABLE = 10**15


@dataclass(frozen=True)
class Plan:
    """The search that was described.

    Attributes:
        spec: the resolved settings.
        data: what the task says of its data, in one line; "" where it says nothing.
        size: fillings of the space (``inf`` with a real-valued hole).
        size_exact: whether there are just so many, rather than at least so many.
        sample: a random architecture.
        step_seconds: one step on one worker: an epoch, measured (median of the default's and of random samples'), or
            its share of ``trial_time``.
        lines: what the search decided from its time, for people; none where it decided nothing.
        steps_per_trial: expected with the scheduler, if rungs pass one trial in ``reduction_factor``.
        trials, seconds: what the limits leave, whichever is reached first.
        repeats: of finalists, on top of the trials; their time is in ``seconds``.
        limit: which that is: ``trials``, ``time``, ``size`` or ``none``.
    """

    spec: ResolvedSpec
    data: str
    size: float
    size_exact: bool
    sample: Architecture
    sample_text: str
    step_seconds: float
    steps_per_trial: float
    workers: int
    trials: int | None
    repeats: int
    seconds: float | None
    limit: str
    lines: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of ``raynas search --dry-run --json`` (docs/json.md)."""
        return {
            "spec": self.spec.to_json(),
            "data": self.data,
            "size": digits(self.size),
            "sample": self.sample.to_json(),
            "size_exact": self.size_exact,
            "workers": self.workers,
            "step_seconds": self.step_seconds,
            "steps_per_trial": self.steps_per_trial,
            "trials": self.trials,
            "repeats": self.repeats,
            "seconds": self.seconds,
            "limit": self.limit,
            "lines": list(self.lines),
        }


def make_plan(spec: ResolvedSpec, components: Components, fitted: Fitted | None = None) -> Plan:
    """Measures a step, and reckons.

    Args:
        spec: resolved.
        components: of the search.
        fitted: what was decided from the search's time, where something was.
    """
    slots = slots_here(spec)
    if slots is None:  # a cluster: only Ray knows what room it has
        workers = spec.workers or max(1, int(available_cpus() / spec.cpus_per_trial))
        workers = min(workers, spec.max_concurrent or workers)
    else:
        workers = slots.workers
    if step_seconds(spec) is None:
        evaluator = copy.copy(components.evaluator)
        context = TrialContext(0, spec.seed, spec.epochs, precision=spec.precision)
        decisions = components.decisions
        if decisions is None:
            decisions = evaluator.decide(components.space, components.space.default(), context)
        evaluator.adopt(decisions)
        components = replace(components, evaluator=evaluator)
    samples = feasible_samples(spec, components, _SAMPLES)
    tried = (components.space.default(), *samples)
    seconds = step_seconds(spec) or statistics.median(
        _measured_seconds(components, spec, each, workers) for each in tried
    )
    steps = make_rule(spec).expected_steps
    per_trial = max(1e-9, steps * seconds / workers)
    limits = {"trials": spec.trials, "time": None, "size": None}
    if spec.time is not None:
        limits["time"] = max(1, int(spec.time / per_trial))
    size = components.space.size()
    if size <= _TRIABLE:
        limits["size"] = int(size)
    known = {key: value for key, value in limits.items() if value is not None}
    if not components.space.size_exact:
        known.pop("size", None)
    if fitted is not None and "time" in known:
        known["time"] = fitted.facts["trials"]
        per_trial = spec.time / fitted.facts["trials"]
    limit = min(known, key=known.__getitem__) if known else "none"
    trials = known.get(limit)
    repeats = spec.finalists * (spec.repeats or 0) if limit != "time" else 0
    again = repeats * spec.epochs * seconds / workers
    return Plan(
        spec=spec,
        data=str(getattr(components.task, "summary", "") or ""),
        size=size,
        size_exact=components.space.size_exact,
        sample=samples[0],
        sample_text=components.space.pretty(samples[0]),
        step_seconds=seconds,
        steps_per_trial=steps,
        workers=workers,
        trials=trials,
        repeats=repeats,
        seconds=None if trials is None else trials * per_trial + again,
        limit=limit,
        lines=() if fitted is None else tuple(fitted.facts["lines"]),
    )


def _measured_seconds(components: Components, spec: ResolvedSpec, architecture: Architecture, workers: int) -> float:
    context = TrialContext(0, spec.seed, spec.epochs, max(1, int(spec.cpus_per_trial)))
    pace = components.evaluator.pace(components.space, architecture, context, at_once=workers)
    if pace is not None:
        data = components.measured_task.data
        return float(pace.epoch_seconds(*data.sizes(pace.batch_size)))
    begun = time.perf_counter()
    measurement = next(iter(components.evaluator.start(components.space, architecture, context).measurements()))
    return measurement.seconds or time.perf_counter() - begun
