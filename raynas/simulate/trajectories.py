"""What simulated searches found, as one table: a line an ended trial, with the best trial so far beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.objectives.objective import Objective
from raynas.simulate.landscape import Landscape
from raynas.simulate.run import STATES, Run

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Trajectories:
    """The runs of one strategy on one number of workers.

    Attributes:
        strategy, workers: whose they are.
        objective: what was searched for.
        optimum: the table's best finite figure at the full budget, of the objective's metric and of the reported
            columns whose direction is known.
        seeds: one a run.
        runs: per run, arrays of one entry an ended trial, in the order of ending: ``number``, ``row``, ``state`` (index
            into ``run.STATES``), ``steps``, ``rung``, ``observed``, ``value``, ``started``, ``ended`` (virtual
            seconds), and of the best trial so far (by highest rung, then observed value) ``incumbent_row``,
            ``incumbent`` (its value without noise) and ``incumbent:<column>`` for each reported column; NaN and -1
            before the first.
        propose_seconds: real seconds spent in the searcher, over all runs; proposals: how many there were.
        recommended: after so many ended trials, the true value at the full budget of what the searcher recommended, one
            a seed (NaN: nothing). Empty unless it was asked.
    """

    strategy: str
    workers: int
    objective: Objective
    optimum: Mapping[str, float]
    seeds: tuple[int, ...]
    runs: tuple[Mapping[str, np.ndarray], ...]
    propose_seconds: float
    proposals: int
    recommended: Mapping[int, np.ndarray]

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        objective: Objective,
        landscape: Landscape,
        reported: Mapping[str, np.ndarray],
        *,
        modes: Mapping[str, str],
        strategy: str,
        workers: int,
    ) -> Trajectories:
        """From the clock's runs. ``modes``: ``"min"`` or ``"max"`` for the reported columns where it is known."""
        full = np.array([curve[-1] if len(curve) == landscape.max_steps else np.nan for curve in landscape.curves])
        optimum = {name: _best(reported[name], mode) for name, mode in modes.items()}
        optimum[objective.metric] = _best(full, objective.mode)
        return cls(
            strategy,
            workers,
            objective,
            optimum,
            tuple(run.seed for run in runs),
            tuple(_arrays(run, reported) for run in runs),
            sum(run.propose_seconds for run in runs),
            sum(len(run.number) for run in runs),
            {
                count: np.array([full[run.recommended[count]] if count in run.recommended else np.nan for run in runs])
                for count in sorted({count for run in runs for count in run.recommended})
            },
        )

    def after(self, evaluations: int, column: str = "incumbent") -> np.ndarray:
        """The best trial's figure after so many ended trials (all, where a run had fewer), one a seed."""
        return np.array(
            [run[column][min(evaluations, len(run[column])) - 1] if len(run[column]) else np.nan for run in self.runs]
        )

    def at(self, seconds: float, column: str = "incumbent") -> np.ndarray:
        """The best trial's figure after so many virtual seconds, one a seed."""
        places = [int(np.searchsorted(run["ended"], seconds, side="right")) for run in self.runs]
        return np.array(
            [run[column][place - 1] if place else np.nan for run, place in zip(self.runs, places, strict=True)]
        )

    def evaluations_to(self, value: float) -> np.ndarray:
        """How many ended trials it took until the best was as good as ``value``, one a seed; inf where it never was."""
        return self._first(value, None)

    def seconds_to(self, value: float) -> np.ndarray:
        """Virtual seconds until the best trial was as good as ``value``, one a seed; inf where it never was."""
        return self._first(value, "ended")

    def _first(self, value: float, column: str | None) -> np.ndarray:
        found = []
        for run in self.runs:
            with np.errstate(invalid="ignore"):
                there = np.flatnonzero(self.objective.sign * run["incumbent"] >= self.objective.sign * value)
            found.append(np.inf if not len(there) else there[0] + 1 if column is None else run[column][there[0]])
        return np.array(found, dtype=float)

    def table(self) -> pa.Table:
        """As one Arrow table, a row an ended trial, with ``strategy``, ``workers``, ``seed`` and ``evaluation``."""
        import pyarrow as pa

        lengths = [len(run["number"]) for run in self.runs]
        columns: dict[str, Any] = {
            "strategy": [self.strategy] * sum(lengths),
            "workers": np.full(sum(lengths), self.workers),
            "seed": np.repeat(np.array(self.seeds, dtype=np.int64), lengths),
            "evaluation": np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.array([], dtype=int)]),
        }
        for name in self.runs[0] if self.runs else ():
            columns[name] = np.concatenate([run[name] for run in self.runs])
        columns["state"] = np.array(STATES)[columns["state"]] if self.runs else []
        return pa.table(columns)


def write(found: Sequence[Trajectories], path: Path) -> None:
    """Writes trajectories as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.concat_tables([one.table() for one in found]), path)


def _best(values: np.ndarray, mode: str) -> float:
    """The best finite figure, NaN where there is none; a search takes an infinite one for a failure."""
    finite = values[np.isfinite(values)]
    return float("nan") if not len(finite) else float(finite.max() if mode == "max" else finite.min())


def _arrays(run: Run, reported: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    whole = ("number", "row", "state", "steps", "rung")
    arrays = {name: np.asarray(getattr(run, name), dtype=np.int64) for name in whole}
    arrays |= {name: np.asarray(getattr(run, name), dtype=float) for name in ("observed", "value", "started", "ended")}
    place = np.asarray(run.incumbent, dtype=np.int64)
    known = place >= 0
    arrays["incumbent_row"] = np.where(known, arrays["row"][place], -1) if len(place) else place
    arrays["incumbent"] = np.where(known, arrays["value"][place], np.nan) if len(place) else arrays["value"]
    for name, values in reported.items():
        arrays[f"incumbent:{name}"] = np.where(known, values[arrays["incumbent_row"]], np.nan)
    return arrays
