"""Search, resume, look: what the command line and ``import raynas`` offer, with the same words.

The order matters for "nothing lost": everything that a person can get wrong is found before the search's folder is
made, and before Ray is started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raynas.engine.cluster import prepare_environment
from raynas.engine.folder import FolderLock, SearchFolder, home_folder, names
from raynas.engine.parts import (
    find_parts,
    label,
    make_searcher,
    preflight,
    require_same_space,
    resolve,
    resumed_source,
)
from raynas.engine.result import SearchResult
from raynas.engine.run import Progress, begin, run
from raynas.engine.sources import source_of
from raynas.engine.spec import read_spec


def search(
    space: Any = None,
    *,
    config: str | os.PathLike[str] | None = None,
    task: Any = None,
    strategy: str | None = None,
    strategy_options: Mapping[str, Any] | None = None,
    name: str | None = None,
    seed: int | None = None,
    trials: int | None = None,
    seconds: float | str | None = None,
    epochs: int | None = None,
    workers: int | None = None,
    max_concurrent: int | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    device: str | None = None,
    trial_timeout: float | str | None = None,
    scheduler: str | None = None,
    grace_period: int | None = None,
    reduction_factor: int | None = None,
    metric: str | None = None,
    mode: str | None = None,
    address: str | None = None,
    home: str | os.PathLike[str] | None = None,
    evaluator: Any = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Runs a new search to its end, or until it is interrupted.

    Args:
        space: an entry point's name, ``path/file.py:name``, a ``Space``, or a function of the task that returns one.
        config: a YAML file with the same fields; what is given here overrides it.
        task: an entry point's name, ``path/file.py:name``, or a ``Task``.
        strategy: the searcher; ``strategy_options`` are its own settings.
        name: the search's folder in ``home``; default: the space's name and a number.
        trials: limit on trials over all sessions, failures and trial 0 included.
        seconds: limit on time over all sessions ("5m" is understood too). With neither, both have defaults.
        epochs: a trial's full budget.
        workers: trials at once; default: as many as the machine has room for. ``max_concurrent`` limits them further.
        cpus_per_trial, gpus_per_trial: what each trial gets (fractions of a GPU are shared, not isolated).
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        trial_timeout: limit on one step (epoch) of a trial, in seconds ("5m" is understood too).
        scheduler: ``asha`` or ``none``.
        metric: what is measured as good, with ``mode`` ``min`` or ``max``; default: the task's.
        address: of a running Ray cluster that shares ``home``; default: a private Ray on this machine.
        home: the folder of all searches; default: ``$RAYNAS_HOME`` or ``./raynas-runs``.
        evaluator: an ``Evaluator``; default: training on the task.
        progress: called with every journal event.

    Returns:
        What was found. A KeyboardInterrupt comes only after a second interruption.

    Raises:
        UserError: the settings cannot be run; nothing was written.
    """
    overrides = {
        "space": label(space, "space"),
        "task": label(task, "task"),
        "strategy": strategy,
        "strategy_options": dict(strategy_options) if strategy_options else None,
        "name": name,
        "seed": seed,
        "trials": trials,
        "time": seconds,
        "epochs": epochs,
        "workers": workers,
        "max_concurrent": max_concurrent,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "device": device,
        "trial_timeout": trial_timeout,
        "scheduler": scheduler,
        "grace_period": grace_period,
        "reduction_factor": reduction_factor,
        "metric": metric,
        "mode": mode,
        "address": address,
    }
    asked = read_spec(Path(config) if config is not None else None, overrides).model_dump()
    home_path = home_folder(home)
    if asked["name"]:
        folder = SearchFolder(home_path, asked["name"])
        if folder.has_begun():
            folder.create()  # says how to go on with it
    prepare_environment(asked["workers"], asked["address"])
    parts = find_parts(
        source_of("raynas.spaces", asked["space"] if space is None else space),
        source_of("raynas.tasks", asked["task"] if task is None else task),
        evaluator,
    )
    spec = resolve(asked, parts, home_path)
    make_searcher(spec, parts.space)
    preflight(parts)
    folder = SearchFolder(home_path, spec["name"])
    folder.create()
    with FolderLock(folder):
        return begin(folder, spec, parts, progress)


def resume(
    name: str,
    *,
    trials: int | None = None,
    seconds: float | str | None = None,
    workers: int | None = None,
    address: str | None = None,
    home: str | os.PathLike[str] | None = None,
    space: Any = None,
    task: Any = None,
    evaluator: Any = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Goes on with a search: unfinished trials first, from their checkpoints.

    Args:
        trials, seconds: new totals over all sessions.
        space, task, evaluator: again, where the search was begun with objects and not with references.

    Returns:
        What was found; at once where the search has nothing left to do.

    Raises:
        UserError: no such search, another process runs it, or the space is no longer the one it was begun with.
    """
    folder = SearchFolder(home_folder(home), name)
    folder.require()
    with FolderLock(folder):
        result = SearchResult(folder)
        changes = read_spec(
            None, {"space": "-", "trials": trials, "time": seconds, "workers": workers, "address": address}
        ).model_dump(include={"trials", "time", "workers", "address"}, exclude_none=True)
        spec = {**result.spec, **changes}
        prepare_environment(spec["workers"], spec["address"])
        parts = find_parts(
            resumed_source("raynas.spaces", spec["space"], space, folder),
            resumed_source("raynas.tasks", spec["task"], task, folder),
            evaluator,
        )
        require_same_space(result, parts.space)
        if _nothing_left(result, spec):
            return result
        make_searcher(spec, parts.space)
        preflight(parts)
        return run(folder, spec, parts, progress, changes=changes)


def load(name: str, home: str | os.PathLike[str] | None = None) -> SearchResult:
    """A search as its journal stands now, also while it runs.

    Raises:
        SearchFolderError: there is no such search.
    """
    return SearchResult(SearchFolder(home_folder(home), name))


def listing(home: str | os.PathLike[str] | None = None) -> list[SearchResult]:
    """All searches of a home, the oldest first."""
    found = [load(name, home) for name in names(home_folder(home))]
    return sorted(found, key=lambda result: (result.begun["time"], result.name))


def _nothing_left(result: SearchResult, spec: dict[str, Any]) -> bool:
    history = result.history
    if spec["time"] is not None and history.elapsed_seconds >= spec["time"]:
        return True
    if history.running:
        return False
    used_up = spec["trials"] is not None and len(history.trials) >= spec["trials"]
    return used_up or result.reason == "exhausted"
