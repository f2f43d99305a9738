"""What a search proposes beside its strategy, and in its place: the architectures of a warm start, and no others than
those that keep the constraints.

An earlier search measured the architectures of a warm start, and the new one learns from them. Every strategy sees them
in its history, as trials that ended before trial 0, under numbers below 0. They count as seen, so none is proposed
again, with two exceptions that are made here. The best of them is trained as trial 1, because the result of a search
must be a trial of its own, with weights. And if a strategy finds nothing else, the others follow, best first. Those
that break a constraint of this search are learned from, and never proposed.

A strategy that draws with ``ArchitectureSearcher.fresh`` proposes nothing that breaks a constraint. One that does not
is asked again here, with its proposal among those that were seen.
"""

from __future__ import annotations

import copy

from raynas.errors import SpecError
from raynas.journal.history import History, TrialRecord
from raynas.searchers.admission import Admission
from raynas.searchers.proposal import Proposal, Proposer
from raynas.searchers.threads import one_blas_thread

#: So often a strategy is asked for one proposal while all that it names breaks a constraint.
_ASKED = 100


class AlwaysInfeasible(SpecError):
    """A strategy proposes only what breaks a constraint."""


def proposed(
    searcher: Proposer, history: History, number: int, admission: Admission | None = None, *, begins: int = 1
) -> Proposal | None:
    """The proposal for trial ``number``, but for the space's default: the strategy's, or a warm start's.

    Args:
        searcher: the strategy.
        history: as searchers see it (``History.for_searchers``).
        number: of the trial.
        admission: knows which architectures keep the constraints (None: there are none).
        begins: how many trials come before the best of the warm start: 1, the default; 0 where that is left out.

    Returns:
        None where nothing is left to propose.

    Raises:
        AlwaysInfeasible: the strategy names only what breaks a constraint.
    """
    if sum(known >= 0 for known in history.trials) == begins:
        best = _best(history, set(), admission)
        if best is not None and best.trial_id not in _own(history):
            return best
    with one_blas_thread():
        found = _feasible(searcher, history, number, admission)
    return _best(history, _own(history), admission) if found is None else found


def _feasible(searcher: Proposer, history: History, number: int, admission: Admission | None) -> Proposal | None:
    """The strategy's proposal; asked again, as if it had been tried, where it breaks a constraint."""
    found = searcher.propose(history, number)
    if found is None or admission is None or admission.violation(found) == 0:
        return found
    told = copy.copy(history)
    told.seen = set(history.seen)
    for _ in range(_ASKED):
        told.seen.add(found.trial_id)
        found = searcher.propose(told, number)
        if found is None or admission.violation(found) == 0:
            return found
    limits = " and ".join(map(str, admission.constraints))
    raise AlwaysInfeasible(
        f"the strategy proposes for trial {number} only networks that break {limits}; let it draw with "
        "self.fresh(history, rng, draw), which refuses them (docs/own/searcher.py)"
    )


def _own(history: History) -> set[str]:
    """The trial ids that this search has proposed itself."""
    return {record.trial_id for number, record in history.trials.items() if number >= 0}


def _best(history: History, without: set[str], admission: Admission | None) -> Proposal | None:
    """The best of the warm start's architectures that keep the constraints; of equals the earlier."""
    earlier = [record for number, record in history.trials.items() if number < 0 and record.trial_id not in without]
    for record in sorted(earlier, key=lambda record: (history.key(record), -record.number), reverse=True):
        again = _again(record)
        if admission is None or admission.violation(again) == 0:
            return again
    return None


def _again(record: TrialRecord) -> Proposal:
    return Proposal(record.architecture, record.trial_id, record.network_id, record.origin)
