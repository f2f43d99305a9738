"""What MLflow costs a search, and how far behind it is: ``make bench-mlflow``.

Rounds of three searches in one process on one Ray (trivial trainable, 2 workers): without MLflow, with the tracker on
SQLite, and with the tracker on an ``mlflow server`` over HTTP (on SQLite, one worker). The rate counts from the first
proposal to the session's end. Then the journal of such a search is written into an empty SQLite store with nothing
beside it. Prints Markdown; no figure here is a test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas.engine.cluster import cluster
from raynas.tracking import sync
from raynas.tracking.position import load_position
from raynas.tracking.ui import start_ui

WORKERS = 2
STEPS = 3


@dataclass(frozen=True)
class Figures:
    """``lag``: events not in MLflow when the session ended; ``catch_up``: events a second from then on."""

    trials_per_second: float
    lag: int = 0
    catch_up: float = 0.0


def one_search(trials: int, home: Path, name: str, **tracking: Any) -> Figures:
    """A search, watched to the moment when all of it is in MLflow."""
    import raynas
    from raynas.evaluators.synthetic import Synthetic

    times: dict[str, float] = {}
    lag = 0

    def watch(event: dict[str, Any]) -> None:
        nonlocal lag
        times.setdefault(event["event"], time.perf_counter())
        if event["event"] == "session_ended":
            position = load_position(home / name)
            lag = event["seq"] - (-1 if position is None else position.seq)

    raynas.search(
        "resnet",
        evaluator=Synthetic(steps=STEPS),
        grace_period=STEPS,
        trials=trials,
        workers=WORKERS,
        name=name,
        home=home,
        progress=watch,
        **tracking,
    )
    rate = trials / (times["session_ended"] - times["trial_proposed"])
    if tracking.get("mlflow") is False:
        return Figures(rate)
    while not (position := load_position(home / name)) or not position.closed:
        time.sleep(0.05)
    return Figures(rate, lag, lag / (time.perf_counter() - times["session_ended"]))


def write_rate(home: Path, name: str) -> tuple[int, float]:
    """Events, and events a second, of one journal into an empty store, MLflow's import and new tables not counted."""
    from raynas.tracking.store import open_store

    uri = f"sqlite:///{home / 'empty.db'}"
    open_store(uri)
    report = sync(home / name, uri)
    return report.events, report.events / report.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=300)
    arguments = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    found: dict[str, list[Figures]] = {"without MLflow": [], "SQLite": [], "HTTP server": []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch, cluster(WORKERS, None):
        home = Path(scratch)
        server = start_ui(f"sqlite:///{home / 'server' / 'mlflow.db'}")
        try:
            for index in range(arguments.rounds):
                ways: dict[str, dict[str, Any]] = {
                    "without MLflow": {"mlflow": False},
                    "SQLite": {"tracking_uri": f"sqlite:///{home / 'mlflow.db'}"},
                    "HTTP server": {"tracking_uri": server.address},
                }
                for way, tracking in ways.items():
                    figures = one_search(arguments.trials, home, f"{way.split()[0].lower()}-{index}", **tracking)
                    found[way].append(figures)
                    print(f"round {index}, {way}: {figures}", file=sys.stderr, flush=True)
        finally:
            server.stop()
        events, rate = write_rate(home, "without-0")
    base = [figures.trials_per_second for figures in found["without MLflow"]]
    print(f"{os.cpu_count()} CPUs, load average {load:.1f} before; {arguments.trials} trials x {STEPS} results\n")
    print("| median (min to max) | trials/s | of the rate without | events behind at the end | caught up, events/s |")
    print("| --- | --- | --- | --- | --- |")
    for way, several in found.items():
        rates = [figures.trials_per_second for figures in several]
        shares = [rate / without for rate, without in zip(rates, base, strict=True)]
        cells = [spread(rates, ".1f"), spread(shares, ".0%")]
        tracked = way != "without MLflow"
        cells.append(spread([figures.lag for figures in several], ".0f") if tracked else "")
        cells.append(spread([figures.catch_up for figures in several], ".0f") if tracked else "")
        print(f"| {way} | " + " | ".join(cells) + " |")
    print(f"\nA journal of {events} events into an empty SQLite store, nothing beside it: {rate:.0f} events/s")


def spread(values: list[float] | list[int], form: str) -> str:
    """Median, and the extremes."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
