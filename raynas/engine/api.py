"""Search, resume, look: what the command line and ``import raynas`` offer, with the same words.

The order matters for "nothing lost": everything that a person can get wrong is found before the search's folder is
made, and before Ray is started.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import random
import secrets
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas import __version__
from raynas.engine.cluster import available_cpus, cluster, prepare_environment
from raynas.engine.folder import FolderLock, SearchFolder, check_name, home_folder, names
from raynas.engine.memory import available_bytes, fair_share_bytes
from raynas.engine.result import SearchResult, current_spec
from raynas.engine.sources import Source, keep_copy, make_space, make_task, source_of
from raynas.engine.spec import DEFAULT_SECONDS, DEFAULT_TRIALS, read_spec, write_spec
from raynas.errors import SearchFolderError, SpaceError, SpecError
from raynas.registry import find, is_file
from raynas.space import Space
from raynas.tasks.objective import Objective

Progress = Callable[[dict[str, Any]], None]

#: So many random samples are shaped before a search starts: a space whose parts do not fit shows itself here.
_PREFLIGHT_SAMPLES = 20


@dataclass(frozen=True)
class _Parts:
    """What a search is made of, found and checked."""

    space_source: Source
    task_source: Source
    given_evaluator: Any
    space: Space
    evaluator: Any


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
        workers: trials at once; default: all CPUs.
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
        "space": _label(space, "space"),
        "task": _label(task, "task"),
        "strategy": strategy,
        "strategy_options": dict(strategy_options) if strategy_options else None,
        "name": name,
        "seed": seed,
        "trials": trials,
        "time": seconds,
        "epochs": epochs,
        "workers": workers,
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
    parts = _find_parts(
        source_of("raynas.spaces", asked["space"] if space is None else space),
        source_of("raynas.tasks", asked["task"] if task is None else task),
        evaluator,
    )
    spec = _resolve(asked, parts, home_path)
    _make_searcher(spec, parts.space)
    _preflight(parts)
    folder = SearchFolder(home_path, spec["name"])
    folder.create()
    with FolderLock(folder):
        return _begin(folder, spec, parts, progress)


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
        parts = _find_parts(
            _resumed_source("raynas.spaces", spec["space"], space, folder, name),
            _resumed_source("raynas.tasks", spec["task"], task, folder, name),
            evaluator,
        )
        _require_same_space(result, parts.space)
        if _nothing_left(result, spec):
            return result
        _make_searcher(spec, parts.space)
        _preflight(parts)
        return _run(folder, spec, parts, progress, changes=changes)


def load(name: str, home: str | os.PathLike[str] | None = None) -> SearchResult:
    """A search as its journal stands now, also while it runs.

    Raises:
        SearchFolderError: there is no such search.
    """
    return SearchResult(SearchFolder(home_folder(home), name))


def listing(home: str | os.PathLike[str] | None = None) -> list[SearchResult]:
    """All searches of a home, the oldest first."""
    found = [load(name, home) for name in names(home_folder(home))]
    return sorted(found, key=lambda result: (result.history.search["time"], result.name))


# -- parts -------------------------------------------------------------------------------------------------------


def _label(what: Any, kind: str) -> str | None:
    """How the spec names what was given: its reference, or the object's own name."""
    if what is None or isinstance(what, str):
        if isinstance(what, str) and is_file(what):
            path, colon, name = what.rpartition(":")
            return f"{Path(path).expanduser().absolute()}:{name}" if colon else what
        return what
    name = getattr(what, "name", None) or getattr(what, "__name__", None) or type(what).__name__
    return f"<{name}>" if kind else None


def _find_parts(space_source: Source, task_source: Source, evaluator: Any) -> _Parts:
    from raynas.engine.trainable import make_evaluator

    task = make_task(task_source)
    space = make_space(space_source, task)
    return _Parts(space_source, task_source, evaluator, space, make_evaluator(evaluator, task))


