"""The architectures of a warm start: an earlier search measured them, and the new one learns from them.

Every strategy sees them in its history, as trials that ended before trial 0, under numbers below 0. They count as seen,
so none is proposed again, with two exceptions that are made here. The best of them is trained as trial 1, because the
result of a search must be a trial of its own, with weights. And if a strategy finds nothing else, the others follow,
best first.
"""

from __future__ import annotations

from raynas.journal.history import History, TrialRecord
from raynas.searchers.proposal import Proposal, Proposer
from raynas.searchers.threads import one_blas_thread


def proposed(searcher: Proposer, history: History, number: int) -> Proposal | None:
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
        found = searcher.propose(history, number)
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
    return Proposal(record.architecture, record.trial_id, record.network_id, record.origin)
