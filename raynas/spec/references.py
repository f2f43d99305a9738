"""Where a search's space and task come from, here and on a worker.

By reference (an entry point, or ``path/file.py:name``) the code travels as a name: a file is copied into the search's
folder and loaded from there, on every machine. An object made in a notebook travels pickled through Ray, inside this
search only, and has to be handed in again on resume.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from raynas.errors import EvaluatorError, SpaceError, TaskError, UserError
from raynas.evaluators.evaluator import Evaluator
from raynas.modules import Place, line_of, load, module_name, place_of
from raynas.registry import attribute, find, is_file, split_file
from raynas.space import Space
from raynas.storage import source_copies as copies
from raynas.tasks.kinds import KINDS, kind_of
from raynas.tasks.task import Task

#: The reference of RayNAS's own training on the task's data.
TRAINING = "training"


@dataclass(frozen=True)
class Source:
    """One object by reference, or the object itself.

    Attributes:
        reference: an entry point's name, an absolute ``path/file.py:name``, or "" for an object.
        place: of a file: where it is read, the original or its copy in the search's folder.
        module: of a file: the name under which it is imported.
        obj: the object where it has no reference.
    """

    group: str
    reference: str
    place: Place | None = None
    module: str = ""
    obj: Any = None

    def get(self) -> Any:
        """The object that is named: a class, a function or a value.

        Raises:
            UserError: the file cannot be imported, or has nothing of that name.
        """
        if not self.reference:
            return self.obj
        if self.place is None:
            return find(self.group, self.reference)
        return attribute(self.group, load(self.place, self.module), self.reference.rpartition(":")[2])


def source_of(group: str, what: Any, beside: Iterable[Source] = ()) -> Source:
    """The source of a reference or of an object.

    Args:
        beside: sources of the same search that have a right to their modules' names before this one.

    Raises:
        UserError: a reference that names nothing.
    """
    if not isinstance(what, str):
        return Source(group, "", obj=what)
    if not is_file(what):
        if (group, what) != ("raynas.evaluators", TRAINING):  # which imports torch, and Ray is to start before that
            find(group, what)
        return Source(group, what)
    path, name = split_file(what, group)
    source = _in_place(group, f"{path}:{name}", place_of(path), beside)
    source.get()
    return source


def _in_place(group: str, reference: str, place: Place, beside: Iterable[Source]) -> Source:
    others = [source.place for source in beside if source.place is not None]
    return Source(group, reference, place, module_name(place, others))


def known_source(reference: str, folder: Path | None) -> Source:
    """The source of another part of the same search, for its place alone; nothing is imported.

    Args:
        folder: of the search's copies, where it has begun.
    """
    place = None
    if is_file(reference) and not reference.startswith("<"):
        original = original_of(reference)
        place = None if folder is None else copies.copy_of(folder, original)
        place = place or (place_of(original) if original.is_file() else None)
    return Source("", reference, place)


def original_of(reference: str) -> Path:
    """The file of an absolute ``path/file.py:name``."""
    return Path(reference.rpartition(":")[0])


def keep_copy(source: Source, folder: Path, beside: Iterable[Source] = (), *, anew: bool = False) -> Source:
    """Copies a source's file into ``folder`` (once), and gives the source that loads the copy.

    Args:
        beside: see ``source_of``.
        anew: what is there already is replaced.
    """
    if not is_file(source.reference):
        return source
    place = copies.keep(folder, original_of(source.reference), anew=anew)
    return _in_place(source.group, source.reference, place, beside)


def make_task(
    source: Source, arguments: Mapping[str, Any] = MappingProxyType({}), affordable_flops: float | None = None
) -> Task:
    """The task itself: a class or a function is called with the arguments (``data`` and the task's own options).

    Args:
        affordable_flops: see ``Task``; the space that is made for the task may use it.

    Raises:
        TaskError: it does not take them, or the data cannot be used.
    """
    task = source.get()
    named = source.reference or getattr(task, "name", "the given object")
    if not inspect.isclass(task) and not inspect.isfunction(task):
        if arguments:
            raise TaskError(f"task {named!r} is made already; it takes no {', '.join(arguments)}")
        return _checked(task, named, affordable_flops)
    try:
        inspect.signature(task).bind(**arguments)
    except TypeError as error:
        raise TaskError(f"task {named!r} cannot be made with {', '.join(arguments) or 'no data'}: {error}") from None
    try:
        task = task(**arguments)
    except UserError:
        raise
    except Exception as error:
        raise TaskError(f"task {named!r} could not be made: {type(error).__name__}: {error}") from error
    return _checked(task, named, affordable_flops)


def _checked(task: Any, named: str, affordable_flops: float | None) -> Task:
    if isinstance(task, Task) and kind_of(task).classes and not hasattr(task, "num_classes"):
        raise TaskError(
            f"task {named!r} is a {task.kind} and does not say its num_classes; give it, or another kind: "
            f"{', '.join(KINDS)}"
        )
    if not hasattr(task, "input_shape") or not hasattr(task, "num_classes"):
        raise TaskError(
            f"task {named!r} is a {type(task).__name__}; a raynas.tasks.task.Task is needed (docs/own/task.py)"
        )
    set_affordable(task, affordable_flops)
    return cast(Task, task)


def set_affordable(task: Task, flops: float | None) -> None:
    """Sets what a trial can afford (``Task.affordable_flops``), for the space that is made for the task next."""
    if flops is not None or getattr(task, "affordable_flops", None) is not None:
        with suppress(AttributeError):  # an object that takes no attributes
            task.affordable_flops = flops


def make_evaluator(source: Source, task: Task, batch_size: int | None = None) -> Evaluator:
    """The evaluator itself: training on the task, one made already, a class of evaluators, or a training loop.

    Args:
        source: of an ``Evaluator``, of a class that is called with the task, or of a generator function
            (``raynas.evaluators.own_loop``).
        task: the search's.
        batch_size: samples a step of RayNAS's own training (None: as the task says).

    Raises:
        EvaluatorError: it is nothing of that, or it cannot be made.
    """
    if source.reference == TRAINING:
        from raynas.evaluators.training import Training

        return Training(task) if batch_size is None else Training(task, batch_size=batch_size)
    found = source.get()
    if isinstance(found, Evaluator):
        return found
    if inspect.isclass(found) and issubclass(found, Evaluator):
        try:
            made: Evaluator = found(*([task] if _takes_task(found) else []))
            return made
        except UserError:
            raise
        except Exception as error:
            raise EvaluatorError(
                f"evaluator {source.reference or found.__name__!r} cannot be made from the task: "
                f"{type(error).__name__}: {error}"
            ) from error
    if inspect.isfunction(found):
        from raynas.evaluators.own_loop import OwnLoop

        return OwnLoop(found, task)
    raise EvaluatorError(
        f"evaluator {source.reference or 'given'!r} is a {type(found).__name__}; it must be an Evaluator, a class of "
        "them, or a training loop: a generator function of the network and the trial (docs/own/evaluator.md)"
    )


def _takes_task(made: type[Evaluator]) -> bool:
    """Whether a class is called with the task: it has an argument of that name first, or one that must be given."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = next((each for each in inspect.signature(made).parameters.values() if each.kind in positional), None)
    return first is not None and (first.name == "task" or first.default is inspect.Parameter.empty)


def make_space(source: Source, task: Task) -> Space:
    """The space itself: a ``Space``, or what a function makes of the task.

    Raises:
        SpaceError: it is no space, or it has no holes.
    """
    named = source.reference or getattr(source.obj, "__name__", "the given object")
    space = source.get()
    if callable(space) and not isinstance(space, Space):
        try:
            space = space(task) if inspect.signature(space).parameters else space()
        except Exception as error:
            line = line_of(error, getattr(getattr(space, "__code__", None), "co_filename", ""))
            if isinstance(error, UserError) and not line:
                raise
            words = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            raise SpaceError(f"search space {named!r} could not be made{line}: {words}") from error
    if not isinstance(space, Space):
        raise SpaceError(
            f"search space {named!r} is a {type(space).__name__}; it must be a raynas.space.Space, "
            "or a function of the task that returns one"
        )
    if not space.holes():
        raise SpaceError(
            f"search space {named!r} has no holes, so there is nothing to search; "
            "put a Choice, Int, Float or Repeat in it"
        )
    return space