def _resumed_source(group: str, reference: str, given: Any, folder: SearchFolder, name: str) -> Source:
    if given is not None:
        return source_of(group, given)
    if reference.startswith("<"):
        what = group.removeprefix("raynas.").removesuffix("s")
        raise SpecError(
            f"search {name!r} was begun with the {what} object {reference}, which is not kept; "
            f"hand it in again: raynas.resume({name!r}, {what}=...)"
        )
    if is_file(reference):
        return keep_copy(Source(group, reference), folder.source)
    return source_of(group, reference)


def _resolve(asked: dict[str, Any], parts: _Parts, home: Path) -> dict[str, Any]:
    """The spec with every open field filled in."""
    spec = dict(asked)
    objective = parts.evaluator.objective
    if spec["metric"] is None:
        spec["metric"], spec["mode"] = objective.metric, spec["mode"] or objective.mode
    spec["epochs"] = spec["epochs"] or parts.evaluator.default_steps
    spec["seed"] = secrets.randbelow(2**31) if spec["seed"] is None else spec["seed"]
    if spec["trials"] is None and spec["time"] is None:
        spec["trials"], spec["time"] = DEFAULT_TRIALS, DEFAULT_SECONDS
    strategy = find("raynas.strategies", spec["strategy"])
    spec["strategy_options"] = {**strategy.options(spec["trials"]), **spec["strategy_options"]}
    rule = _make_rule(spec)
    if len(rule.levels) > 1 or spec["grace_period"] is not None:
        spec["grace_period"], spec["reduction_factor"] = rule.grace_period, rule.reduction_factor
    spec["name"] = check_name(spec["name"]) if spec["name"] else _free_name(spec["space"], home)
    return spec


