"""What a search decided from its time, in two or three lines for people."""

from __future__ import annotations

from raynas.durations import format_duration, rounded_up
from raynas.engine.time_plan.budget import LEAST_TRIALS


def plan_lines(
    *,
    trials: int,
    seconds: float,
    epochs: int | None,
    workers: int,
    size: tuple[int, int] | None,
    batch_size: int,
    passes: float,
    larger: tuple[tuple[int, int], float] | None,
    more_time: float | None,
) -> list[str]:
    """The plan.

    Args:
        trials: expected in all.
        seconds: of training, a trial's full budget.
        epochs: the same where the budget is in epochs; else None.
        workers: trials at the same time.
        size: height and width of the pictures, where they were chosen.
        batch_size: samples a step.
        passes: how often the space's default sees the data in a trial.
        larger: a larger size that was weighed, and how often the default as it is would see the data then.
        more_time: seconds that would do for more trials, where there are few.
    """
    line = f"about {trials} trial{'' if trials == 1 else 's'} of "
    line += f"{epochs} epochs each ({about(seconds)} of training)" if epochs else f"{about(seconds)} of training each"
    line += f", {workers} at a time" if workers > 1 else ""
    line += f"; pictures at {size[0]}x{size[1]}" if size else ""
    line += f", batches of {batch_size}"
    line += "" if epochs else f"; the space's default sees {seen(passes)} in that"
    lines = [line]
    if more_time is not None:
        lines.append(f"that is few to learn from: for {LEAST_TRIALS} trials give --time {rounded_up(more_time)}")
    options = "--image-size, --trial-time and --epochs decide" if size else "--trial-time and --epochs decide"
    weighed = ""
    if larger is not None:
        (height, width), there = larger
        weighed = f"at {height}x{width} the default in its full size would see {seen(there)}; "
    return [*lines, f"{weighed}{options} otherwise"]


def seen(passes: float) -> str:
    """How much of the data is seen."""
    if passes < 0.95:
        return f"{passes:.0%} of the data"
    return "the data once" if passes < 1.5 else f"the data {passes:.0f} times"


def about(seconds: float) -> str:
    """A short time: ``0.5 s``, ``51 s``, ``12m00s``."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 100 else format_duration(seconds)
