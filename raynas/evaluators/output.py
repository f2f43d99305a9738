"""Whether the networks of a space give what a task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raynas.errors import SpaceError

if TYPE_CHECKING:
    from raynas.space import Architecture, Space
    from raynas.tasks.task import Task


def require_output(space: Space, architecture: Architecture, task: Task) -> None:
    """Raises SpaceError where the network does not fit the task's inputs, or its output has another shape."""
    shape = tuple(space.check(architecture, task.input_shape, getattr(task, "input_dtype", None)))
    if shape != task.output_shape:
        raise SpaceError(
            f"the network's output has shape {shape}, task {task.name!r} needs {task.output_shape}; "
            f"end the space with a head of {task.num_classes} outputs"
        )
