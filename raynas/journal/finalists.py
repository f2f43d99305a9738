"""Finalists: the leading networks of a search, trained again with other seeds, and how good they are by that.

Of many noisy values, the best observed one is partly luck (the winner's curse). It promises too much, and not equally
much for each network. So a finalist is judged by its repeats alone, without the value that made it a finalist. If
repeats failed and only one is left, this single value is partly luck again, and the network ranks behind the others.
Everything here is a function of the history, so a resumed search continues with the same repeats.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raynas.journal.history import LOWEST, History, TrialRecord

#: How often a finalist is trained again where nothing else is said.
DEFAULT_REPEATS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Finalist:
    """A network that was trained again.

    Attributes:
        original: the trial that made it a finalist.
        repeats: its repeats with the full budget, by number.
        values: the objective in each of them.
        mean: of the values.
        interval: the 95 % interval of the mean (Student's t), with one variance for all finalists, estimated within
            each of them; None if no finalist was repeated twice.
        failed: how many of its repeats failed, or ended without a finite value.
    """

    original: TrialRecord
    repeats: tuple[TrialRecord, ...]
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    failed: int = 0

    @property
    def settled(self) -> bool:
        """Whether its mean may rank it: not where repeats failed and a single one is left."""
        return not self.failed or len(self.values) > 1

    def trial(self, history: History) -> TrialRecord:
        """The network's trial to take, whose weights are kept: the best observed of all, or else its best repeat."""
        if self.original == history.best_trial:
            return self.original
        return max(self.repeats, key=lambda record: (history.key(record), -record.number))


def leaders(history: History, count: int) -> list[TrialRecord]:
    """The best trials of so many different networks, the best first; with the full budget, if there are any.

    Networks that violate a constraint are left out where any does not.
    """
    ranked = history.best(len(history.trials))
    ranked = [record for record in ranked if history.feasible(record)] or ranked
    ranked = [record for record in ranked if record.state == "completed"] or ranked
    by_network: dict[str, TrialRecord] = {}
    for record in ranked:
        by_network.setdefault(record.network_id, record)
    return list(by_network.values())[:count]


def next_repeat(history: History, count: int, repeats: int) -> tuple[TrialRecord, int] | None:
    """Which trial is trained again next, and the how manieth time; None where all is done.

    To be asked when every trial of the search has ended. All finalists have their first repeat before one has its
    second, so that a time limit leaves them comparable.
    """
    begun = {(history.trials[number].repeat_of, history.trials[number].repeat) for number in history.repeats}
    chosen = leaders(history, count) if count else []
    missing = ((record, turn) for turn in range(1, repeats + 1) for record in chosen)
    return next(((record, turn) for record, turn in missing if (record.number, turn) not in begun), None)


def finalists(history: History) -> list[Finalist]:
    """The networks that were trained again and have a figure from it: the settled ones first, then the best mean.

    A network that violates a constraint comes after all that do not.
    """
    groups: dict[int, list[TrialRecord]] = {}
    failed: Counter[int] = Counter()
    for number in sorted(history.repeats):
        record = history.trials[number]
        assert record.repeat_of is not None
        if record.state == "completed" and history.key(record) > LOWEST:
            groups.setdefault(record.repeat_of, []).append(record)
        else:
            failed[record.repeat_of] += record.terminal
    values = {of: [float(history.value(record) or 0.0) for record in group] for of, group in groups.items()}
    means = {of: sum(group) / len(group) for of, group in values.items()}
    half = _half_widths(list(values.values()))
    found = [
        Finalist(
            history.trials[of],
            tuple(groups[of]),
            tuple(values[of]),
            means[of],
            None if half is None else (means[of] - half[place], means[of] + half[place]),
            failed[of],
        )
        for place, of in enumerate(groups)
    ]
    sign = history.objective.sign if history.objective else 1

    def place(one: Finalist) -> tuple[bool, bool, float, int]:
        return not history.feasible(one.original), not one.settled, -sign * one.mean, one.original.number

    return sorted(found, key=place)


def _half_widths(groups: Sequence[Sequence[float]]) -> list[float] | None:
    """Half the interval of each group's mean; None without a degree of freedom."""
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < 1:
        return None
    from scipy.special import stdtrit

    squares = sum((value - sum(group) / len(group)) ** 2 for group in groups for value in group)
    quantile = float(stdtrit(freedom, (1 + _CONFIDENCE) / 2))
    return [quantile * math.sqrt(squares / freedom / len(group)) for group in groups]
