"""How well strategies search, on tables of measured networks: ``make bench-search``.

    python -m tests.bench.search [PART …] [--seeds 200] [--slow-seeds 20] [--strategies random,evolution,…]

Parts: nasbench201, macro, spike, crowd (16 workers), protocol (the paper's 20,000 s), curves and nlp (early stopping),
noise, winner (who is picked under noise), scaling (1 to 1,024 workers), charged (proposals take their time),
proposals (what one costs late in a search), speed (the simulator's own). Prints Markdown for docs/benchmarks.md. The
tables lie in ``$RAYNAS_DATA``. Slow strategies and peers run with fewer seeds. Seeds count from ``--first``. Peers of
other libraries (see ``foreign``) run where ``--environments`` has them; some take seconds a proposal: ``--trials 100``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from raynas import registry
from raynas.objectives.objective import Objective
from raynas.schedulers.hyperband import HyperbandRungs
from raynas.schedulers.promotion import PromotionRungs
from raynas.schedulers.rungs import FullBudget, Rungs
from raynas.simulate import Faults, Table, TableSpace, Trajectories, read_table, simulate, space_of_table
from tests.bench.foreign import SEARCHES
from tests.bench.proposals import made_up, show, tabled, timed
from tests.bench.search_peers import Foreign, OptunaTPE, RandomWithRepeats, RayAsha, RayOptuna
from tests.bench.structures import LARGE

OURS = ("random", "evolution", "local", "reinforce", "tpe", "predictor", "auto")
SLOW = {"tpe", "Optuna TPE", *SEARCHES}
#: The sizes with which evolution was measured from the start on.
OPTIONS: dict[str, dict[str, Any]] = {"evolution": {"population": 30, "sample": 10}}
PEERS: dict[str, Any] = {"random, repeats": RandomWithRepeats, "Optuna TPE": OptunaTPE}

TABLES: dict[str, tuple[str, dict[str, str], str]] = {
    "nasbench201": ("nasbench201_cifar10.parquet", {"space": "nasbench201"}, "test_accuracy"),
    "macro": ("nasbench_macro_cifar10.parquet", {"space": "nasbench_macro"}, "test_accuracy"),
    "spike": ("spikenasbench_cifar10_curves.parquet", {"holes": "6x5"}, "last(valid_accuracy)"),
    "nlp": ("nasbench_nlp_wikitext2.parquet", {}, "val_loss"),
}


@lru_cache
def loaded(name: str) -> tuple[Table, TableSpace, str]:
    file, how, metric = TABLES[name]
    table = read_table(Path(os.environ.get("RAYNAS_DATA", "")) / file)
    return table, space_of_table(table, **how), metric  # type: ignore[arg-type]


class Bench:
    """The settings of one call."""

    def __init__(
        self,
        seeds: int,
        slow_seeds: int,
        strategies: Iterable[str],
        processes: int | None,
        first: int = 0,
        trials: int = 200,
    ) -> None:
        self.seeds, self.slow_seeds, self.processes = seeds, slow_seeds, processes
        self.first, self.trials = first, trials
        self.strategies = list(strategies)

    def run(
        self,
        table: str,
        strategy: str,
        *,
        metric: str | None = None,
        mode: Any = "max",
        seeds: int | None = None,
        **more: Any,
    ) -> Trajectories:
        """One of our strategies or a peer on a table."""
        rows, space, usual = loaded(table)
        metric = metric or usual
        count = seeds or (self.slow_seeds if strategy in SLOW else self.seeds)
        began = time.perf_counter()
        found = simulate(
            factory(strategy, metric, mode, more.get("trials")), rows, space=space, metric=metric, mode=mode,
            strategy=strategy, seeds=range(self.first, self.first + count), processes=self.processes,
            **more,
        )  # fmt: skip
        print(f"({table}, {strategy}: {time.perf_counter() - began:.0f} s)", file=sys.stderr)
        return found


def factory(strategy: str, metric: str, mode: str, trials: int | None) -> Callable[[TableSpace, int], Any]:
    """Makes a strategy's searcher as a real search does, or a peer."""
    peer = {**PEERS, "Ray OptunaSearch": RayOptuna}.get(strategy)
    if peer is not None:
        return lambda space, seed: peer(space, seed, metric, mode)
    made = registry.find("raynas.strategies", strategy)
    options = {**made.options(trials), **OPTIONS.get(strategy, {})}
    objective = Objective(metric, mode)  # type: ignore[arg-type]
    return lambda space, seed: made(space, seed=seed, objective=objective, **options)


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def head(title: str, *columns: str) -> None:
    print(f"\n### {title}\n")
    row(*columns)
    row(*("---" for _ in columns))