def _free_name(space: str, home: Path) -> str:
    stem = space.rpartition(":")[2].strip("<>") or "search"
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in stem).lstrip("._-") or "search"
    number = 1
    while (home / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def _make_searcher(spec: dict[str, Any], space: Space) -> Any:
    strategy = find("raynas.strategies", spec["strategy"])
    try:
        return strategy(
            space,
            seed=spec["seed"],
            objective=Objective(spec["metric"], spec["mode"]),
            **spec["strategy_options"],
        )
    except TypeError as error:
        raise SpecError(
            f"strategy {spec['strategy']!r} does not take these options {spec['strategy_options']}: {error}"
        ) from None


def _make_rule(spec: dict[str, Any]) -> Any:
    """The scheduler's stopping rule."""
    scheduler = find("raynas.schedulers", spec["scheduler"])
    return scheduler(
        spec["epochs"],
        mode=spec["mode"],
        grace_period=spec["grace_period"],
        reduction_factor=spec["reduction_factor"],
    )


def _preflight(parts: _Parts) -> None:
    """Finds what would make trials fail, before Ray starts: shapes of a few samples, one training step of the default."""
    shape = getattr(getattr(parts.evaluator, "task", None), "input_shape", None)
    if shape is not None:
        rng = random.Random(0)
        parts.space.check(parts.space.default(), shape)
        for _ in range(_PREFLIGHT_SAMPLES):
            parts.space.check(parts.space.sample(rng), shape)
    parts.evaluator.preflight(parts.space, parts.space.default())


def _require_same_space(result: SearchResult, space: Space) -> None:
    begun_with = result.history.search["space"]
    if begun_with["fingerprint"] == space.fingerprint:
        return
    changes = "; ".join(space.differences(begun_with["description"])[:5]) or "its template differs"
    raise SpaceError(
        f"the search space of {result.name!r} has changed since it was begun ({changes}); "
        "restore it, or start a new search with another name"
    )


def _nothing_left(result: SearchResult, spec: dict[str, Any]) -> bool:
    history = result.history
    if spec["time"] is not None and history.elapsed_seconds >= spec["time"]:
        return True
    if history.running:
        return False
    used_up = spec["trials"] is not None and len(history.trials) >= spec["trials"]
    return used_up or result.reason == "exhausted"


# -- running -----------------------------------------------------------------------------------------------------


def _begin(folder: SearchFolder, spec: dict[str, Any], parts: _Parts, progress: Progress | None) -> SearchResult:
    from raynas.journal import Writer

    if folder.has_begun():
        folder.create()  # another process was faster
    kept = _Parts(
        keep_copy(parts.space_source, folder.source),
        keep_copy(parts.task_source, folder.source),
        parts.given_evaluator,
        parts.space,
        parts.evaluator,
    )
    write_spec(folder.spec, spec)
    writer = Writer(folder.journal)
    try:
        event = writer.write(
            "search_started",
            name=folder.name,
            search_id=uuid.uuid4().hex,
            spec=spec,
            seed=spec["seed"],
            space={
                "reference": spec["space"],
                "fingerprint": parts.space.fingerprint,
                "description": parts.space.description(),
                "size": str(parts.space.size()),
            },
            task={"reference": spec["task"]},
            objective={"metric": spec["metric"], "mode": spec["mode"]},
            versions=_versions(),
            machine=_machine(),
        )
    finally:
        writer.close()
    if progress is not None:
        progress(event)
    return _run(folder, spec, kept, progress, changes={})


def _run(
    folder: SearchFolder, spec: dict[str, Any], parts: _Parts, progress: Progress | None, *, changes: dict[str, Any]
) -> SearchResult:
    """One session, from its start to its end, under the folder's lock."""
    from raynas.engine.interrupt import interruptible
    from raynas.engine.session import Session
    from raynas.engine.supervisor import supervise
    from raynas.engine.trainable import WorkerSetup
    from raynas.journal import History, Writer, read

    history = History.from_events(read(folder.journal))
    writer = Writer(folder.journal)
    folder.stop.unlink(missing_ok=True)
    session = Session(
        folder,
        number=len(history.sessions),
        space=parts.space,
        searcher=_make_searcher(spec, parts.space),
        rule=_make_rule(spec),
        objective=Objective(spec["metric"], spec["mode"]),
        strategy=spec["strategy"],
        history=history,
        writer=writer,
        max_steps=spec["epochs"],
        trials=spec["trials"],
        progress=progress,
    )
    seconds = None if spec["time"] is None else max(0.0, spec["time"] - history.elapsed_seconds)
    try:
        with interruptible(session, seconds), cluster(spec["workers"], spec["address"]) as workers:
            session.record(
                "session_started",
                session=session.number,
                pid=os.getpid(),
                host=socket.gethostname(),
                limits={"trials": spec["trials"], "seconds": spec["time"]},
                workers=workers,
                changes=changes,
                versions=_versions(),
            )
            write_spec(folder.spec, spec)
            session.replay()
            setup = WorkerSetup(
                space=parts.space_source,
                task=parts.task_source,
                evaluator=parts.given_evaluator,
                checkpoints=folder.checkpoints,
                stop_flag=folder.stop,
                seed=spec["seed"],
                max_steps=spec["epochs"],
                memory_bytes=fair_share_bytes(workers) if spec["address"] is None else None,
            )
            _supervise_to_the_end(session, lambda: supervise(session, setup, workers))
    finally:
        writer.close()
        folder.stop.unlink(missing_ok=True)
    return SearchResult(folder, history)


def _supervise_to_the_end(session: Any, run: Callable[[], None]) -> None:
    """Runs the trials, and writes the session's end whatever that is."""
    try:
        run()
    except KeyboardInterrupt:
        session.end("interrupted")
        raise
    except BaseException as error:
        if session.fatal is None:
            session.end("error", f"{type(error).__name__}: {error}"[:2_000])
        raise
    session.end(session.stop_reason or "trials", session.message)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"raynas": __version__, "python": platform.python_version()}
    for package in ("ray", "torch", "optuna"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _machine() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": available_cpus(),
        "memory_bytes": available_bytes(),
        "gpus": torch.cuda.device_count() if torch is not None else 0,
    }


__all__ = ["SearchFolderError", "SearchResult", "current_spec", "listing", "load", "resume", "search"]
