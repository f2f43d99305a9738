"""Asynchronous successive halving (ASHA), the promoting variant: a trial waits at each rung until it is called.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (MLSys, arXiv:1810.05934), algorithm 2, as
written there. Every trial that reaches a rung pauses. Whenever a worker is free, the rungs are looked through from the
highest down: the best paused trial of the top ``1 / reduction_factor`` of a rung goes on; where no rung has one, a new
trial begins. So nobody goes on for having come first, and a trial that was passed over may still be called when more
worse ones have arrived; the price is that a trial waits, and that its checkpoint is kept while it does.

"The top" is exact: of ``n`` trials at a rung, those in the first ``n // reduction_factor`` places (of equals the lower
number first). Trials that have left the rung, promoted or ended, keep their places.

Ray and the journal are not known here: the order of ``record``, ``promotable`` and ``leave`` is the only input, and
what was recorded and who has left are sets, so that replaying them needs no order.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from raynas.schedulers.rungs import Decision, GeometricRule, RuleSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

_Entry = tuple[float, int]  # the value with its sign turned so that less is better, and the trial


class PromotionRungs(GeometricRule):
    """ASHA by promotion (see the module). Rungs as in ``Rungs``.

    Example:
        >>> rungs = PromotionRungs(27, grace_period=3, reduction_factor=3)
        >>> [rungs.record(trial, 3, value).action for trial, value in enumerate([0.5, 0.4])], rungs.promotable()
        (['pause', 'pause'], None)
        >>> rungs.record(2, 3, 0.6).action, rungs.promotable()
        ('pause', 2)
    """

    pauses = True

    def __init__(self, max_steps: int, **settings: Unpack[RuleSettings]) -> None:
        super().__init__(max_steps, **settings)
        self._sign = -1.0 if self.mode == "max" else 1.0
        self._entries: dict[int, list[_Entry]] = {level: [] for level in self._levels}  # sorted, the best first
        self._paused: dict[int, list[_Entry]] = {level: [] for level in self._levels}  # of these; sorted
        self._place: dict[int, tuple[int, _Entry]] = {}  # paused trial to rung and entry
        self._decisions: dict[tuple[int, int], Decision] = {}

    def record(self, trial: int, step: int, value: float) -> Decision:
        known = self._decisions.get((trial, step))
        if known is not None:
            return known
        rung = self.rung(step)
        decision = self._fixed(step, value) or Decision("continue" if rung is None else "pause", None, rung)
        self._enter(trial, step, value, decision)
        return decision

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        if (trial, step) not in self._decisions:
            self.leave(trial)  # it was measured further on, so it had been promoted
            self._enter(trial, step, value, decision)

    def promotable(self) -> int | None:
        for level in reversed(self._levels):
            waiting, entries = self._paused[level], self._entries[level]
            if waiting and bisect_left(entries, waiting[0]) < len(entries) // int(self.reduction_factor):
                return waiting[0][1]
        return None

    def leave(self, trial: int) -> None:
        if trial in self._place:
            level, entry = self._place.pop(trial)
            waiting = self._paused[level]
            del waiting[bisect_left(waiting, entry)]

    def _enter(self, trial: int, step: int, value: float, decision: Decision) -> None:
        if self.rung(step) is None:
            return
        self._decisions[trial, step] = decision
        if not math.isfinite(value):
            return
        entry = (self._sign * value, trial)
        insort(self._entries[step], entry)
        if decision.action == "pause":
            insort(self._paused[step], entry)
            self._place[trial] = step, entry
