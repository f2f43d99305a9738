"""What a search's latest trials have gained: the best so far against the number of trials.

The trials are cut into three equal parts, and the best value after each part is given. This is a fact, not a forecast:
on tables of measured networks, a gain in the last third said almost nothing about a gain in the next trials
(docs/benchmarks.md). Either way, as many trials again found a better one in about two searches of three. With random
draws without ties, this happens in one of two.

Values are compared only at one rung, the rung of the best trial. Trials that were stopped before it have not beaten it.
This is a pure function of the history, for everything that shows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raynas.journal.history import LOWEST, History

#: Fewer trials than these say nothing: the best of so few is found by luck alone.
ENOUGH_TRIALS = 9


@dataclass(frozen=True)
class RecentGain:
    """The best so far, and what the last third of the trials added to it.

    Attributes:
        points: ``(number of trials, best value after them)``; the last point is that of all trials.
        trials: how many trials the last part has.
        gain: how much they improved the best value, in the objective's unit; never negative.
    """

    points: tuple[tuple[int, float], ...]
    trials: int
    gain: float


def recent_gain(history: History) -> RecentGain | None:
    """What the last third of the trials has gained; None where it is too early to tell.

    A trial counts once it has ended, or waits at a rung, with a finite value. Trials that failed, and repeats of
    finalists, do not count. While every trial violates a constraint there is no best value.
    """
    best = history.best_trial
    if best is None or best.number in history.under_way or history.objective is None or not history.feasible(best):
        return None
    rung, _ = history.key(best)
    so_far: list[float] = []  # the best at that rung after each trial that counts, signed; -inf before the first
    counted: set[int] = set()
    for entry in history.judged:
        number, key = entry.number, entry.key
        if number in history.repeats or key == LOWEST or history.trials[number].state == "failed":
            continue
        if number not in counted:
            counted.add(number)
            so_far.append(so_far[-1] if so_far else -math.inf)
        if key[0] == rung:
            so_far[-1] = max(so_far[-1], key[1])
    part = len(so_far) // 3
    if len(so_far) < ENOUGH_TRIALS or so_far[-1 - part] == -math.inf:
        return None
    sign = history.objective.sign
    ends = (len(so_far) - 2 * part, len(so_far) - part, len(so_far))
    points = tuple((end, sign * so_far[end - 1]) for end in ends if so_far[end - 1] > -math.inf)
    return RecentGain(points, part, so_far[-1] - so_far[-1 - part])
