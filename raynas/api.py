"""Search, resume, look: what the command line and ``import raynas`` offer, with the same words.

The order matters for "nothing lost": everything that a person can get wrong is found before the search's folder is
made, and before Ray is started.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas import paths
from raynas.engine import renewal
from raynas.engine.cluster import prepare_environment, require_room
from raynas.engine.dry_run import Plan, make_plan
from raynas.engine.early_start import Start, early_start
from raynas.engine.run import Progress, begin, run
from raynas.engine.start_check import check_here
from raynas.engine.time_plan.plan import Fitted, check_asked, fit, sized
from raynas.engine.tracking_process import take_address
from raynas.errors import SearchFolderError
from raynas.journal.finalists import next_repeat
from raynas.registry import SETTING_OF, is_file, require_known
from raynas.results.components import resumed_components
from raynas.results.opening import listing, load
from raynas.results.result import SearchResult
from raynas.results.working_folder import working_as_begun
from raynas.spec.components import (
    Components,
    find_components,
    free_name,
    label,
    make_searcher,
    preflight,
    resolve,
    settled_finalists,
    with_limits,
)
from raynas.spec.constraints import constraints_of, require_feasible
from raynas.spec.costs import cost_models, metrics_of
from raynas.spec.reading import read_spec
from raynas.spec.references import TRAINING, source_of
from raynas.spec.settings import ResolvedSpec, SearchSpec, Settings
from raynas.spec.warm_start import absolute, read_warm_start
from raynas.storage.search_folder import FolderLock, SearchFolder, home_folder, is_locked, require_writable

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

__all__ = ["listing", "load", "plan", "resume", "search", "stop"]


def search(
    space: Any = None,
    *,
    task: Any = None,
    evaluator: Any = None,
    config: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> SearchResult:
    """Runs a new search to its end, or until it is interrupted.

    Args:
        space: an entry point's name, ``path/file.py:name``, a ``Space``, or a function of the task that returns one.
        task: an entry point's name, ``path/file.py:name``, or a ``Task``.
        evaluator: an entry point's name, ``path/file.py:name``, an ``Evaluator``, or a training loop of your own, a
            generator function of the network and the trial (docs/own/evaluator.md); default: training on the task.
        config: a YAML file with space, task and settings; what is given here overrides it.
        home: the folder of all searches; default: ``$RAYNAS_HOME`` or ``./raynas-runs``.
        progress: called with every journal event (docs/journal.md).
        **settings: see ``Settings``.

    Returns:
        What was found. A KeyboardInterrupt comes only after a second interruption.

    Raises:
        UserError: the search cannot be run so; nothing was written.
    """
    home = home_folder(home)
    require_writable(home)
    with early_start() as start:
        spec, components, earlier, named, fitted = _prepare(space, task, evaluator, config, home, settings, start)
        folder = SearchFolder(home, spec.name)
        if named:
            folder.create()
        else:
            while not folder.claim():  # another search has taken the name meanwhile
                spec = replace(spec, name=free_name(spec.space, home))
                folder = SearchFolder(home, spec.name)
        with FolderLock(folder):
            return begin(folder, spec, components, progress, earlier, None if fitted is None else fitted.facts)


def plan(
    space: Any = None,
    *,
    task: Any = None,
    evaluator: Any = None,
    config: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    **settings: Unpack[Settings],
) -> Plan:
    """What ``search`` with the same arguments would do, after measuring a few steps here; nothing is written.

    Raises:
        UserError: as ``search``.
    """
    spec, components, _, _, fitted = _prepare(space, task, evaluator, config, home_folder(home), settings)
    check_here(components, spec)
    return make_plan(spec, components, fitted)


def _prepare(
    space: Any,
    task: Any,
    evaluator: Any,
    config: str | os.PathLike[str] | None,
    home: Path,
    settings: Mapping[str, Any],
    start: Start = lambda spec, training: None,
) -> tuple[ResolvedSpec, Components, dict[str, Any] | None, bool, Fitted | None]:
    """The resolved spec, the components and the warm start of a new search, checked; nothing is written.

    At last: whether the search's name was given, not made up; and what was decided from the search's time.

    Args:
        start: begins to start Ray, once the likeliest mistakes are ruled out: Ray is not there at once, and not gone at
            once.
    """
    given = {key: value for key, value in settings.items() if key != "seconds"}
    given |= {"space": label(space), "task": label(task), "evaluator": label(evaluator)}
    given["time"] = settings.get("seconds")
    asked = read_spec(Path(config) if config is not None else None, given)
    asked = replace(
        asked,
        task=asked.task or ("images" if asked.data else "digits"),
        strategy=label(asked.strategy) or asked.strategy,
        scheduler=label(asked.scheduler) or asked.scheduler,
        data=str(paths.absolute(asked.data)) if asked.data else asked.data,
        warm_start=absolute(asked.warm_start) if asked.warm_start else asked.warm_start,
        costs=[label(each) or each for each in asked.costs],
    )
    if asked.name:
        SearchFolder(home, asked.name).require_free()
    check_asked(asked)
    settled_finalists(with_limits(asked))
    asked, store = take_address(asked, home)
    prepare_environment(asked.workers, asked.address)
    _require_room(asked)
    for group, which in SETTING_OF.items():
        if not asked[which].startswith("<"):
            require_known(group, asked[which])
    constraints_of(asked, metrics_of(cost_models(asked)))
    trains = asked.evaluator == TRAINING or is_file(asked.evaluator)
    own = any(asked[which].startswith("<") or is_file(asked[which]) for which in ("space", "task", "evaluator"))
    paths.home_folder()  # Ray cannot be imported without one
    if not own:
        start(asked, trains)
    space_source = source_of("raynas.spaces", asked.space if space is None else space)
    task_source = source_of("raynas.tasks", asked.task if task is None else task, [space_source])
    evaluator = asked.evaluator if evaluator is None else evaluator
    evaluator_source = source_of("raynas.evaluators", evaluator, [space_source, task_source])
    start(asked, trains)
    asked, side = sized(asked), asked.image_size
    components = find_components(space_source, task_source, evaluator_source, asked)
    if side is not None and hasattr(components.task, "require_side"):
        components.task.require_side(side)
    spec = resolve(asked, components, home)
    make_searcher(spec, components.space)
    preflight(components, spec)
    require_feasible(spec, components)
    earlier = read_warm_start(spec, components.space, home)  # what is wrong with it is told before anything is measured
    fitted = fit(asked, components)
    if fitted is not None:
        components = fitted.components
        spec = resolve(replace(asked, **fitted.settings, seed=spec.seed), components, home)
        require_feasible(spec, components)  # the space may be another one now
        earlier = read_warm_start(spec, components.space, home)
    return spec, replace(components, store=store), earlier, bool(asked.name), fitted


def resume(
    name: str,
    *,
    trials: int | None = None,
    seconds: float | str | None = None,
    finalists: int | None = None,
    repeats: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    mlflow: bool | None = None,
    tracking_uri: str | None = None,
    take_new_files: bool = False,
    home: str | os.PathLike[str] | None = None,
    space: Any = None,
    task: Any = None,
    evaluator: Any = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Goes on with a search: unfinished trials first, from their checkpoints.

    Args:
        trials, seconds: new totals over all sessions.
        finalists, repeats: train so many of the leading networks again, so often (in all); with 0 finalists no
            further repeat is begun. Of a search that has used up its time, and where no new limit is given: whatever
            time that takes, and no new trials.
        mlflow, tracking_uri: whether and where the search is written to MLflow from now on. A password in the address
            is not kept: it is given again here, or as ``MLFLOW_TRACKING_URI``.
        take_new_files: take files of one's own as they are now, in place of the copies that the search began with, and
            try anew in place of the trials that failed; only where no other trial was measured.
        space, task, evaluator: again, where the search was begun with objects and not with references.

    Returns:
        What was found; at once where the search has nothing left to do.

    Raises:
        UserError: no such search, another process runs it, or the space is no longer the one it was begun with.
    """
    folder = SearchFolder(home_folder(home), name)
    folder.require()
    with FolderLock(folder), working_as_begun(result := SearchResult(folder)):
        asked = {"trials": trials, "time": seconds, "finalists": finalists, "repeats": repeats}
        asked |= {"workers": workers, "address": address, "mlflow": mlflow, "tracking_uri": tracking_uri}
        given = {key for key, value in asked.items() if value is not None}
        checked = read_spec(None, {"space": "-", **asked})
        changes = {key: checked[key] for key in asked if key in given}
        if finalists == 0 and repeats is None:
            changes["repeats"] = None
        if finalists and trials is None and seconds is None:
            changes |= _limits_at_the_end(result)
        spec = settled_finalists(replace(result.spec, **changes))
        changes |= {"repeats": spec.repeats} if finalists else {}
        prepare_environment(spec.workers, spec.address)
        _require_room(spec)
        given_again = {"space": space, "task": task, "evaluator": evaluator}
        components = (renewal.renewed_components if take_new_files else resumed_components)(result, **given_again)
        result.changed_files = tuple(renewal.changed_files(result))
        changed = [str(path) for path in result.changed_files]
        void = renewal.voided(result) if take_new_files else []
        if _nothing_left(result, spec, len(void)):
            return result
        spec, store = take_address(spec, folder.path.parent)
        changes |= {key: spec[key] for key in changes if key == "tracking_uri"}  # without its password
        if not folder.stop.exists():  # asked to stop meanwhile
            preflight(components, spec)
        if take_new_files:
            components = renewal.take(result, components)
        components = replace(components, store=store)
        files = {"files": {"changed": changed, "taken": take_new_files}} if changed else {}
        more = {**files, **({"void": void} if void else {})}
        found = run(folder, spec, components, progress, history=result.history, changes=changes, more=more)
        found.changed_files = () if take_new_files else result.changed_files
        return found


