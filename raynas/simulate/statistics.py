"""What many simulated runs say: means, quantiles, how often and how soon the best was found, and who is better."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from raynas.simulate.trajectories import Trajectories

#: The quantiles that are reported.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Figures that differ by less are the same one.
_EQUAL = 1e-9
_RESAMPLES = 2_000


def describe(values: np.ndarray, optimum: float | None = None) -> dict[str, Any]:
    """Mean, standard deviation (over the runs, ddof 0), quantiles; share of runs at the optimum.

    Args:
        values: one a run; NaN where a run has none. Those runs are left out of mean, standard deviation and quantiles,
            are counted (``without_result``), and count against the share.
        optimum: the table's best value; None where it is not known, and then the share is None.
    """
    known = values[np.isfinite(values)]
    places = np.quantile(known, QUANTILES) if len(known) else [np.nan] * len(QUANTILES)
    found: dict[str, Any] = {
        "mean": float(known.mean()) if len(known) else np.nan,
        "std": float(known.std()) if len(known) else np.nan,
        "quantiles": {f"{share:g}": float(value) for share, value in zip(QUANTILES, places, strict=True)},
        "without_result": len(values) - len(known),
        "optimum_rate": None,
    }
    if optimum is not None:
        found["optimum_rate"] = float((np.abs(values - optimum) <= _EQUAL).mean()) if len(values) else np.nan
    return found


def reached(counts: np.ndarray) -> dict[str, Any]:
    """How soon a value was reached: the share of runs that reached it, and quantiles over all runs (inf: never)."""
    places = np.quantile(counts, QUANTILES, method="higher") if len(counts) else [np.inf] * len(QUANTILES)
    return {
        "share": float(np.isfinite(counts).mean()) if len(counts) else 0.0,
        "quantiles": {f"{share:g}": float(value) for share, value in zip(QUANTILES, places, strict=True)},
    }


def series(limit: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … up to a limit (from 10, if it is more), and the limit itself."""
    steps = [factor * 10**power for power in range(8) for factor in (1, 2, 5)]
    return sorted({step for step in steps if min(10, limit) <= step < limit} | {limit})


def moments(found: Sequence[Trajectories], count: int = 8) -> list[float]:
    """Points in virtual time, evenly in its logarithm, from the first trials' ends to the last's."""
    ends = [run["ended"] for one in found for run in one.runs if len(run["ended"])]
    if not ends:
        return []
    first, last = max(float(np.median([end[0] for end in ends])), 1e-9), max(float(end[-1]) for end in ends)
    # Two digits are read more easily than the exact points.
    return sorted({float(f"{point:.2g}") for point in np.geomspace(first, max(last, first), count)})


def compare(a: Trajectories, b: Trajectories, evaluations: int | None = None) -> dict[str, Any]:
    """Whether ``a`` or ``b`` finds better trials: Mann–Whitney's test on the best after so many evaluations.

    Args:
        evaluations: how many ended trials (default: all of each run).

    Returns:
        ``p_value`` (two-sided), ``superiority`` (the chance that a run of ``a`` is better than one of ``b``, ties
        half), ``difference`` of the means, and ``interval``, its 95 % interval by bootstrap (fixed seed). A run that
        found nothing ranks below every run that found something; then means say nothing, and ``difference`` and
        ``interval`` are NaN. Runs of one seed may share their first draws; the test takes them as independent, which
        errs towards caution.
    """
    from scipy.stats import mannwhitneyu

    sign = a.objective.sign
    limit = evaluations or max((len(run["number"]) for run in (*a.runs, *b.runs)), default=1)
    left, right = (sign * one.after(limit) for one in (a, b))
    if not len(left) or not len(right):
        return {"p_value": np.nan, "superiority": np.nan, "difference": np.nan, "interval": [np.nan, np.nan]}
    left, right = (np.where(np.isfinite(side), side, -np.inf) for side in (left, right))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all values equal
        statistic, p_value = mannwhitneyu(left, right, alternative="two-sided")
    return {
        "p_value": 1.0 if np.isnan(p_value) else float(p_value),
        "superiority": float(statistic / (len(left) * len(right))),
        **_difference(sign * left, sign * right),
    }


def _difference(left: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Of the means, with its 95 % interval by bootstrap; NaN where a run has no figure."""
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return {"difference": np.nan, "interval": [np.nan, np.nan]}
    difference = float(left.mean() - right.mean())
    interval = (difference, difference)  # of single runs there is nothing to resample
    if min(len(left), len(right)) > 1:
        from scipy.stats import bootstrap

        interval = bootstrap(
            (left, right),
            lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
            n_resamples=_RESAMPLES,
            method="percentile",
            random_state=np.random.default_rng(0),  # so called before scipy 1.15, too
        ).confidence_interval
    # Adding 0 turns -0 into 0.
    return {"difference": difference + 0.0, "interval": [float(end) + 0.0 for end in interval]}


def at_evaluations(one: Trajectories, counts: Sequence[int]) -> dict[str, Any]:
    """By number of ended trials: ``describe`` of the best, and of the reported columns there."""
    return {str(count): _entry(one, partial(one.after, count)) for count in counts}


def at_moments(one: Trajectories, points: Sequence[float]) -> dict[str, Any]:
    """By virtual seconds, as ``at_evaluations``."""
    return {f"{point:g}": _entry(one, partial(one.at, point)) for point in points}


def at_end(one: Trajectories) -> dict[str, Any]:
    """Where the runs ended, and how many trials and virtual seconds they had (means)."""
    last = max((len(run["number"]) for run in one.runs), default=1)
    ended = [run["ended"][-1] if len(run["ended"]) else 0.0 for run in one.runs]
    return {
        **_entry(one, partial(one.after, last)),
        "evaluations": float(np.mean([len(run["number"]) for run in one.runs])),
        "seconds": float(np.mean(ended)),
    }


def _entry(one: Trajectories, values: Callable[[str], np.ndarray]) -> dict[str, Any]:
    prefix = "incumbent:"
    followed = [name.removeprefix(prefix) for name in one.runs[0] if name.startswith(prefix)] if one.runs else []
    return {
        **describe(values("incumbent"), one.optimum[one.objective.metric]),
        "reported": {name: describe(values(prefix + name), one.optimum.get(name)) for name in followed},
    }
