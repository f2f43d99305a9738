"""Asynchronous Hyperband: several ASHA brackets side by side, from an early first rung to no early stopping at all.

Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18(185)), algorithm 1,
made asynchronous as in Li et al. 2020 (arXiv:1810.05934), section 3.2: each bracket is ASHA with a grace period of its
own, and trials are dealt out to the brackets in the proportions that Hyperband gives them. It hedges the question that
ASHA answers once for all: how many steps tell a good trial from a bad one.

With ``s + 1`` rungs below each other in bracket ``s`` of ``s_max + 1``, Hyperband begins
``ceil((s_max + 1) / (s + 1) · reduction_factor^s)`` trials there; so many of each round go to it here, spread evenly.
A trial's bracket follows from its number alone.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from raynas.schedulers.rungs import Decision, GeometricRule, RuleSettings, Rungs

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on


class HyperbandRungs(GeometricRule):
    """Hyperband's brackets, each a ``Rungs``. ``grace_period`` is that of the bracket which stops earliest.

    Attributes:
        brackets: that bracket first; the last has the full budget as its only rung.
        round: the bracket of each trial of a round, by index.

    Example:
        >>> hyperband = HyperbandRungs(9, grace_period=1, reduction_factor=3)
        >>> [bracket.levels for bracket in hyperband.brackets], hyperband.round.count(0)
        ([(1, 3, 9), (3, 9), (9,)], 9)
    """

    def __init__(self, max_steps: int, **settings: Unpack[RuleSettings]) -> None:
        super().__init__(max_steps, **settings)
        factor = int(self.reduction_factor)
        self.brackets = tuple(
            Rungs(max_steps, mode=self.mode, grace_period=level, reduction_factor=factor) for level in self._levels
        )
        most = len(self._levels)
        self.round = _spread([-(-most * factor**s // (s + 1)) for s in reversed(range(most))])

    @property
    def expected_steps(self) -> float:
        return sum(self.brackets[index].expected_steps for index in self.round) / len(self.round)

    def bracket(self, trial: int) -> Rungs:
        """The bracket of a trial, by its number."""
        return self.brackets[self.round[trial % len(self.round)]]

    def record(self, trial: int, step: int, value: float) -> Decision:
        return self.bracket(trial).record(trial, step, value)

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        self.bracket(trial).replay(trial, step, value, decision)


def _spread(counts: list[int]) -> tuple[int, ...]:
    """Each index as often as its count, its places as evenly apart as they can be; of equals the lower index first."""
    places = sorted((Fraction(2 * n + 1, 2 * count), index) for index, count in enumerate(counts) for n in range(count))
    return tuple(index for _, index in places)
