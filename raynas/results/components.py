"""What a begun search is made of, made again from the references in its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from raynas.errors import SpaceError, SpecError
from raynas.registry import SETTING_OF, is_file
from raynas.results.search_view import SearchView
from raynas.space import Space
from raynas.spec.components import Components, find_components
from raynas.spec.references import Source, keep_copy, source_of
from raynas.storage.search_folder import SearchFolder


def resumed_components(
    result: SearchView, *, space: object = None, task: object = None, evaluator: object = None
) -> Components:
    """The components of a begun search, made again from its references; objects have to be handed in again.

    Args:
        evaluator: who only reads a search's networks says ``TRAINING``: its own evaluator, and what that imports, is
            then not needed.

    Raises:
        UserError: they cannot be had, or the space is no longer the one that the search was begun with.
    """
    spec, folder = result.spec, SearchFolder(result.folder.parent, result.name)
    space_source = resumed_source("raynas.spaces", spec.space, space, folder)
    task_source = resumed_source("raynas.tasks", spec.task, task, folder, [space_source])
    beside = [space_source, task_source]
    evaluator_source = resumed_source("raynas.evaluators", spec.evaluator, evaluator, folder, beside)
    components = find_components(space_source, task_source, evaluator_source, spec)
    require_same_space(result, components.space)
    return replace(components, space=components.space.with_id_rule(result.begun["space"].get("id_rule", 1)))


def require_same_space(result: SearchView, space: Space) -> None:
    """Raises SpaceError, which shows what changed, where a search was begun with another template."""
    begun_with = result.begun["space"]
    if begun_with["fingerprint"] == space.fingerprint:
        return
    changes = "; ".join(space.differences(begun_with["description"])[:5]) or "its template differs"
    raise SpaceError(
        f"the search space of {result.name!r} has changed since it was begun ({changes}); "
        "restore it, or start a new search with another name"
    )


def resumed_source(
    group: str, reference: str, given: object, folder: SearchFolder, beside: Iterable[Source] = ()
) -> Source:
    """The source of a begun search's space or task: what is handed in again, else its reference (a file: its copy)."""
    if given is not None:
        return source_of(group, given, beside)
    if reference.startswith("<"):
        what = SETTING_OF[group]
        raise SpecError(
            f"search {folder.name!r} was begun with the {what} object {reference}, which is not kept; "
            f"hand it in again: raynas.resume({folder.name!r}, {what}=...)"
        )
    if is_file(reference):
        return keep_copy(Source(group, reference), folder.source, beside)
    return source_of(group, reference, beside)
