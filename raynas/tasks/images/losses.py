"""What of a data set is not read: counted by kind and by class, and refused where it is too much."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence

from raynas.errors import TaskError
from raynas.tasks.images.source import PassedOver

_EXAMPLES = 5
_KINDS = 4


class Losses:
    """State: the images of a data set that cannot be read, and the files that are passed over.

    Args:
        passed_over: as the source has it.
        begun: whether a search has begun on these data before; then a class that was lost already is no news.
    """

    def __init__(self, passed_over: Sequence[PassedOver] = (), begun: bool = False) -> None:
        self._begun = begun
        #: Kinds of files that are passed over → how many.
        self.kinds = Counter(passed.kind for passed in passed_over)
        #: Images that cannot be read.
        self.unreadable = 0
        #: The first few of those, each with the reason.
        self.examples: list[str] = []
        self._lost = Counter(passed.kind for passed in passed_over if passed.lost)
        self._of_class = Counter(passed.label for passed in passed_over if passed.lost and passed.label is not None)

    def add(self, words: str, label: str | None) -> None:
        """One more image that cannot be read: its name and the reason, and its class."""
        self.unreadable += 1
        if label is not None:
            self._of_class[label] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(words)

    def copy(self) -> Losses:
        """Another one of the same state."""
        return copy.deepcopy(self)

    def check_share(self, name: str, kept: int, allowed: float, counts: Mapping[str, int] | None = None) -> None:
        """Refuses data of which too much is lost.

        Args:
            name: of the data.
            kept: images that are read.
            allowed: the share that may be lost.
            counts: images that are read, by class, where that is known.

        Raises:
            TaskError: the share is larger.
        """
        lost = self.unreadable + self._lost.total()
        if not lost or lost / (kept + lost) <= allowed:
            return
        kinds = [f"{count} {kind}" for kind, count in self._lost.most_common()]
        more = ", …" if self.unreadable > len(self.examples) else ""
        found = [*kinds, *self.examples]
        raise TaskError(
            f"{lost} of {kept + lost} images in {name} cannot be read ({lost / (kept + lost):.1%}, more than the "
            f"{allowed:.1%} that may be skipped): {', '.join(found)}{more}{self._worst(counts)}; "
            "mend or remove them, or allow more with max_unreadable"
        )

    def check_classes(self, name: str, counts: Mapping[str, int]) -> None:
        """Refuses data of which a whole class is lost.

        Args:
            name: of the data.
            counts: images that are read, by class.

        Raises:
            TaskError: of a class that has images, none is read.
        """
        for label, lost in sorted(self._of_class.items()):
            if not counts.get(label) and not self._begun:
                why = ", ".join([*self._lost, *self.examples][:_KINDS])
                raise TaskError(
                    f"class {label!r} of {name} would be lost: none of its {lost} images can be read ({why}); "
                    "mend them, or take the class out"
                )

    def _worst(self, counts: Mapping[str, int] | None) -> str:
        if not self._of_class:
            return ""
        label, lost = self._of_class.most_common(1)[0]
        of = f" of {counts.get(label, 0) + lost}" if counts is not None else ""
        return f"; class {label!r} lost most ({lost}{of})"


def describe_kinds(kinds: Mapping[str, int]) -> str:
    """``"12 .txt, 3 broken links"``: the commonest first, a few of them."""
    ordered = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    words = ", ".join(f"{count} {kind}" for kind, count in ordered[:_KINDS])
    return words + (f" and {sum(count for _, count in ordered[_KINDS:])} more" if len(ordered) > _KINDS else "")
