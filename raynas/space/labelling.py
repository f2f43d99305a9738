"""Canonical text for a small labelled directed acyclic graph: equal text if and only if the graphs are isomorphic.

A value that is used once is written into the text of its user, so that only values used several times need a name.
Nearly always their own texts tell these apart, and the text is done in one pass. Where two of them have one text,
colours are refined until they settle (1-dimensional Weisfeiler-Leman, over operands and users), and what is still
tied is broken by trying each member and keeping the least text; a member that leads to the same first leaf as an
earlier one is its mirror image and is not followed (as in B. McKay, "Practical graph isomorphism", 1981).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any


class Dag:
    """Values by number, operands before users; number 0 is the input.

    Attributes:
        labels: what computes each value.
        children: its operands, in order (for a sum: each once, any order).
        times: for a sum, how often each operand is added; else empty.
    """

    def __init__(self) -> None:
        self.labels: list[str] = ["input"]
        self.children: list[tuple[int, ...]] = [()]
        self.times: list[tuple[int, ...]] = [()]

    def add(self, label: str, children: tuple[int, ...], times: tuple[int, ...] = ()) -> int:
        """A new value; returns its number."""
        self.labels.append(label)
        self.children.append(children)
        self.times.append(times)
        return len(self.labels) - 1


def text(dag: Dag, output: int) -> str:
    """The canonical text of what the output needs."""
    live = [False] * len(dag.labels)
    live[output] = True
    uses = [0] * len(dag.labels)
    for value in range(output, -1, -1):  # operands have smaller numbers
        if live[value]:
            for child in dag.children[value]:
                live[child] = True
                uses[child] += 1
    order = [value for value in range(output + 1) if live[value]]
    shared = {value for value in order if uses[value] > 1}
    digests = _digests(dag, order, {value: "" for value in shared})
    if len({digests[value] for value in shared}) == len(shared):
        return f"{digests[output]} {len(shared)}"
    return "tied " + _Search(dag, order, shared, output).least()


def _digests(dag: Dag, order: list[int], names: dict[int, str]) -> dict[int, str]:
    """A hash of each value's text; operands that have a name are written as that name and their hash.

    An empty name says only "shared"; used where the hashes alone tell the shared values apart.
    """
    found: dict[int, str] = {}
    refs: dict[int, str] = {}
    for value in order:
        children = dag.children[value]
        times = dag.times[value]
        if times:
            operands = sorted(f"{count}*{refs[child]}" for child, count in zip(children, times, strict=True))
        else:
            operands = [refs[child] for child in children]
        line = "\n".join([dag.labels[value], *operands])
        digest = found[value] = hashlib.sha256(line.encode()).hexdigest()
        refs[value] = f"#{names[value]}{digest}" if value in names else digest
    return found


class _Search:
    """Colour refinement, and trying where colours tie."""

    def __init__(self, dag: Dag, order: list[int], shared: set[int], output: int) -> None:
        self.dag, self.order, self.shared, self.output = dag, order, shared, output
        self.users: dict[int, list[tuple[int, int]]] = {value: [] for value in order}
        for value in order:
            times = dag.times[value]
            for position, child in enumerate(dag.children[value]):
                # An operand of a sum is known by how often it is added, any other by its position.
                self.users[child].append((value, times[position] if times else -1 - position))

    def least(self) -> str:
        labels = sorted({self.dag.labels[value] for value in self.order})
        start = {value: labels.index(self.dag.labels[value]) for value in self.order}
        return self.search(self.refine(start))

    def refine(self, colours: dict[int, int]) -> dict[int, int]:
        while True:
            signatures: dict[int, Any] = {}
            for value in self.order:
                times = self.dag.times[value]
                operands = [colours[child] for child in self.dag.children[value]]
                pairs = sorted(zip(operands, times, strict=True)) if times else list(enumerate(operands))
                users = sorted((colours[user], how) for user, how in self.users[value])
                signatures[value] = (colours[value], tuple(pairs), tuple(users))
            ranks = {signature: rank for rank, signature in enumerate(sorted(set(signatures.values())))}
            new = {value: ranks[signature] for value, signature in signatures.items()}
            if len(ranks) == len(set(colours.values())):
                return new
            colours = new

    def tie(self, colours: dict[int, int]) -> list[int]:
        """The shared values of the first colour that several of them have."""
        counts = Counter(colours[value] for value in self.shared)
        tied = [colour for colour, times in counts.items() if times > 1]
        return [value for value in self.order if value in self.shared and colours[value] == min(tied)] if tied else []

    def single_out(self, colours: dict[int, int], value: int) -> dict[int, int]:
        """The value's colour put before that of its equals, and refined."""
        changed = {other: 2 * colour + 1 for other, colour in colours.items()}
        changed[value] -= 1
        return self.refine(changed)

    def leaf(self, colours: dict[int, int]) -> str:
        """The text with the shared values named by the order of their colours."""
        named = sorted(self.shared, key=colours.__getitem__)
        digests = _digests(self.dag, self.order, {value: f"{number} " for number, value in enumerate(named)})
        return " ".join(digests[value] for value in [*named, self.output])

    def first_leaf(self, colours: dict[int, int]) -> str:
        while tied := self.tie(colours):
            colours = self.single_out(colours, tied[0])
        return self.leaf(colours)

    def search(self, colours: dict[int, int]) -> str:
        tied = self.tie(colours)
        if not tied:
            return self.leaf(colours)
        seen: set[str] = set()
        best: str | None = None
        for value in tied:
            singled = self.single_out(colours, value)
            leaf = self.first_leaf(singled)
            if leaf in seen:  # an automorphism carries an earlier member to this one
                continue
            seen.add(leaf)
            found = self.search(singled)
            best = found if best is None or found < best else best
        assert best is not None
        return best
