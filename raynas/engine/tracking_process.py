"""MLflow beside a session: the store's address, the tracker's process, and word of what keeps it from writing.

The settings that are kept, in ``spec.yaml`` and in the journal, have the address without its password. The whole one is
used by the process that was given it, and passed on by the environment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from raynas.engine.session import Session
from raynas.errors import UserError
from raynas.spec.settings import SearchSpec
from raynas.storage.search_folder import SearchFolder

if TYPE_CHECKING:
    from raynas.tracking import TrackerProcess

S = TypeVar("S", bound=SearchSpec)

#: How long a search's end waits for the tracker; it goes on by itself after that.
_CATCH_UP_SECONDS, _CATCH_UP_HURRIED_SECONDS = 20.0, 2.0

#: How often the tracker's troubles are looked for.
_WATCH_SECONDS = 0.5

_logger = logging.getLogger("raynas")


def take_address(spec: S, home: Path) -> tuple[S, str | None]:
    """The address of a search's store, checked as far as that goes without asking the store; None without MLflow.

    Its password, if it has one, is taken out of the settings.

    Returns:
        The settings without the password, and the address with it.

    Raises:
        UserError: MLflow can never write there, or the password is not known here.
    """
    from raynas.tracking import check_address, public_uri, resolve_tracking_uri

    given = spec.tracking_uri
    if given is not None:
        spec = replace(spec, tracking_uri=public_uri(given))
    if not spec.mlflow:
        return spec, None
    try:
        address = resolve_tracking_uri(home, given)
        check_address(address)
    except UserError as error:
        raise UserError(f"{error}; or leave MLflow out, with --no-mlflow") from None
    return spec, address


@contextmanager
def tracked(folder: SearchFolder, session: Session, address: str | None) -> Iterator[None]:
    """While inside, a process of its own writes the journal to MLflow; at the end it is given a moment to catch up.

    It is started once the first trial's worker has found that trials can run: of a search that is refused, MLflow shall
    know nothing.

    Args:
        address: the store's, whole; None: nothing is written.
    """
    if address is None:
        yield
        return
    from raynas import tracking

    started: list[tracking.TrackerProcess] = []
    watchers: list[threading.Thread] = []
    left = threading.Event()

    def start() -> None:
        started.append(tracking.start(folder.path, tracking_uri=address))
        watchers.append(threading.Thread(target=_watch, args=(started[-1], left), name="raynas-mlflow", daemon=True))
        watchers[-1].start()

    session.when_checked = start
    try:
        yield
    finally:
        left.set()
        for watcher in watchers:
            watcher.join()
        if not started and session.facts and not session.refused:  # it ended before its first trial
            started.append(tracking.start(folder.path, tracking_uri=address))
        for tracker in started:
            hurry = session.stop_reason == "interrupted"
            session.tracking_message = tracker.finish(_CATCH_UP_HURRIED_SECONDS if hurry else _CATCH_UP_SECONDS)


def _watch(tracker: TrackerProcess, left: threading.Event) -> None:
    """Says it, once, when something begins to keep the search out of MLflow. The search goes on all the same."""
    said = False
    while not left.wait(_WATCH_SECONDS):
        trouble = tracker.trouble()
        if trouble and not said:
            _logger.warning("MLflow: %s; the search goes on, and raynas sync writes what is missing", trouble)
        said = bool(trouble)
