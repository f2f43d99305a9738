"""A picture of trajectories: the mean of the best so far with its quartiles, by evaluations and by virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raynas.errors import UserError
from raynas.simulate.trajectories import Trajectories

_POINTS = 200


def plot(found: Sequence[Trajectories], path: Path) -> None:
    """Draws to a file; its ending says how (``.png``, ``.svg``, ``.pdf``).

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("a plot needs matplotlib, which is not installed; pip install 'raynas[plot]'") from None
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    by_count, by_time = figure.subplots(1, 2, sharey=True)
    several = len({one.workers for one in found}) > 1
    ends = [run["ended"] for one in found for run in one.runs if len(run["ended"])]
    first = max(min((float(end[0]) for end in ends), default=1.0), 1e-9)
    last = max((float(end[-1]) for end in ends), default=1.0)
    points = np.geomspace(first, max(last, first * 1.001), _POINTS)
    for one in found:
        label = f"{one.strategy}, {one.workers} workers" if several else one.strategy
        most = max((len(run["number"]) for run in one.runs), default=1)
        counts = np.unique(np.linspace(1, most, min(most, _POINTS)).astype(int))
        _curve(by_count, counts, [one.after(int(count)) for count in counts], label)
        _curve(by_time, points, [one.at(float(point)) for point in points], label)
    by_count.set(xlabel="evaluations", ylabel=f"{found[0].objective.metric}, best so far")
    by_time.set(xlabel="virtual seconds", xscale="log")
    by_count.legend()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"the plot cannot be written to {str(path)!r}: {error}") from None


def _curve(axes: object, x: np.ndarray, values: list[np.ndarray], label: str) -> None:
    """The mean over the runs, and the middle half of them; points that some run has not reached are left out."""
    known = [bool(np.isfinite(value).all()) for value in values]
    kept = np.array([value for value, there in zip(values, known, strict=True) if there])
    if not len(kept):
        return
    where = x[np.array(known)]
    (line,) = axes.plot(where, kept.mean(axis=1), label=label)  # type: ignore[attr-defined]
    low, high = np.quantile(kept, (0.25, 0.75), axis=1)
    axes.fill_between(where, low, high, color=line.get_color(), alpha=0.2, linewidth=0)  # type: ignore[attr-defined]