def share(found: Trajectories, evaluations: int) -> str:
    best = found.optimum[found.objective.metric]
    return f"{np.mean(np.abs(found.after(evaluations) - best) < 1e-9):.0%}"


def until(counts: np.ndarray) -> str:
    places = np.quantile(counts, (0.5, 0.95), method="higher")
    return " / ".join("never" if np.isinf(place) else f"{place:,.0f}" for place in places)


def sequential(bench: Bench, table: str, title: str, workers: int = 1) -> None:
    counts = [count for count in (50, 100, 200) if count <= bench.trials]
    columns = [f"after {count}" for count in counts] + [f"at the best after {count}" for count in counts]
    head(title, "strategy", "runs", *columns, "evaluations to it, median / 95 %", "ms a proposal")
    for strategy in [*bench.strategies, *(PEERS if workers == 1 else ())]:
        found = bench.run(table, strategy, trials=bench.trials, workers=workers)
        means = [f"{found.after(count).mean():.3f}" for count in counts]
        shares = [share(found, count) for count in counts]
        target = until(found.evaluations_to(found.optimum[found.objective.metric] - 1e-9))
        proposal = f"{1000 * found.propose_seconds / found.proposals:.2f}"
        row(strategy, len(found.seeds), *means, *shares, target, proposal)


def nasbench201(bench: Bench) -> None:
    sequential(bench, "nasbench201", "NAS-Bench-201, CIFAR-10, test accuracy, one worker (best 94.373)")


def macro(bench: Bench) -> None:
    sequential(bench, "macro", "NAS-Bench-Macro, test accuracy, one worker (best 93.127)")


def spike(bench: Bench) -> None:
    sequential(bench, "spike", "SpikeNASBench, validation accuracy of the last epoch, one worker (best 88.928)")


def crowd(bench: Bench) -> None:
    for table, title in (("nasbench201", "NAS-Bench-201"), ("macro", "NAS-Bench-Macro"), ("spike", "SpikeNASBench")):
        sequential(bench, table, f"{title}, 16 workers", workers=16)


def protocol(bench: Bench) -> None:
    """Search on the accuracy after 12 epochs of half the images; what counts is the accuracy after 200."""
    head(
        "NAS-Bench-201's published protocol, 20,000 s",
        "strategy", "runs", "evaluations", "validation accuracy", "test accuracy",
    )  # fmt: skip
    for strategy in [*bench.strategies, "random, repeats"]:
        found = bench.run(
            "nasbench201", strategy, metric="valid_accuracy_12", seconds=20_000, cost="12 * seconds / 2",
            report=("valid_accuracy", "test_accuracy"), seeds=None if strategy in SLOW else max(bench.seeds, 500),
        )  # fmt: skip
        last = max(len(run["number"]) for run in found.runs)
        cells = [found.after(last, f"incumbent:{name}") for name in ("valid_accuracy", "test_accuracy")]
        count = np.mean([len(run["number"]) for run in found.runs])
        row(strategy, len(found.seeds), f"{count:.0f}", *(f"{cell.mean():.2f} ± {cell.std():.2f}" for cell in cells))


def asha(max_steps: int, mode: str) -> Rungs:
    return Rungs(max_steps, mode=mode)  # type: ignore[arg-type]


def full(max_steps: int, mode: str) -> FullBudget:
    return FullBudget(max_steps, mode=mode)  # type: ignore[arg-type]


def asha_promotion(max_steps: int, mode: str) -> PromotionRungs:
    return PromotionRungs(max_steps, mode=mode)  # type: ignore[arg-type]


def hyperband(max_steps: int, mode: str) -> HyperbandRungs:
    return HyperbandRungs(max_steps, mode=mode)  # type: ignore[arg-type]


def ray_asha(max_steps: int, mode: str) -> RayAsha:
    return RayAsha(max_steps, mode=mode)


