"""What an error suggests in place of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """``did you mean 'resnet'?``, with the known name that is most like ``name``; ``otherwise`` where none is like it.

    >>> did_you_mean("resnt", ["mlp", "resnet"])
    "did you mean 'resnet'?"
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
