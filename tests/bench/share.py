"""What share of the cores' time a search spends in training and validation steps: ``make bench-share``.

Runs ``raynas search resnet`` on a data set for a given time, then adds up the seconds of all steps (the evaluator's own
clock: batches and validation, nothing else) from the journal, and those of steps cut off by the time limit from their
checkpoints, and divides by workers times the time from the first trial's start to the session's end. Ray's start is
outside; everything between steps is inside: the workers' imports, proposals, building networks, checkpoints, journal.
Prints Markdown; no figure here is a test.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from raynas.journal import read


def share(journal: Path) -> tuple[float, float, int, int]:
    """The share of one session, its seconds, its measurements and its workers."""
    from raynas.evaluators import checkpoint

    begun = ended = spent = 0.0
    count = workers = 0
    for event in read(journal):
        if event["event"] == "session_started":
            workers, begun = event["workers"], 0.0
        elif event["event"] == "trial_started":
            begun = begun or event["time"]
        elif event["event"] == "measured":
            spent += event["seconds"]
            count += 1
        ended = event["time"]
    for folder in (journal.parent / "checkpoints").glob("*"):
        found = checkpoint.newest(folder)
        if found is not None and found.partial:
            spent += found.state.values["evaluation"]["seconds"]
    if not spent:
        raise SystemExit("nothing was measured in that time; give --seconds more")
    return spent / (workers * (ended - begun)), ended - begun, count, workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RAYNAS_DATA", ".") + "/cifar10/train.parquet")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--trial-time", help="a budget of time for each trial, such as 2m; --epochs are then its steps")
    parser.add_argument("--space", default="resnet")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--journal", type=Path, help="look at this journal instead of running a search")
    arguments = parser.parse_args()
    journal = arguments.journal
    with tempfile.TemporaryDirectory() as home:
        if journal is None:
            import raynas
            from raynas.tasks.images import ImageClassification

            task = ImageClassification(arguments.data)
            limits = {"trials": 10_000, "seconds": arguments.seconds, "epochs": arguments.epochs}
            limits["trial_time"] = arguments.trial_time
            raynas.search(arguments.space, task=task, workers=arguments.workers, home=home, name="share", **limits)
            journal = Path(home) / "share" / "journal.jsonl"
        found, seconds, count, workers = share(journal)
    print(f"{found:.1%} of {workers} cores' time over {seconds:.0f} s was spent in {count} steps")


if __name__ == "__main__":
    main()