def early_stopping(bench: Bench, table: str, metric: str, mode: str, within: float, trials: int, **more: Any) -> None:
    head(
        f"{table}: early stopping, 16 workers, time to within {within:g} of the table's best",
        "strategy", "scheduler", "runs", "reached", "trials, median / 95 %", "virtual hours, median / 95 %",
        "mean at the end",
    )  # fmt: skip
    seeds = min(50, bench.seeds)
    pairs = [(name, rule) for name in bench.strategies for rule in (full, asha, asha_promotion, hyperband)]
    for strategy, rule in [*pairs, ("Ray OptunaSearch", full), ("Ray OptunaSearch", ray_asha)]:
        count = trials if rule is full else 2 * trials
        found = bench.run(
            table, strategy, metric=metric, mode=mode, workers=16, rule=rule, trials=count,
            seeds=min(seeds, bench.slow_seeds) if strategy in {*SLOW, "Ray OptunaSearch"} else seeds, **more,
        )  # fmt: skip
        target = found.optimum[metric] - within * found.objective.sign
        hours, counts = found.seconds_to(target) / 3600, found.evaluations_to(target)
        middle, late = np.quantile(hours, (0.5, 0.95), method="higher")
        times = " / ".join("never" if np.isinf(place) else f"{place:.1f}" for place in (middle, late))
        end = f"{np.nanmean(found.after(10**9)):.3f}"
        row(strategy, rule.__name__, len(found.seeds), f"{np.isfinite(hours).mean():.0%}", until(counts), times, end)


def curves(bench: Bench) -> None:
    early_stopping(bench, "spike", "valid_accuracy", "max", 0.5, 600)


def nlp(bench: Bench) -> None:
    early_stopping(bench, "nlp", "val_loss", "min", 0.05, 172, cost="wall_time_s")


def noise(bench: Bench) -> None:
    head(
        "NAS-Bench-201 with noise on what is measured: the true value of the best observed, after 100",
        "strategy", "runs", "sd 0", "0.1", "0.2", "0.4",
    )  # fmt: skip
    for strategy in bench.strategies:
        seeds = min(40, bench.slow_seeds if strategy in SLOW else bench.seeds)
        runs = [
            bench.run("nasbench201", strategy, trials=100, seeds=seeds, faults=Faults(noise=sd))
            for sd in (0.0, 0.1, 0.2, 0.4)
        ]
        row(strategy, seeds, *(f"{found.after(100).mean():.3f}" for found in runs))


#: Finalists and repeats that are tried on the same trials.
FINALS = ((3, 3), (5, 3), (10, 2))


def finals(run: Any, seed: int, count: int, repeats: int, sd: float = 0.4) -> float:
    """The true value of the finalist with the best mean of its repeats, each with a noise of its own."""
    leading: dict[int, float] = {}
    for place in np.argsort(-run["observed"], kind="stable"):
        leading.setdefault(int(run["row"][place]), float(run["value"][place]))
    values = np.array(list(leading.values())[:count])
    noise = np.random.default_rng([seed, count, repeats]).normal(0, sd, (repeats, len(values)))
    return float(values[np.argmax((values + noise).mean(axis=0))])


def winner(bench: Bench) -> None:
    """Who is picked at the end: the best observed, what the searcher recommends, and finalists measured again."""
    head(
        "NAS-Bench-201 with noise of sd 0.4, after 100: the true value of the network that is picked",
        "strategy", "runs", "best observed", "recommended", *(f"{k} finalists x {r}" for k, r in FINALS),
    )  # fmt: skip
    for strategy in bench.strategies:
        seeds = min(200, bench.slow_seeds if strategy in SLOW else bench.seeds)
        found = bench.run(
            "nasbench201", strategy, trials=100, seeds=seeds, faults=Faults(noise=0.4), recommend_after=(100,)
        )
        cells = [found.after(100), *found.recommended.values()]
        pairs = list(zip(found.runs, found.seeds, strict=True))
        cells += [np.array([finals(run, seed, *sizes) for run, seed in pairs]) for sizes in FINALS]
        texts = [f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}" for values in cells]
        if not found.recommended:
            texts.insert(1, "–")
        row(strategy, seeds, *texts)


def scaling(bench: Bench) -> None:
    counts = (1, 4, 16, 64, 256, 1024)
    head(
        "NAS-Bench-201, worker scaling: trials to 94.3 (median), and virtual minutes (one epoch a trial)",
        "strategy", "runs", *(f"{count:,} workers" for count in counts),
    )  # fmt: skip
    for strategy in bench.strategies:
        seeds = min(20, bench.slow_seeds)
        cells = []
        for workers in counts:
            found = bench.run("nasbench201", strategy, trials=max(400, 3 * workers), workers=workers, seeds=seeds)
            trials, minutes = np.median(found.evaluations_to(94.3)), np.median(found.seconds_to(94.3)) / 60
            cells.append("never" if np.isinf(trials) else f"{trials:,.0f} trials, {minutes:.2f} min")
        row(strategy, seeds, *cells)


