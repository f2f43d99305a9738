"""Beginning a search and running one session of it, under the folder's lock."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from types import MappingProxyType
from typing import Any

from raynas.counts import digits
from raynas.engine.cluster import Slots, cluster, workers_are_quiet
from raynas.engine.session import Session
from raynas.engine.start_check import check_here, judge_check
from raynas.engine.tracking_process import tracked
from raynas.engine.worker.memory import fair_share_bytes
from raynas.errors import SearchFolderError, UserError
from raynas.evaluators.evaluator import Evaluator, TrialContext
from raynas.journal import History, Writer
from raynas.resources import available_bytes, available_cpus
from raynas.results.result import SearchResult
from raynas.spec.components import (
    Components,
    keep_sources,
    make_rule,
    make_searcher,
    step_seconds,
    task_arguments,
)
from raynas.spec.constraints import costs_and_admission
from raynas.spec.reading import write_spec
from raynas.spec.settings import ResolvedSpec
from raynas.spec.warm_start import describe
from raynas.storage.search_folder import SearchFolder
from raynas.storage.working_folder import working_folder
from raynas.version import __version__

Progress = Callable[[dict[str, Any]], None]


def begin(
    folder: SearchFolder,
    spec: ResolvedSpec,
    components: Components,
    progress: Progress | None,
    earlier: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
) -> SearchResult:
    """Writes the first fact of a new search (its warm start in it), and runs its first session.

    The caller holds the folder's lock. Where the search cannot begin, its folder goes again.
    """
    folder.require_free()  # another process may have been faster
    history = History()
    try:
        folder.remove_remains()
        kept = keep_sources(components, folder)
        write_spec(folder.spec, spec)
        event = _write_beginning(folder, spec, components, earlier, plan)
        history.apply(event)
        if progress is not None:
            progress(event)
        return run(folder, spec, kept, progress, history=history, changes={})
    except UserError:
        if not history.sessions:  # no Ray, or no room for a trial: as if it had never been asked
            with suppress(SearchFolderError):
                folder.remove()
        raise


def _write_beginning(
    folder: SearchFolder,
    spec: ResolvedSpec,
    components: Components,
    earlier: dict[str, Any] | None,
    plan: dict[str, Any] | None,
) -> dict[str, Any]:
    """The journal's first event, written."""
    with Writer(folder.journal) as writer:
        return writer.write(
            "search_started",
            name=folder.name,
            search_id=uuid.uuid4().hex,
            spec=spec.to_json(),
            seed=spec.seed,
            space={
                "reference": spec.space,
                "id_rule": components.space.id_rule,
                "size_exact": components.space.size_exact,
                "fingerprint": components.space.fingerprint,
                "description": components.space.description(),
                "size": digits(components.space.size()),
            },
            task=_task_facts(spec, components),
            **spec.objectives.to_event(),
            versions=_versions(),
            machine=_machine(),
            working_folder=working_folder(),
            **({} if plan is None else {"plan": plan}),
            **({} if earlier is None else {"warm_start": earlier}),
        )


def run(
    folder: SearchFolder,
    spec: ResolvedSpec,
    components: Components,
    progress: Progress | None,
    *,
    history: History,
    changes: dict[str, Any],
    more: Mapping[str, Any] = MappingProxyType({}),
) -> SearchResult:
    """One session, from its start to its end, under the folder's lock.

    Args:
        history: of the journal as it stands; it grows with the session.
        changes: fields of the spec that this session changes.
        more: optional fields of ``session_started`` (docs/journal.md).
    """
    from raynas.engine.interrupt import interruptible
    from raynas.engine.stages import run_stages
    from raynas.engine.supervisor import supervise
    from raynas.engine.worker.setup import WorkerSetup

    costs, admission = costs_and_admission(spec, components, folder)
    searcher = make_searcher(spec, components.space, folder, admission)
    writer = Writer(folder.journal)
    session = Session(
        folder,
        number=len(history.sessions),
        space=components.space,
        searcher=searcher,
        rule=make_rule(spec, folder),
        objective=spec.objectives,
        strategy=spec.strategy,
        history=history,
        writer=writer,
        trials=spec.trials,
        keep_best=spec.keep_best,
        finalists=spec.finalists,
        repeats=spec.repeats or 0,
        cost=costs,
        admission=admission,
        progress=progress,
        judge=partial(judge_check, spec),
    )
    seconds = None if spec.time is None else max(0.0, spec.time - history.elapsed_seconds)
    try:
        with (
            interruptible(session, seconds) as on_ready,
            _cluster(spec, components) as slots,
            tracked(folder, session, components.store),
        ):
            on_ready(counts=False)
            decisions = _decisions(history, spec, components, slots)
            on_ready()  # what is measured for all trials is not taken from their time
            session.record(
                "session_started",
                session=session.number,
                pid=os.getpid(),
                host=socket.gethostname(),
                limits={"trials": spec.trials, "seconds": spec.time},
                workers=slots.workers,
                changes=changes,
                versions=_versions(),
                decisions=decisions,
                explanation=_explanation(session),
                **({"left_out": session.left_out} if session.left_out else {}),
                **more,
            )
            write_spec(folder.spec, spec)
            session.replay()
            setup = WorkerSetup(
                space=components.space_source,
                task=components.task_source,
                task_arguments=task_arguments(spec),
                evaluator=components.evaluator_source,
                folder=folder,
                seed=spec.seed,
                max_steps=spec.epochs,
                threads=max(1, int(slots.cpus)),
                device=slots.device,
                memory_bytes=fair_share_bytes(slots.workers) if spec.address is None else None,
                step_timeout=spec.trial_timeout,
                step_seconds=step_seconds(spec),
                rungs=tuple(session.rule.levels),
                metric=spec.metric,
                decisions=decisions,
                batch_size=spec.batch_size,
                affordable_flops=spec.affordable_flops,
                working_folder=working_folder(),
            )
            stages = list(components.evaluator.stages(components.space))

            def run_all() -> None:
                run_stages(session, stages, setup, slots, alone=spec.address is None)
                if session.stop_reason is None:
                    supervise(session, setup, slots)

            _supervise_to_the_end(session, run_all)
    finally:
        writer.close()
        folder.stop.unlink(missing_ok=True)
        if session.refused and session.number == 0:  # as if it had never been asked
            with suppress(SearchFolderError):
                folder.remove()
    return SearchResult(folder, history, tracking_message=session.tracking_message)


