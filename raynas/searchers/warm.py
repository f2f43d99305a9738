"""What becomes of a warm start's architectures: measurements of an earlier search, which teach a new one.

Any strategy sees them in its history, as trials that ended before trial 0, under numbers below 0. They count as seen,
so none is proposed again, with two exceptions made here: the best of them is trained as trial 1, since a search's
result is a trial of its own, with weights; and where a strategy finds nothing else, the others follow, best first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from raynas.journal.history import History, TrialRecord
from raynas.searchers.threads import one_blas_thread

if TYPE_CHECKING:
    from raynas.searchers.searcher import Proposal


class _Proposer(Protocol):
    def propose(self, history: History, number: int) -> Any: ...


def proposed(searcher: _Proposer, history: History, number: int) -> Proposal | None:
    """The proposal for trial ``number``, which is not the first: the strategy's, but for a warm start's architectures.

    Args:
        history: as searchers see it (``History.for_searchers``).

    Returns:
        None where nothing is left to propose.
    """
    if sum(known >= 0 for known in history.trials) == 1:
        best = _best(history, set())
        if best is not None and best.trial_id not in _own(history):
            return _again(best)
    with one_blas_thread():
        found: Proposal | None = searcher.propose(history, number)
    if found is None:
        left = _best(history, _own(history))
        return None if left is None else _again(left)
    return found


def _own(history: History) -> set[str]:
    """The trial ids that this search has proposed itself."""
    return {record.trial_id for number, record in history.trials.items() if number >= 0}


def _best(history: History, without: set[str]) -> TrialRecord | None:
    """The best of the warm start's architectures; of equals the earlier."""
    earlier = [record for number, record in history.trials.items() if number < 0 and record.trial_id not in without]
    return max(earlier, key=lambda record: (history.key(record), -record.number), default=None)


def _again(record: TrialRecord) -> Proposal:
    from raynas.searchers.searcher import Proposal

    return Proposal(record.architecture, record.trial_id, record.network_id, record.origin)