def charged(bench: Bench) -> None:
    """What proposing costs a crowd: one driver, and the time that proposals really take here."""
    head(
        "1,000 workers on trials of 60 s, the time of proposing charged: NAS-Bench-201, 5,000 trials",
        "strategy", "ms a proposal", "virtual minutes", "without the charge", "share of the workers' time used",
    )  # fmt: skip
    for strategy in bench.strategies:
        settings = {"trials": 5_000, "workers": 1_000, "cost": "60", "seeds": 1}
        found, free = (
            bench.run("nasbench201", strategy, proposal_seconds=charge, **settings) for charge in (-1.0, None)
        )
        last, least = found.runs[0]["ended"][-1], free.runs[0]["ended"][-1]
        used = 60 * len(found.runs[0]["ended"]) / (1_000 * last)
        row(
            strategy,
            f"{1000 * found.propose_seconds / found.proposals:.2f}",
            *(f"{t / 60:.1f}" for t in (last, least)),
            f"{used:.0%}",
        )


def proposals(bench: Bench) -> None:
    """Without the simulator, one process: CPU and wall time."""
    head(
        "What a proposal costs, ms: median (95 %) of 60",
        "space", "strategy", "after", "CPU", "wall", "CPU of the numpy work beside it", "multiple",
    )  # fmt: skip
    spaces = {"NAS-Bench-201": lambda: tabled(*loaded("nasbench201"))}
    spaces |= {name: partial(made_up, name) for name in ("resnet", *LARGE)}
    for name, make in spaces.items():
        space, value = make()
        for strategy in bench.strategies:
            for trials in (30,) if name in LARGE else (200, 1_000, 5_000):
                cpu, wall, yardstick = timed(strategy, space, value, trials, 60)
                multiple = statistics.median(cpu) / statistics.median(yardstick)
                row(name, strategy, f"{trials:,} trials", *map(show, (cpu, wall, yardstick)), f"{multiple:.1f}")


def speed(bench: Bench) -> None:
    """Evaluations a second of CPU time on one core, set-up left out by a difference."""
    head(
        "The simulator's own speed, evaluations a second and core",
        "strategy",
        "one worker",
        "16 workers",
        "1,024 workers",
    )
    for strategy in (name for name in ("random", "evolution") if name in bench.strategies):
        cells = []
        for workers in (1, 16, 1024):
            rows, space, metric = loaded("nasbench201")
            times = []
            for seeds in (1, 1, 101):  # the first one warms up
                began = time.process_time()
                simulate(
                    factory(strategy, metric, "max", 200), rows, space=space, metric=metric, seeds=seeds, trials=200,
                    workers=workers, processes=1,
                )  # fmt: skip
                times.append(time.process_time() - began)
            cells.append(f"{100 * 200 / (times[2] - times[1]):,.0f}")
        row(strategy, *cells)


PARTS: dict[str, Callable[[Bench], None]] = {
    "nasbench201": nasbench201,
    "macro": macro,
    "spike": spike,
    "crowd": crowd,
    "protocol": protocol,
    "curves": curves,
    "nlp": nlp,
    "noise": noise,
    "winner": winner,
    "scaling": scaling,
    "charged": charged,
    "proposals": proposals,
    "speed": speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--slow-seeds", type=int, default=20)
    parser.add_argument("--strategies", default=",".join(OURS))
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=200, help="of a run on a table, in the first four parts")
    parser.add_argument("--environments", type=Path, metavar="FOLDER", help="of other libraries, for peers")
    parser.add_argument("--peers", help="the names of some only (default: all)")
    asked = parser.parse_args()
    strategies = [name for name in asked.strategies.split(",") if name]
    if unknown := {*strategies} - {*registry.names("raynas.strategies")}:
        parser.error(f"no strategy is called {', '.join(sorted(unknown))}")
    if asked.environments is not None:
        for name, (library, _) in SEARCHES.items():
            python = asked.environments / library / "bin" / "python"
            if python.exists():
                PEERS[name] = partial(Foreign, python=python, name=name)
    if asked.peers is not None:
        peers = {name for name in asked.peers.split(",") if name}
        if unknown := peers - {*PEERS}:
            parser.error(f"there is no peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
        for name in {*PEERS} - peers:
            del PEERS[name]
    if not os.environ.get("RAYNAS_DATA"):
        sys.exit("RAYNAS_DATA is not set: say where the tables lie")
    bench = Bench(asked.seeds, asked.slow_seeds, strategies, asked.processes, asked.first, asked.trials)
    for part in asked.parts or PARTS:
        PARTS[part](bench)


if __name__ == "__main__":
    main()
