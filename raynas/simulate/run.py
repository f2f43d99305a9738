"""What a simulated search is limited by, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

#: How a trial can end, as stored in a run.
STATES = ("completed", "stopped", "failed")


@dataclass(frozen=True)
class Limits:
    """When a run ends, and on how many workers it runs.

    Attributes:
        trials: so many trials are proposed.
        seconds: virtual time; what has not ended by then does not count.
        workers: trials at a time.
        proposal_seconds: what a proposal takes, one at a time as in a real driver; None: nothing; ``-1``: what it
            really takes (then a run is not the same twice).
        default_first: trial 0 is the space's default, as in a real search.
        recommend_after: after so many ended trials the searcher is asked which one it recommends, if it has a method
            ``recommend(history) -> trial number or None``.
    """

    trials: int | None = None
    seconds: float | None = None
    workers: int = 1
    proposal_seconds: float | None = None
    default_first: bool = False
    recommend_after: tuple[int, ...] = ()


@dataclass
class Run:
    """What happened, one entry an ended trial, in the order of ending.

    Attributes:
        number, row: the trial, and the table's row that it looked up.
        state: index into ``STATES``.
        steps: steps measured; rung: the highest rung reached (0: none).
        observed: the objective at that rung, noise included (NaN: none); value: without the noise.
        started, ended: virtual seconds.
        incumbent: the position in this list of the best trial so far, by (rung, observed); -1 before the first.
        propose_seconds: real seconds spent in the searcher, in all.
        exhausted: whether there was nothing left to propose.
        recommended: after so many ended trials, the row of the trial that the searcher recommended then.
    """

    seed: int
    number: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    rung: list[int] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    incumbent: list[int] = field(default_factory=list)
    propose_seconds: float = 0.0
    exhausted: bool = False
    recommended: dict[int, int] = field(default_factory=dict)
