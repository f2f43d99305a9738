"""Mended files of one's own for a search that has begun: ``raynas resume NAME --take-new-files``.

A search goes on with the copies of the files that it began with: they decide what its figures mean. New ones are taken
only as long as no trial has a figure that counts, that is where all that were measured have failed since. The template
must be the same. Trials that failed with the old files then no longer count: they are *void* (docs/journal.md).
"""

from __future__ import annotations

from pathlib import Path

from raynas import modules
from raynas.errors import SpecError
from raynas.registry import is_file
from raynas.results.components import require_same_space, resumed_source
from raynas.results.result import SearchResult
from raynas.spec.components import Components, find_components, keep_sources
from raynas.spec.references import Source, original_of, source_of
from raynas.spec.settings import ResolvedSpec
from raynas.storage import source_copies as copies
from raynas.storage.search_folder import SearchFolder


def own_files(spec: ResolvedSpec) -> list[Path]:
    """The files of a person's own that a search was begun with."""
    named = [spec[which] for which in ("space", "task", "strategy", "scheduler", "evaluator")]
    references = [*named, *spec.costs]
    return [original_of(reference) for reference in references if not reference.startswith("<") and is_file(reference)]


def changed_files(result: SearchResult) -> list[Path]:
    """Of these and of what they import: the files that have changed since they were copied."""
    return copies.changed(result.folder / "source", own_files(result.spec))


def voided(result: SearchResult) -> list[int]:
    """The trials that are void once new files are taken: those that failed."""
    history = result.history
    return [
        number for number, record in history.trials.items() if record.state == "failed" and number not in history.void
    ]


def renewed_components(
    result: SearchResult, *, space: object = None, task: object = None, evaluator: object = None
) -> Components:
    """The components of a begun search as its files are now; nothing is copied yet.

    Args:
        space, task, evaluator: again, where the search was begun with objects and not with references.

    Raises:
        SpecError: trials were measured with the files as they were, or there is nothing new to take.
        SpaceError: the space is no longer the one that the search was begun with.
        UserError: the files cannot be used.
    """
    _require_nothing_measured(result)
    if not (voided(result) or changed_files(result)):
        raise SpecError(f"no file of search {result.name!r} differs from its copy; leave --take-new-files out")
    spec, folder = result.spec, SearchFolder(result.folder.parent, result.name)
    modules.forget([*changed_files(result), *folder.source.rglob("*.py"), *own_files(spec)])
    space_source = _source("raynas.spaces", spec.space, space, folder, [])
    task_source = _source("raynas.tasks", spec.task, task, folder, [space_source])
    beside = [space_source, task_source]
    evaluator_source = _source("raynas.evaluators", spec.evaluator, evaluator, folder, beside)
    components = find_components(space_source, task_source, evaluator_source, spec)
    require_same_space(result, components.space)
    return components


def take(result: SearchResult, components: Components) -> Components:
    """Replaces the copies by the files as they are now, and removes what was trained with the old ones."""
    spec, folder = result.spec, SearchFolder(result.folder.parent, result.name)
    components = keep_sources(components, folder, anew=True)
    for reference in (spec.strategy, spec.scheduler, *spec.costs):
        if is_file(reference):
            copies.keep(folder.source, original_of(reference), anew=True)
    modules.forget(folder.source.rglob("*.py"))
    for number in result.history.running:
        folder.remove_checkpoints(number)
    return components


def _source(group: str, reference: str, given: object, folder: SearchFolder, beside: list[Source]) -> Source:
    """What is handed in, else the file itself, else (it is gone) its copy."""
    if given is None and is_file(reference) and original_of(reference).is_file():
        return source_of(group, reference, beside)
    return resumed_source(group, reference, given, folder, beside)


def _require_nothing_measured(result: SearchResult) -> None:
    measured = sum(bool(record.measurements) and record.state != "failed" for record in result.history.trials.values())
    if measured:
        raise SpecError(
            f"{measured} trials of search {result.name!r} were measured with its files as they were, and new figures "
            "would not compare with these; leave --take-new-files out, or begin a new search under another --name"
        )
