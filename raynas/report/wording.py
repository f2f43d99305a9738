"""Figures, counts and paths in a reader's words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raynas.report.search_report import TrialReport


def shown(value: float | None) -> str:
    """A figure in four digits, or a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"


def near(path: Path) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def counted(number: int, what: str) -> str:
    """A number of things: ``1 trial``, ``2,000 trials``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def big(number: float) -> str:
    """A count for a reader: ``999``, ``12.3k``, ``4.56M``; a smaller figure in three digits."""
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def plan_lines(lines: Sequence[str]) -> list[str]:
    """What a search decided from its time, a line each; the first one says what they are."""
    return [line if number else f"plan: {line}" for number, line in enumerate(lines)]


def format_flops(flops: float) -> str:
    """FLOPs for a reader: ``12.3 MFLOPs``."""
    text = big(round(flops))
    return f"{text} FLOPs" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}FLOPs"


def brief(value: Any) -> str:
    """A hole's value for a table: floats in four digits."""
    text = str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > 8 else text


def format_size(size: str, exact: bool = True) -> str:
    """A space's size for a reader: ``15,625``, ``about 3.1e15``, ``at least 3.1e15``, ``infinitely many``."""
    if size == "inf":
        return "infinitely many"
    words = f"{int(size):,}" if len(size) <= 9 else f"{size[0]}.{size[1]}e{len(size) - 1}"
    if not exact:
        return f"at least {words}"
    return words if len(size) <= 9 else f"about {words}"


def steps_text(trial: TrialReport) -> str:
    """The steps at which a trial's value was measured and, where it was trained on since, how many it had."""
    at = trial.steps if trial.step is None else trial.step
    return str(at) if at == trial.steps else f"{at} (of {trial.steps})"


def state_text(state: str, search_status: str) -> str:
    """A trial's state before people: nothing runs where the search does not."""
    return "to go on with" if state in ("proposed", "running") and search_status != "running" else state
