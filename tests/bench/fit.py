"""Whether a search that is given nothing but data and a time makes good use of it: ``make bench-fit``.

``searches``: for each data set and seed, ``raynas search resnet --data … --time 10m`` and no other setting, and random
search for the same time on the plan that it made (a trial's budget, size of the images, batch size, space). What both
recommend is then trained anew with one trial's budget, beside (a) the space's default and (b) ResNet-20: in the search
other trials and the driver were at work at the same time, and the best of many trials was lucky. Each is tried on
images that were kept back from everything. At the end a table for each data set says what the recommended network beats
by more than the 95 % interval.

``long``: the search, then its winner trained for as long again, against ResNet-20 trained for all of that time.

``dry``: the wall time of ``raynas search … --dry-run`` on data that is decoded already.

Prints Markdown; no figure here is a test. With ``--home FOLDER`` what was done is kept: the same command again goes on
with what was interrupted, and what is done is not done again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from raynas.durations import format_duration, parse_duration
from raynas.errors import UserError
from tests.bench.kept_back import difference, once
from tests.bench.planned import ANEW, PLAN, SOURCES, SPACE, Bench

DRY_RUNS = 5
Facts = dict[str, Any]


def row(*cells: object) -> None:
    """Prints a row of a table at once."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def header(*names: str) -> None:
    """Prints a table's head; a name that begins with ``>`` is of a column of numbers."""
    row(*(name.removeprefix(">") for name in names))
    row(*("---:" if name.startswith(">") else "---" for name in names))


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def searches(bench: Bench, names: Sequence[str], seeds: Sequence[int]) -> None:
    """The searches and what is trained beside them, a row each, then what beats what."""
    header(
        *("data", ">seed", "network", ">trials", ">ended or at a rung", ">failed", ">parameters"),
        *(">validation", ">kept back", "95 % interval", ">images a second", "a trial"),
    )
    of_data: dict[str, dict[str, list[Facts]]] = {name: {} for name in names}
    for name in names:
        for seed in seeds:
            for way, found in measured(bench, name, seed):
                of_data[name].setdefault(way, []).append(found)
                row(
                    *(name, seed, found["title"], *(found.get(key, "") for key in ("trials", "reached", "failed"))),
                    *(f"{found['parameters']:,}", share(found["validation"]), share(found["accuracy"])),
                    *(interval(found["low"], found["high"]), f"{found['images_per_second']:,.0f}"),
                    found.get("budget", "as above"),
                )
    print()
    print("Plans:")
    print()
    for name, ways in of_data.items():
        for seed, found in zip(seeds, ways[PLAN], strict=True):
            print(f"- {name}, seed {seed}: `{found['settings']}`" + (f"; `{found['plan']}`" if found["plan"] else ""))
    beaten = [compared(name, seeds, ways) for name, ways in of_data.items()]
    print()
    print(
        f"What is recommended beats all of them by more than the interval on {sum(beaten)} of {len(beaten)} data sets."
    )


def measured(bench: Bench, name: str, seed: int) -> Iterator[tuple[str, Facts]]:
    """The planned search, random search, then what is trained beside each other, each as soon as it is there."""
    yield PLAN, bench.found(name, seed, PLAN)
    found = bench.found(name, seed, "random")
    yield "random", found | {"title": f"random search, {found['title']}"}
    for each in bench.beside(name, seed):
        yield each["title"], each


def compared(name: str, seeds: Sequence[int], ways: dict[str, list[Facts]]) -> bool:
    """Prints a data set's table; whether the planned search beats all others by more than the interval.

    What was trained anew is compared, in the mean over the seeds. All of them have the same images kept back, so the
    mean is taken as a share of these images: it is known no worse than one seed's.
    """
    images = ways[PLAN][0]["images"]
    means = {way: statistics.fmean(found["accuracy"] for found in each) for way, each in ways.items()}
    print()
    print(f"{name}, {images:,} images kept back, mean of seeds {', '.join(map(str, seeds))}:")
    print()
    header("network", ">kept back", ">recommended - it, points", "95 % interval", "beaten by more than the interval")
    all_beaten = True
    as_found = {PLAN: "recommended, as the search trained it", "random": "random search's, as it trained it"}
    for way, mean in means.items():
        if way in as_found or way == ANEW[PLAN]:
            row(as_found.get(way, way), share(mean), "", "", "")
            continue
        by, low, high = difference(means[ANEW[PLAN]], mean, images)
        all_beaten &= low > 0
        row(way, share(mean), f"{100 * by:+.1f}", interval(low, high), "yes" if low > 0 else "no")
    return all_beaten


