"""How long a search takes from the command to its first training step, beside bare Ray: ``make bench-start``.

Pairs, by turns, each in a process of its own:

- bare: a script that starts Ray and two actors of one CPU which import torch, to the answer of both;
- RayNAS: ``raynas search resnet`` on digits, to the beginning of the first trial's first training step: the time at
  which that step was measured less its seconds (both stand in the journal). Writing the step's checkpoint lies in
  between and counts against RayNAS, as does the step that a search tries before its first trial.

Both clocks start with the process. Then pairs of ``raynas --help`` and the import of typer and rich. Prints Markdown
with medians, and the least and the greatest of the ratios; no figure here is a test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from raynas.journal import read

BARE = """
import ray

ray.init(
    address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
    object_store_memory=256 * 1024 * 1024,
)

@ray.remote(num_cpus=1)
class Actor:
    def ready(self):
        import torch
        return torch.__version__

actors = [Actor.remote() for _ in range(2)]
ray.get([actor.ready.remote() for actor in actors])
print("ready", flush=True)
import sys
sys.stdin.read()
"""


SEARCH = "search resnet --no-mlflow --trials 2 --epochs 1 --workers 2 --seed 0 --name start --quiet"


def bare() -> float:
    """Seconds to two actors with torch, without Ray's end."""
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", BARE], stdin=pipe, stdout=pipe, stderr=nowhere, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise SystemExit("bare Ray did not start")
    seconds = time.perf_counter() - begun
    process.communicate("")
    return seconds


def search() -> float:
    """Seconds to the first training step of a search."""
    with tempfile.TemporaryDirectory() as home:
        command, environment = [sys.executable, "-m", "raynas", *SEARCH.split()], {**os.environ, "RAYNAS_HOME": home}
        begun = time.time()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        steps = [event for event in read(Path(home) / "start" / "journal.jsonl") if event["event"] == "measured"]
    return min(float(event["time"] - event["seconds"]) for event in steps) - begun


def command(*words: str) -> float:
    """Seconds that a Python process takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def row(what: str, pairs: list[tuple[float, float]]) -> str:
    """A line of the table, from pairs of (ours, bare) seconds."""
    ours, other = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratios = [one / two for one, two in pairs]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"| {what} | {ours:.2f} | {other:.2f} | {statistics.median(ratios):.2f} | {spread} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    count = parser.parse_args().pairs
    before = os.getloadavg()[0]
    starts = [(search(), bare()) for _ in range(count)]
    helps = [(command("-m", "raynas", "--help"), command("-c", "import typer, rich")) for _ in range(2 * count)]
    print("| | RayNAS (s) | bare (s) | ratio, median | least to greatest |\n| --- | --- | --- | --- | --- |")
    print(row("to the first training step; bare: two actors with torch", starts))
    print(row("`raynas --help`; bare: `import typer, rich`", helps))
    print(f"\n{count} pairs, {os.cpu_count()} cores, load before {before:.1f}, after {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
