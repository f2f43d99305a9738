"""``raynas sync``: brings MLflow to what a search's journal says, by hand, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from raynas.errors import UserError
from raynas.tracking.check import check_address
from raynas.tracking.locks import tracker_lock
from raynas.tracking.redaction import public_uri
from raynas.tracking.uri import prepare_environment, resolve_tracking_uri

#: How long a store that does not answer is asked again, in seconds.
_PATIENCE_SECONDS = 15.0


@dataclass(frozen=True)
class SyncReport:
    """What ``sync`` did.

    Attributes:
        events: events of the journal that are in MLflow now, but for what was refused.
        seconds: how long it took.
        tracking_uri: the store, without a password.
        experiment_id: the search's experiment there.
        refused: what the store would not take, a line each; all else is there. ``sync`` tries it again.
    """

    events: int
    seconds: float
    tracking_uri: str
    experiment_id: str
    refused: tuple[str, ...] = ()

    def __str__(self) -> str:
        took = f"({self.seconds:.1f} s)"
        if not self.refused:
            return f"{self.events} events are in MLflow at {self.tracking_uri} {took}"
        return f"MLflow at {self.tracking_uri} refused {len(self.refused)} things; the rest is there {took}"


def sync(
    folder: Path, tracking_uri: str | None = None, progress: Callable[[int, int], None] | None = None
) -> SyncReport:
    """Writes what is missing; where nothing is, that is found out in a few seconds.

    Args:
        folder: the search's folder.
        tracking_uri: default ``$MLFLOW_TRACKING_URI``, else the SQLite file in the searches' home.
        progress: called with (events written, events in the journal).

    Raises:
        UserError: the store does not answer or cannot be used, its password is not there, or a tracker is at work on
            this search.
    """
    prepare_environment()
    from raynas.tracking.follow import Follower

    folder = folder.absolute()
    uri = resolve_tracking_uri(folder.parent, tracking_uri)
    check_address(uri)
    begun = time.monotonic()
    with tracker_lock(folder, take_over=False):
        finish = Event()
        follower = Follower(folder, uri, finish, progress=progress, give_up_seconds=_PATIENCE_SECONDS, once=True)
        outcome = follower.catch_up()
    if outcome.problem is not None:
        what = f"{outcome.missing} events are" if outcome.missing else "the search's end is"
        raise UserError(f"{what} not in MLflow: {outcome.problem}; when that is mended, sync again")
    position = outcome.position
    experiment_id = "" if position is None else position.experiment_id or ""
    return SyncReport(outcome.events, time.monotonic() - begun, public_uri(uri), experiment_id, outcome.refused)
