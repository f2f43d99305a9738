"""What a search's latest trials have gained, and what more would, in plain words."""

from __future__ import annotations

from raynas.journal.recent_gain import RecentGain
from raynas.objectives.objective import Objective
from raynas.report.wording import counted, shown

#: What as many trials again bring, measured (docs/benchmarks.md).
FORECAST = "as many trials again find a better one in about two searches of three"
#: Values that cannot be bettered, of what RayNAS measures itself.
_PERFECT = {"val_accuracy": 1.0, "val_loss": 0.0}


def gain_text(found: RecentGain | None) -> str:
    """``best 0.6100 after 10 trials, 0.6600 after 20, 0.6600 after 30: the last 10 gained nothing``; "" where it is
    too early to tell."""
    if found is None:
        return ""
    (first, value), *others = found.points
    text = f"best {shown(value)} after {counted(first, 'trial')}"
    text += "".join(f", {shown(value)} after {count:,}" for count, value in others)
    gained = shown(found.gain) if found.gain else "nothing"
    if found.gain and len({shown(value) for _, value in found.points[-2:]}) == 1:
        gained = "almost nothing"  # less than the digits show
    return f"{text}: the last {found.trials:,} gained {gained}"


def outlook_text(found: RecentGain | None, best: float | None, objective: Objective) -> str:
    """The same, and what more time would bring; "" where it is too early to tell.

    Args:
        found: what the latest trials have gained.
        best: the best value so far.
        objective: what it is a value of.
    """
    words = gain_text(found)
    if not words or best is None:
        return ""
    perfect = best == _PERFECT.get(objective.metric)
    return f"{words}; {'no value can be better' if perfect else FORECAST}"