def long(bench: Bench, names: Sequence[str], seeds: Sequence[int]) -> None:
    """Search and training of the winner, against ResNet-20 trained for all of that time."""
    header(
        *("data", ">seed", "network", "time", ">parameters", ">validation", ">kept back", "95 % interval"),
        "winner - ResNet-20, points (95 %)",
    )
    for name in names:
        for seed in seeds:
            searched = bench.found(name, seed, PLAN)
            winner, by_hand = bench.long(name, seed)
            by, low, high = difference(winner["accuracy"], by_hand["accuracy"], winner["images"])
            once_more, twice = format_duration(bench.seconds), format_duration(2 * bench.seconds)
            winner |= {
                "title": searched["title"],
                "time": f"{format_duration(searched['seconds'])} of search, {once_more} of training",
                "told": f"{100 * by:+.1f} ({interval(low, high)})",
            }
            by_hand |= {"time": f"{twice} of training", "told": ""}
            for found in (winner, by_hand):
                row(
                    *(name, seed, found["title"], found["time"], f"{found['parameters']:,}"),
                    *(share(found["validation"]), share(found["accuracy"])),
                    *(interval(found["low"], found["high"]), found["told"]),
                )


def dry(bench: Bench, names: Sequence[str], seeds: Sequence[int]) -> None:
    """The wall time of a dry run, after one that is not counted (it decodes the data)."""
    header("data", ">runs", ">median, s", "range, s")
    for name in names:
        train, _ = bench.data(name)
        command = [sys.executable, "-m", "raynas", "search", SPACE, "--data", str(train)]
        command += ["--time", format_duration(bench.seconds), "--dry-run"]

        def seconds(command: Sequence[str] = command) -> float:
            begun = time.perf_counter()
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "RAYNAS_HOME": str(bench.home)}
            )
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} ends with {done.returncode}: {done.stderr or done.stdout}")
            return time.perf_counter() - begun

        kept = bench.kept(f"{bench.label(name)}-{format_duration(bench.seconds)}-dry")
        times = once(kept, lambda seconds=seconds: [seconds() for _ in range(DRY_RUNS + 1)][1:])
        row(name, len(times), f"{statistics.median(times):.1f}", f"{min(times):.1f} to {max(times):.1f}")


PARTS: dict[str, Callable[[Bench, Sequence[str], Sequence[int]], None]] = {
    "searches": searches,
    "long": long,
    "dry": dry,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=PARTS, default="searches")
    parser.add_argument("--data", help=f"of {','.join(SOURCES)} (default: all; long: cifar10)")
    parser.add_argument("--time", default="10m", help="of a search (default: 10m)")
    parser.add_argument("--seeds", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--home", type=Path, help="where to keep what was done")
    parser.add_argument("--images", type=int, help=argparse.SUPPRESS)  # cuts the data, to try the benchmark itself
    arguments = parser.parse_args()
    if "RAYNAS_DATA" not in os.environ:
        parser.error("set RAYNAS_DATA to the folder with cifar10/train.parquet and fashion_mnist/train.parquet")
    names = (arguments.data or ("cifar10" if arguments.part == "long" else ",".join(SOURCES))).split(",")
    if unknown := [name for name in names if name not in SOURCES]:
        parser.error(f"there is no data set {unknown[0]!r}; there are: {', '.join(SOURCES)}")
    with tempfile.TemporaryDirectory() as temporary:
        home = (arguments.home or Path(temporary)).absolute()
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        try:
            PARTS[arguments.part](Bench(home, parse_duration(arguments.time), arguments.images), names, seeds)
        except UserError as error:
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