def _explanation(session: Session) -> str:
    """What the strategy does and why, and what it begins with, in one line; empty where there is nothing to say."""
    explain = getattr(session.searcher, "explain", None)
    return "; ".join(filter(None, (explain() if explain else "", describe(session.history))))


def _cluster(spec: ResolvedSpec, components: Components) -> AbstractContextManager[Slots]:
    wanted = ("max_concurrent", "cpus_per_trial", "gpus_per_trial", "device")
    limits = {key: spec[key] for key in wanted}
    return cluster(spec.workers, spec.address, training=components.evaluator.task is not None, **limits)


def _supervise_to_the_end(session: Session, run: Callable[[], None]) -> None:
    """Runs the trials, and writes the session's end whatever that is."""
    try:
        if session.folder.stop.exists():  # asked while all was being set up: no trial is begun
            session.stop("interrupted", checkpoint=True)
        else:
            run()
        recommended = session.weights.recommended()
    except KeyboardInterrupt:
        session.end("interrupted")
        raise
    except BaseException as error:
        if session.fatal is None or session.refused:
            session.end("error", f"{type(error).__name__}: {error}"[:2_000])
        raise
    session.end(session.stop_reason or "trials", session.message, recommended)


def _decisions(history: History, spec: ResolvedSpec, components: Components, slots: Slots) -> dict[str, Any]:
    """What the evaluator decides once for the whole search: measured in its first session, kept in all others."""
    for session in history.sessions:
        if "decisions" in session.started:
            return dict(session.started["decisions"])
    if components.decisions is not None:
        return components.decisions
    if slots.device != "cpu" and not _reachable(slots.device):
        return {} if spec.precision == "auto" else {"precision": spec.precision}
    threads, precision = max(1, int(slots.cpus)), spec.precision
    context = TrialContext(0, spec.seed, spec.epochs, threads, slots.device, precision=precision)
    if getattr(type(components.evaluator), "decide", None) is not Evaluator.decide:
        workers_are_quiet()
    try:
        return components.evaluator.decide(components.space, components.space.default(), context)
    except UserError:
        raise
    except Exception:
        check_here(components, spec)  # says in one line what is wrong, if it is a trial's trouble too
        raise


def _reachable(device: str) -> bool:
    """Whether this process can use the device that trials will have."""
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


def _task_facts(spec: ResolvedSpec, components: Components) -> dict[str, Any]:
    """What the journal says of the data: its name, its hash where it has one, what one sample is."""
    facts: dict[str, Any] = {"reference": spec.task}
    if spec.data:
        facts["data"] = spec.data
    for name in ("name", "input_shape", "num_classes", "train_size", "valid_size", "summary"):
        value = getattr(components.task, name, None)
        if value is not None:
            facts[name] = _plain(value)
    if components.evaluator.task is not None:
        from raynas.tasks.samples import facts as sample_facts

        facts |= sample_facts(components.evaluator.task)
    content = getattr(components.task, "content", None)
    return {**facts, "digest": content[:16]} if content else facts


def _plain(value: Any) -> Any:
    """A fact as JSON has it: a shape as a list, several shapes by their names."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


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
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if torch else [],
    }
