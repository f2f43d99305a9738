"""Names of metrics and holes as MLflow's keys: its letters, its length, and no two names with one key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_KEY = 250

#: Metrics of every trial that do not come from the task; one of the task's with such a name gets another key.
OWN_METRICS = ("seconds", "parameters", "flops")

_FORBIDDEN = re.compile(r"[^\w./ :-]", re.ASCII)


def clean_key(name: str) -> str:
    """``name`` with what MLflow does not allow in keys replaced by ``_``, and its end cut off where it is too long."""
    key = _FORBIDDEN.sub("_", name)
    key = re.sub(r"/{2,}", "/", key).strip("/") or "_"
    parts = [part if part not in {".", ".."} else "_" for part in key.split("/")]
    return "/".join(parts)[:MAX_KEY]


class Keys:
    """The key of each name. State: the names seen so far.

    Names that differ only in letters which MLflow does not allow would share a key: the second gets ``_2``, and so on.
    A name keeps its key as further ones come, so it is the order of their first appearance in the journal that counts.

    Args:
        reserved: keys that no name gets.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._key_of: dict[str, str] = {}
        self._taken = set(reserved)

    def __call__(self, name: str) -> str:
        """The key of a name, the same at every call."""
        if name not in self._key_of:
            key = unique = clean_key(name)
            number = 1
            while unique in self._taken:
                number += 1
                unique = f"{key[: MAX_KEY - 8]}_{number}"
            self._taken.add(unique)
            self._key_of[name] = unique
        return self._key_of[name]

    @property
    def changed(self) -> dict[str, str]:
        """Key to name, where they differ."""
        return {key: name for name, key in self._key_of.items() if key != name}


@dataclass(frozen=True)
class SearchKeys:
    """The keys of one search's metrics and holes, the same in all of its trials."""

    metrics: Keys = field(default_factory=lambda: Keys(OWN_METRICS))
    holes: Keys = field(default_factory=Keys)