def stop(name: str, home: str | os.PathLike[str] | None = None) -> SearchResult:
    """Asks the process that runs a search to checkpoint its trials and end, and waits until it has.

    Raises:
        SearchFolderError: there is no such search, or nobody runs it.
    """
    folder = SearchFolder(home_folder(home), name)
    folder.require()
    if not is_locked(folder):
        raise SearchFolderError(f"search {name!r} is not running; there is nothing to stop (raynas status {name})")
    folder.stop.write_text("asked by another process\n")
    while is_locked(folder):
        time.sleep(0.1)
    return SearchResult(folder)


def _require_room(spec: SearchSpec) -> None:
    wanted = ("cpus_per_trial", "gpus_per_trial", "device")
    require_room(spec.address, **{key: spec[key] for key in wanted})


def _limits_at_the_end(result: SearchResult) -> dict[str, Any]:
    """Limits under which the finalists of a search that has ended are trained, and nothing new is tried; no changes
    where its own limits do.

    A search that has used up its time has none left for finalists, and one without a limit on trials has no last one.
    """
    history, spec = result.history, result.spec
    used_up = spec.time is not None and (result.reason == "time" or history.elapsed_seconds >= spec.time)
    if not used_up and not (result.reason == "exhausted" and spec.trials is None):
        return {}
    return {"trials": history.searched, **({"time": None} if used_up else {})}


def _nothing_left(result: SearchResult, spec: ResolvedSpec, void: int) -> bool:
    """Whether the limits leave nothing to do, once so many more trials do not count.

    A search whose last session was killed after its last trial has its end left to be written.
    """
    history = result.history
    if spec.time is not None and history.elapsed_seconds >= spec.time:
        return True
    if history.running:
        return False
    used_up = spec.trials is not None and history.searched - void >= spec.trials
    last = used_up or (result.reason == "exhausted" and not void)
    return last and result.reason is not None and next_repeat(history, spec.finalists, spec.repeats or 0) is None
