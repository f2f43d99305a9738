"""When a spinner may turn while a task is made: not where the task may draw a progress bar of its own."""

from __future__ import annotations

#: The default task. Its data comes with RayNAS, so it is there at once, and it never draws a bar.
_DRAWS_NO_BAR = "digits"


def spinner_text(text: str, task: str | None, *, may_change: bool = False) -> str:
    """What the spinner says; "" where no spinner may turn.

    A task of images reads its data in the first time, and shows a progress bar for that. Two displays on one terminal
    would overwrite each other.

    Args:
        text: what is being done.
        task: the name of the task; None for the default one.
        may_change: whether something not read yet (data, a settings file) may make it another task.
    """
    return text if task in (None, _DRAWS_NO_BAR) and not may_change else ""
