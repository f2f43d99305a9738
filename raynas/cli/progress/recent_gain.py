"""What a search's latest trials have gained, and what more would, in plain words."""

from __future__ import annotations

from raynas.journal import History
from raynas.journal.recent_gain import recent_gain
from raynas.report.wording import counted, shown

#: What as many trials again bring, measured (docs/benchmarks.md).
FORECAST = "as many trials again find a better one in about two searches of three"
#: Values that cannot be bettered, of what RayNAS measures itself.
_PERFECT = {"val_accuracy": 1.0, "val_loss": 0.0}


def gain_text(history: History) -> str:
    """``best 0.6100 after 10 trials, 0.6600 after 20, 0.6600 after 30: the last 10 gained nothing``; "" where it is
    too early to tell."""
    found = recent_gain(history)
    if found is None:
        return ""
    (first, value), *others = found.points
    text = f"best {shown(value)} after {counted(first, 'trial')}"
    text += "".join(f", {shown(value)} after {count:,}" for count, value in others)
    gained = shown(found.gain) if found.gain else "nothing"
    if found.gain and len({shown(value) for _, value in found.points[-2:]}) == 1:
        gained = "almost nothing"  # less than the digits show
    return f"{text}: the last {found.trials:,} gained {gained}"


def outlook_text(history: History) -> str:
    """The same, and what more time would bring; "" where it is too early to tell."""
    words, best, objective = gain_text(history), history.best_trial, history.objective
    if not words or best is None or objective is None:
        return ""
    perfect = history.value(best) == _PERFECT.get(objective.metric)
    return f"{words}; {'no value can be better' if perfect else FORECAST}"
