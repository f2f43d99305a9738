"""``TableSpace``: a search space whose architectures are a table's rows alone, with everything about them looked up.

To a searcher it is a ``Space`` like any other. Where the table holds the whole space, it draws exactly what the space
itself would draw from the same generator; only the ids are remembered by row. Where the table holds a part, whatever is
drawn is one of the rows; for an architecture that a strategy has put together by itself there is the ``nearest`` row.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

import numpy as np

from raynas.errors import SpaceError
from raynas.searchers.predictor.hole_distances import HoleDistances, HolePoints
from raynas.simulate.ids import row_ids
from raynas.space import Architecture, Space
from raynas.space.walk.size import Size

#: How often a draw outside the table is tried again before a row is taken at random.
_TRIES = 50
#: Distances that differ by less are the same one.
_EQUAL = 1e-9


class TableSpace(Space):
    """The rows of a table as a space.

    Args:
        space: the template whose architectures the rows are.
        architectures: one a row. Of equal ones the first row counts.
        by_network: whether the ids are the template's own. False where the template is a stand-in whose network says
            nothing (columns of figures as holes): then the filling alone tells trials apart.

    Attributes:
        rows: the architecture of each row.
        complete: whether every filling of the template is a row.

    Raises:
        SpaceError: an architecture is not of the space.
    """

    rows: tuple[Architecture, ...]
    complete: bool

    def __init__(self, space: Space, architectures: Sequence[Architecture], *, by_network: bool = True) -> None:
        ids = row_ids(space, architectures)
        if not by_network:
            ids = [(trial, trial) for _, trial in ids]
        self.__setstate__({**space.__getstate__(), "rows": tuple(architectures), "row_ids": tuple(ids)})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rows": self.rows, "row_ids": self.row_ids}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        own = self.__dict__
        own["_row"] = {}
        for row, architecture in enumerate(self.rows):
            own["_row"].setdefault(architecture, row)
        own["complete"] = self._size == Size(len(own["_row"]), exact=True)
        own["_by_values"] = self._flat_index() if self.complete else None
        own["_holes"] = tuple(hole for _, hole in self.holes())
        own["_candidates"] = [self.rows[row] for row in own["_row"].values()]

    def _flat_index(self) -> dict[tuple[Any, ...], Architecture] | None:
        """Values in the walk's order to the row's architecture, where all holes are active in every architecture."""
        paths = [path for path, _ in self.holes()]
        if any(list(architecture) != paths for architecture in self._row):
            return None
        index = {tuple(architecture[path] for path in paths): architecture for architecture in self._row}
        return index if len(index) == len(self._row) else None  # 0 and False are two values, but one key

    def row(self, architecture: Architecture) -> int | None:
        """The row of an architecture; None where the table has none."""
        return self._row.get(architecture)

    def nearest(self, architecture: Architecture, tried: AbstractSet[str], rng: random.Random) -> int | None:
        """The row nearest to an architecture among those whose trial id was not tried; of equals one at random.

        Distance is counted over the holes: a choice is equal or it is not, numbers lie as far apart as in their range.

        Raises:
            SpaceError: the architecture is not of the space.
        """
        self.replay(architecture)
        distances, points = self._points
        found = distances.weighted(distances.points([distances.row(architecture)]), points, np.ones(distances.count))[
            0
        ][0]
        found[[trial_id in tried for _, trial_id in self.row_ids]] = np.inf
        least = found.min()
        return None if np.isinf(least) else int(rng.choice(np.flatnonzero(found <= least + _EQUAL)))

    @cached_property
    def _points(self) -> tuple[HoleDistances, HolePoints]:
        distances = HoleDistances(self)
        return distances, distances.points([distances.row(architecture) for architecture in self.rows])

    # -- what a searcher asks ------------------------------------------------------------------------------------

    def size(self) -> int:
        """How many different architectures the table has."""
        return len(self._row)

    @property
    def size_exact(self) -> bool:
        return True

    def sample(self, rng: random.Random) -> Architecture:
        """A random row."""
        if self._by_values is not None:
            return self._by_values[tuple([hole.draw(rng) for hole in self._holes])]
        if self.complete:
            return self._known(super().sample(rng))
        return rng.choice(self._candidates)

    def default(self) -> Architecture:
        """The template's default, or the first row where that is not in the table."""
        default = super().default()
        return default if self.row(default) is not None else self.rows[0]

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """A row that differs in one hole; where no try finds one, any other row."""
        if self._by_values is not None:
            spots = [path for path, hole in self.hole_map.items() if hole.size > 1]
            if not spots:
                raise SpaceError("the architecture cannot be mutated: no hole has more than one value")
            spot = rng.choice(spots)
            return self._by_values[
                tuple(
                    [
                        hole.draw(rng, other_than=architecture[path]) if path == spot else architecture[path]
                        for path, hole in self.hole_map.items()
                    ]
                )
            ]
        return self._in_table(lambda: Space.mutate(self, architecture, rng), rng)

    def crossover(self, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
        """A row with every hole's value from one of two; where no try finds one, any row."""
        if self._by_values is not None:
            return self._by_values[tuple([rng.choice((a, b))[path] for path in self.hole_map])]
        return self._in_table(lambda: Space.crossover(self, a, b, rng), rng)

    def neighbours(self, architecture: Architecture) -> Sequence[Architecture]:
        """The rows that differ in one hole."""
        return [self._known(other) for other in super().neighbours(architecture) if self.row(other) is not None]

    def enumerate(self) -> Iterator[Architecture]:
        """The rows."""
        return iter(self._candidates)

    def network_id(self, architecture: Architecture) -> str:
        row = self._row.get(architecture)
        return super().network_id(architecture) if row is None else self.row_ids[row][0]

    def trial_id(self, architecture: Architecture) -> str:
        row = self._row.get(architecture)
        return super().trial_id(architecture) if row is None else self.row_ids[row][1]

    def _known(self, architecture: Architecture) -> Architecture:
        """The row's own object, whose hash is known."""
        row = self._row.get(architecture)
        return architecture if row is None else self.rows[row]

    def _in_table(self, draw: Any, rng: random.Random) -> Architecture:
        for _ in range(_TRIES):
            architecture = draw()
            if self.row(architecture) is not None:
                return self._known(architecture)
        return rng.choice(self._candidates)

    _row: Mapping[Architecture, int]
    _by_values: Mapping[tuple[Any, ...], Architecture] | None
    _holes: tuple[Any, ...]
    _candidates: list[Architecture]
    row_ids: tuple[tuple[str, str], ...]
