"""``python -m raynas.tracking FOLDER``: the tracker's process. ``raynas.tracking.start`` runs it beside a search.

The store's address is ``$MLFLOW_TRACKING_URI``, else that of ``mlflow.db`` beside the folder. It is no argument, since
it may hold a password, and all users of a machine see each other's arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path
from threading import Event, Thread

from raynas.errors import UserError
from raynas.tracking.locks import tracker_lock
from raynas.tracking.sync import sync
from raynas.tracking.uri import prepare_environment, resolve_tracking_uri

#: The search's own work goes first.
_NICENESS = 10


def main() -> int:
    """Follows the journal until the search is over; 0 if all of it is in MLflow then, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m raynas.tracking")
    parser.add_argument("folder", type=Path, help="the search's folder")
    parser.add_argument("--once", action="store_true", help="write what is there, and end")
    parser.add_argument("--until-end-of-input", action="store_true", help="finish at the end of standard input")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    finish = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: finish.set())
    if options.until_end_of_input:
        Thread(target=_wait_for_end_of_input, args=(finish,), daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    prepare_environment()
    try:
        if options.once:
            report = sync(folder)
            print(report)
            return 1 if report.refused else 0
        return _follow(folder, resolve_tracking_uri(folder.parent), finish)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _wait_for_end_of_input(finish: Event) -> None:
    while os.read(sys.stdin.fileno(), 1_024):
        pass
    finish.set()


def _follow(folder: Path, tracking_uri: str, finish: Event) -> int:
    from raynas.tracking.follow import Follower

    with tracker_lock(folder, take_over=True):
        outcome = Follower(folder, tracking_uri, finish).follow()
    for line in outcome.refused:
        print(f"MLflow refused {line}", file=sys.stderr)
    if outcome.problem is not None:
        print(f"{outcome.missing} events are not in MLflow: {outcome.problem}", file=sys.stderr)
    return 1 if outcome.problem is not None or outcome.missing or outcome.refused else 0


if __name__ == "__main__":
    sys.exit(main())
