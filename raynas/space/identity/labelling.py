"""Canonical text for a small labelled directed acyclic graph: equal text if and only if the graphs are isomorphic.

A value that is used once is written into the text of its user, so only values that are used several times need a name.
Nearly always the texts of these values differ, and one pass is enough. If two of them have the same text, colours are
refined until they settle (1-dimensional Weisfeiler-Leman, over operands and users). Remaining ties are broken by trying
each member and keeping the least text. A member that is the mirror image of an earlier one is not followed. A proven
automorphism covers all members of its orbit, here and further down. Without one, a member is a mirror image if it leads
to the same first leaf (B. McKay, "Practical graph isomorphism", 1981).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

#: Value to colour: values that cannot be told apart so far have one.
Colours = dict[int, int]


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
    """Colour refinement, and a search where colours tie.

    A colour is the number of values with smaller colours. So when a cell (the values of one colour) splits, all other
    colours stay as they are, and a refinement only looks again at the neighbours of what changed.
    """

    def __init__(self, dag: Dag, order: list[int], shared: set[int], output: int) -> None:
        self.dag, self.order, self.shared, self.output = dag, order, shared, output
        self.users: dict[int, list[tuple[int, int]]] = {value: [] for value in order}
        for value in order:
            times = dag.times[value]
            for position, child in enumerate(dag.children[value]):
                # An operand of a sum is known by how often it is added, any other by its position.
                self.users[child].append((value, times[position] if times else -1 - position))
        self.symmetries: list[dict[int, int]] = []  # automorphisms that were proven, each by the values that it moves

    def least(self) -> str:
        by_label: dict[str, list[int]] = {}
        for value in self.order:
            by_label.setdefault(self.dag.labels[value], []).append(value)
        colours: Colours = {}
        for _, cell in sorted(by_label.items()):
            colours.update(dict.fromkeys(cell, len(colours)))
        return self.search(self.refine(colours, self.order))

    def refine(self, colours: Colours, changed: Iterable[int]) -> Colours:
        """The colours split until values of one colour have operands and users of the same colours.

        Args:
            colours: they are changed in place, and returned.
            changed: the values whose colour is new to their neighbours.
        """
        cells: dict[int, list[int]] = {}
        for value in self.order:
            cells.setdefault(colours[value], []).append(value)
        while True:
            touched = {colours[near] for value in changed for near in self.neighbours(value)}
            splits = []
            for colour in touched:
                if len(cells[colour]) > 1:
                    by_signature: dict[Any, list[int]] = {}
                    for value in cells[colour]:
                        by_signature.setdefault(self.signature(colours, value), []).append(value)
                    if len(by_signature) > 1:
                        splits.append((colour, [by_signature[signature] for signature in sorted(by_signature)]))
            if not splits:
                return colours
            changed = []
            for colour, pieces in splits:
                for piece in pieces:
                    cells[colour] = piece
                    colours.update(dict.fromkeys(piece, colour))
                    changed += piece
                    colour += len(piece)

    def neighbours(self, value: int) -> Iterator[int]:
        yield from self.dag.children[value]
        for user, _ in self.users[value]:
            yield user

    def signature(self, colours: Colours, value: int) -> Any:
        """What a value's operands and users look like by their colours."""
        times = self.dag.times[value]
        operands = [colours[child] for child in self.dag.children[value]]
        pairs = sorted(zip(operands, times, strict=True)) if times else list(enumerate(operands))
        return tuple(pairs), tuple(sorted((colours[user], how) for user, how in self.users[value]))

    def tie(self, colours: Colours) -> list[int]:
        """The shared values of the first colour that several of them have."""
        counts = Counter(colours[value] for value in self.shared)
        tied = [colour for colour, times in counts.items() if times > 1]
        return [value for value in self.order if value in self.shared and colours[value] == min(tied)] if tied else []

    def single_out(self, colours: Colours, value: int) -> Colours:
        """The value's colour put before that of its equals, and refined."""
        equals = [other for other, colour in colours.items() if colour == colours[value] and other != value]
        return self.refine({**colours, **dict.fromkeys(equals, colours[value] + 1)}, [value, *equals])

    def leaf(self, colours: Colours) -> str:
        """The text with the shared values named by the order of their colours."""
        named = sorted(self.shared, key=colours.__getitem__)
        digests = _digests(self.dag, self.order, {value: f"{number} " for number, value in enumerate(named)})
        return " ".join(digests[value] for value in [*named, self.output])

    def first_leaf(self, colours: Colours) -> str:
        while tied := self.tie(colours):
            colours = self.single_out(colours, tied[0])
        return self.leaf(colours)

    def search(self, colours: Colours) -> str:
        tied = self.tie(colours)
        if not tied:
            return self.leaf(colours)
        orbits = self.orbits(colours, tied)
        best = self.search(self.single_out(colours, orbits[0]))
        seen = {self.first_leaf(self.single_out(colours, orbits[0]))} if len(orbits) > 1 else set()
        for value in orbits[1:]:
            singled = self.single_out(colours, value)
            leaf = self.first_leaf(singled)
            if leaf in seen:  # an automorphism carries an earlier member to this one
                continue
            seen.add(leaf)
            best = min(best, self.search(singled))
        return best

    def orbits(self, colours: Colours, tied: list[int]) -> list[int]:
        """One of the tied values for each orbit of the automorphisms that are proven, and keep all colours."""
        orbit = {value: value for value in tied}

        def first(value: int) -> int:
            while orbit[value] != value:
                value = orbit[value]
            return value

        def join(symmetry: dict[int, int]) -> None:
            if all(colours[value] == colours[image] for value, image in symmetry.items()):
                for value in symmetry.keys() & orbit.keys():
                    low, high = sorted((first(value), first(symmetry[value])), key=tied.index)
                    orbit[high] = low

        for symmetry in self.symmetries:
            join(symmetry)
        for earlier, value in pairwise(tied):
            if first(value) != first(earlier) and (swap := self.swap(colours, earlier, value)) is not None:
                self.symmetries.append(swap)
                join(swap)
        return [value for value in tied if orbit[value] == value]

    def swap(self, colours: Colours, one: int, other: int) -> dict[int, int] | None:
        """An automorphism that exchanges two values, and what belongs to one of them alone; None if there seems none.

        It is guessed from the two values outwards, by colours, and then proven.
        """
        image: dict[int, int] = {}
        pairs = [(one, other)]
        while pairs:
            a, b = pairs.pop()
            if image.get(a) == b:
                continue
            if a in image or b in image or a == b or colours[a] != colours[b]:
                return None
            image[a], image[b] = b, a
            near_a, near_b = self.beside(colours, a), self.beside(colours, b)
            for how in near_a.keys() | near_b.keys():
                only_a = [value for value in near_a.get(how, ()) if value not in near_b.get(how, ())]
                only_b = [value for value in near_b.get(how, ()) if value not in near_a.get(how, ())]
                if len(only_a) != len(only_b):
                    return None
                pairs += zip(only_a, only_b, strict=True)
        return image if self.is_symmetry(image) else None

    def beside(self, colours: Colours, value: int) -> dict[Any, list[int]]:
        """A value's operands and users by their colour and how they are bound to it."""
        found: dict[Any, list[int]] = {}
        times = self.dag.times[value]
        for position, child in enumerate(self.dag.children[value]):
            found.setdefault(("operand", colours[child], times[position] if times else position), []).append(child)
        for user, how in self.users[value]:
            found.setdefault(("user", colours[user], how), []).append(user)
        return found

    def is_symmetry(self, image: dict[int, int]) -> bool:
        """Whether values may be exchanged so: each one moved, and each user of one, is computed as its image is."""
        users = {user for value in image for user, _ in self.users[value]}
        return all(self.is_computed_alike(value, image.get(value, value), image) for value in image.keys() | users)

    def is_computed_alike(self, value: int, other: int, image: dict[int, int]) -> bool:
        labels, times = self.dag.labels, self.dag.times
        moved = [image.get(child, child) for child in self.dag.children[value]]
        if labels[value] != labels[other] or (value == self.output) != (other == self.output):
            return False
        if times[value]:
            return dict(zip(moved, times[value], strict=True)) == dict(
                zip(self.dag.children[other], times[other], strict=True)
            )
        return moved == list(self.dag.children[other])
