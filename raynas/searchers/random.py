"""Random search: every trial is an independent draw. This is the baseline that every other strategy has to beat.

Li & Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search" (UAI, arXiv:1902.07638).
"""

from __future__ import annotations

from raynas.journal.history import History
from raynas.searchers.searcher import ArchitectureSearcher, Proposal


class RandomSearcher(ArchitectureSearcher):
    """Draws each architecture from the space, and none twice.

    Example:
        >>> searcher = RandomSearcher(space, seed=1)
        >>> searcher.propose(history, number=7).architecture
    """

    def propose(self, history: History, number: int) -> Proposal | None:
        return self.fresh(history, self.rng(number), self.random_draw)
