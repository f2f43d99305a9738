"""What more trials bring, by what the latest have brought: whether the display may say more than facts.

    python -m tests.bench.more_trials            (RAYNAS_DATA: the tables of measured networks)

Searches in virtual time, two workers. After so many trials: did the last third gain (``recent_gain``, the search's own
rule)? And did as many trials again find a better one at the rung of the best?
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from pathlib import Path
from typing import Any

from raynas.journal import History
from raynas.journal.recent_gain import recent_gain
from raynas.simulate import read_table, space_of_table
from raynas.simulate.experiment import Experiment

TABLES: dict[str, dict[str, Any]] = {
    "nasbench201_cifar10": {"space": "nasbench201", "metric": "valid_accuracy_12", "scheduler": "none"},
    "spikenasbench_cifar10_curves": {"holes": "6x5", "metric": "valid_accuracy", "scheduler": "asha"},
}
STRATEGIES = ("random", "evolution", "tpe")
AFTER = (9, 15, 30)
SEEDS = 100


def history(run: dict[str, Any], count: int) -> History:
    """The first trials of a simulated run as a search's history."""
    told: list[dict[str, Any]] = [{"event": "search_started", "objective": {"metric": "value", "mode": "max"}}]
    for number, rung, value in zip(range(count), run["rung"], run["observed"], strict=False):
        ids = {"architecture": {}, "trial_id": str(number), "network_id": str(number)}
        told.append({"event": "trial_proposed", "trial": number, **ids})
        measured = {"trial": number, "step": rung or 1, "rung": rung or None, "metrics": {"value": value}}
        told.append({"event": "measured", **measured, "decision": "stop", "stop_reason": "budget"})
    return History.from_events(told)


def best_at(run: dict[str, Any], rung: int, count: int) -> float:
    pairs = zip(run["rung"][:count], run["observed"][:count], strict=True)
    return max((value for at, value in pairs if at == rung and not math.isnan(value)), default=-math.inf)


def main() -> None:
    data = os.environ.get("RAYNAS_DATA")
    if not data:
        sys.exit("set RAYNAS_DATA to the folder of the tables")
    print(f"{'table':30}{'strategy':11}{'after':>6}   last third gained: runs, better    gained nothing: runs, better")
    total: dict[str, dict[bool, list[bool]]] = {key: {True: [], False: []} for key in (*STRATEGIES, "all")}
    for name, what in TABLES.items():
        table = read_table(Path(data) / f"{name}.parquet")
        space = space_of_table(table, what.get("space"), holes=what.get("holes"))
        for strategy in STRATEGIES:
            experiment = Experiment(
                [strategy], what["metric"], schedulers=[what["scheduler"]], workers=[2],
                trials=2 * max(AFTER), seeds=range(SEEDS),
            )  # fmt: skip
            (found,) = experiment.run(table, space)
            for count in AFTER:
                better: dict[bool, list[bool]] = {True: [], False: []}
                for run in found.runs:
                    known = history(run, count)
                    gain, best = recent_gain(known), known.best_trial
                    if gain is None or best is None:
                        continue
                    rung = known.key(best)[0]
                    better[gain.gain > 0].append(best_at(run, rung, 2 * count) > best_at(run, rung, count))
                tell(f"{name:30}{strategy:11}{count:>6}", better)
                for key, gained in itertools.product((strategy, "all"), better):
                    total[key][gained] += better[gained]
    for key, better in total.items():
        tell(f"{key:47}", better)


def tell(head: str, better: dict[bool, list[bool]]) -> None:
    words = [f"{len(found)}  {sum(found) / max(1, len(found)):.0%}" for found in (better[True], better[False])]
    print(f"{head}   {words[0]:>28}   {words[1]:>28}", flush=True)


if __name__ == "__main__":
    main()
