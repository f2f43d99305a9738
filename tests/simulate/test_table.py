"""Tables, arithmetic over their columns, and the spaces of their rows."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from raynas.errors import SpaceError, SpecError
from raynas.journal.history import History
from raynas.objectives.objective import Objective
from raynas.registry import find, names
from raynas.searchers.random import RandomSearcher
from raynas.searchers.searcher import Proposal
from raynas.simulate import Table, TableSpace, read_table, simulate, space_of_table, table_of_history
from raynas.space import Architecture, Choice, Float, Int, Repeat, Space, op
from raynas.space.walk.fill import fill
from tests.simulate.tables import grid

TABLE = Table({"a": [1.0, 2.0], "curve": [[1.0, 3.0], [2.0]], "n": [3, None], "word": ["x", "y"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [[1.0], [2.0]]),
        ("12 * a / 2", [[6.0], [12.0]]),
        ("-(a + 1) ** 2", [[-4.0], [-9.0]]),
        ("last(curve)", [[3.0], [2.0]]),
        ("sum(curve) + mean(curve) * 0", [[4.0], [2.0]]),
        ("max(curve) - min(curve)", [[2.0], [0.0]]),
        ("curve * a", [[1.0, 3.0], [4.0, math.nan]]),
        ("7", [[7.0], [7.0]]),
        ("n", [[3.0], [math.nan]]),
    ],
)
def test_arithmetic(text: str, expected: list[list[float]]) -> None:
    np.testing.assert_array_equal(TABLE.evaluate(text), np.array(expected))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "understood"),
        ("a.real", "understood"),
        ("[a][0]", "understood"),
        ("open(a)", "'open' is not known"),
        ("a +", "no arithmetic"),
        ("'a' * 3", "understood"),
        ("cruve", "did you mean 'curve'"),
        ("b + 1", "no column 'b'"),
        ("word", "no column 'word' of figures"),
        ("lambda: a", "understood"),
    ],
)
def test_what_is_not_arithmetic_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        TABLE.evaluate(text)


def test_a_curve_keeps_its_nans_and_its_length() -> None:
    table = Table({"loss": [[1.0, math.nan], [2.0, 1.0, 0.5], None]})
    assert table.lengths("loss").tolist() == [2, 3, 0]


def test_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("architecture,value\n00,1.5\n01,2\n")
    table = read_table(tmp_path / "t.csv")
    assert len(table) == 2
    assert table.evaluate("value").tolist() == [[1.5], [2.0]]
    with pytest.raises(SpecError, match="no such file"):
        read_table(tmp_path / "absent.parquet")
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(SpecError, match="cannot be read"):
        read_table(tmp_path / "bad.parquet")
    (tmp_path / "empty.csv").write_text("architecture,value\n")
    with pytest.raises(SpecError, match="no rows"):
        read_table(tmp_path / "empty.csv")


def test_digits_are_holes() -> None:
    space = space_of_table(grid(2, 3), holes="2x3")
    assert space.complete
    assert space.size() == 9
    assert len({space.trial_id(row) for row in space.rows}) == len({space.network_id(row) for row in space.rows}) == 9
    assert dict(space.rows[5]) == {"hole0": 1, "hole1": 2}


@pytest.mark.parametrize("holes", ["3x3", "2x2", "0x3", "2x11"])
def test_digits_that_do_not_fit_are_told(holes: str) -> None:
    with pytest.raises(SpecError, match=f"holes {holes}"):
        space_of_table(grid(2, 3), holes=holes)


def test_columns_are_holes() -> None:
    table = Table({"depth": [1, 2, 1], "act": ["relu", "relu", "tanh"], "value": [1.0, 2.0, 3.0]})
    space = space_of_table(table, holes="depth,act")
    assert not space.complete
    assert space.size() == 3
    assert [dict(row) for row in space.rows][2] == {"depth": 1, "act": "tanh"}
    with pytest.raises(SpecError, match="no column 'width'"):
        space_of_table(table, holes="depth,width")


def test_rows_are_one_choice_where_nothing_else_is_known() -> None:
    space = space_of_table(Table({"value": [1.0, 2.0, 3.0]}))
    assert [path for path, _ in space.holes()] == ["row"]
    assert space.size() == 3


BODY = Space(
    body=Repeat(op(nn.Linear, out_features=Choice(8, 16)), 1, 2),
    act=Choice(nn.ReLU, nn.Tanh),
)


def test_hole_columns_of_a_known_space_with_what_is_not_active_left_open() -> None:
    rows = list(BODY.enumerate())
    paths = [path for path, _ in BODY.holes()]
    columns = {path: [row.get(path) for row in rows] for path in paths}
    space = space_of_table(Table({**columns, "value": [1.0] * len(rows)}), BODY)
    assert list(space.rows) == rows
    assert space.complete


def test_a_row_outside_its_space_is_named() -> None:
    with pytest.raises(SpaceError, match="row 1"):
        TableSpace(BODY, [BODY.default(), Architecture({"act": "relu"})])
    with pytest.raises(SpecError, match="row 0 .* not JSON"):
        space_of_table(Table({"architecture": ["?"]}), BODY)


WIDE = Space(
    net=op(nn.Linear, out_features=Int(1, 500)),
    recipe={"lr": Float(1e-4, 1.0, log=True), "act": Choice("relu", "tanh"), "decay": Choice(0.0, 0.1, 0.2)},
)

FLAT = Space(
    first=Choice({"a": op(nn.ReLU), "b": op(nn.Tanh), "c": op(nn.Identity)}),
    second=op(nn.Linear, out_features=Choice(1, 2, 3, name="width")),
    recipe={"lr": Choice(0.1, 0.2)},
)


@pytest.mark.parametrize("space", [FLAT, BODY], ids=["flat", "conditional"])
def test_a_complete_table_draws_what_the_space_draws(space: Space) -> None:
    table = TableSpace(space, list(space.enumerate()))
    assert table.complete
    for seed in range(50):
        one, other = random.Random(seed), random.Random(seed)
        a, b = space.sample(one), space.sample(one)
        ours = [table.sample(other), table.sample(other)]
        assert ours == [a, b]
        ours += [table.mutate(ours[0], other), table.crossover(ours[0], ours[1], other)]
        assert ours[2:] == [space.mutate(a, one), space.crossover(a, b, one)]
        assert list(table.neighbours(a)) == list(space.neighbours(a))
        assert (table.network_id(a), table.trial_id(a)) == (space.network_id(a), space.trial_id(a))
    assert table.size() == space.size()


@pytest.mark.parametrize("space", [FLAT, BODY], ids=["flat", "conditional"])
def test_of_a_table_with_gaps_only_rows_are_drawn(space: Space) -> None:
    rows = random.Random(0).sample(list(space.enumerate()), 5)
    table = TableSpace(space, rows)
    assert not table.complete
    rng = random.Random(1)
    for _ in range(50):
        a, b = table.sample(rng), table.sample(rng)
        drawn = [a, b, table.mutate(a, rng), table.crossover(a, b, rng), table.default(), *table.neighbours(a)]
        assert all(architecture in rows for architecture in drawn)
    assert sorted(map(hash, table.enumerate())) == sorted(map(hash, rows))


class Wilful:
    """A strategy of one's own that never asks the space for anything but its holes."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def propose(self, history: History, number: int) -> Proposal:
        rng, filled = random.Random(f"{self.seed}/{number}"), {}

        def choose(path: str, hole: Any) -> Any:
            filled[path] = hole.draw(rng)
            return filled[path]

        fill(self.space, choose)
        return Proposal(Architecture(filled), f"mine {number}", f"mine {number}", {})


@pytest.mark.parametrize("space", [FLAT, BODY, WIDE], ids=["flat", "conditional", "wide"])
@pytest.mark.parametrize("strategy", [*names("raynas.strategies"), "one's own"])
def test_every_strategy_searches_a_table_with_gaps(strategy: str, space: Space) -> None:
    """To its end: each row once, and nothing else. (One's own repeats itself, so it gets a budget.)"""
    rng = random.Random(2)
    rows = list(dict.fromkeys(space.sample(rng) for _ in range(15)))
    texts = [json.dumps(row.to_json()) for row in rows]
    table = Table({"architecture": texts, "value": [float(row) for row in range(len(rows))]})
    known = space_of_table(table, space)
    assert not known.complete
    own = strategy == "one's own"
    made = Wilful if own else find("raynas.strategies", strategy)
    found = simulate(
        lambda space, seed: made(space, seed=seed), table, space=known, metric="value", seeds=1, workers=2, processes=1,
        trials=60 if own else None,
    )  # fmt: skip
    tried = [known.row_ids[row][1] for row in found.runs[0]["row"]]
    assert set(tried) == {trial for _, trial in known.row_ids}
    assert own or len(set(tried)) == len(tried)


def test_the_nearest_row_is_the_one_that_differs_least() -> None:
    rows = [{"first": "a", "width": 1, "recipe.lr": 0.1}, {"first": "b", "width": 1, "recipe.lr": 0.2}]
    table = TableSpace(FLAT, [FLAT.replay(values) for values in rows])
    drawn, rng = FLAT.replay({"first": "a", "width": 3, "recipe.lr": 0.1}), random.Random(0)
    assert table.nearest(drawn, set(), rng) == 0
    assert table.nearest(drawn, {table.row_ids[0][1]}, rng) == 1
    assert table.nearest(drawn, {trial for _, trial in table.row_ids}, rng) is None
    with pytest.raises(SpaceError, match="first"):
        table.nearest(Architecture({"first": "z", "width": 3, "recipe.lr": 0.1}), set(), rng)


def test_what_failed_in_a_search_fails_in_its_table() -> None:
    history = History(Objective("v"))

    def trial(number: int, steps: int, state: str, reason: str) -> None:
        ids = {"trial_id": str(number), "network_id": str(number)}
        history.apply({"event": "trial_proposed", "trial": number, "architecture": {"row": number}, **ids})
        for step in range(1, steps + 1):
            facts = {"metrics": {"v": (number + 1.0) * step}, "seconds": 2.0, "rung": step}
            history.apply({"event": "measured", "trial": number, "step": step, **facts})
        history.apply({"event": "trial_ended", "trial": number, "state": state, "reason": reason})

    trial(0, 3, "completed", "budget")
    trial(1, 2, "failed", "out_of_memory")
    trial(2, 2, "stopped", "early_stopped")
    trial(3, 0, "failed", "exception")
    trial(4, 0, "failed", "infrastructure")
    trial(5, 1, "failed", "infrastructure")
    table = table_of_history(history.trials.values(), ["v"], "a search")
    assert [len(curve) for curve in table.columns["v"]] == [3, 3, 2, 1, 1]
    assert table.columns["seconds"][1] == [2.0, 2.0, 2.0]
    found = simulate(lambda space, seed: RandomSearcher(space, seed=seed), table, metric="v", seeds=1, processes=1)
    ended = dict(zip(found.runs[0]["row"].tolist(), found.table()["state"].to_pylist(), strict=True))
    assert ended == {0: "completed", 1: "failed", 2: "stopped", 3: "failed", 4: "stopped"}
    assert found.after(5).tolist() == [3.0]


def test_a_table_space_survives_pickling() -> None:
    import pickle

    table = TableSpace(FLAT, list(FLAT.enumerate()))
    again = pickle.loads(pickle.dumps(table))
    assert again.rows == table.rows
    assert again.sample(random.Random(3)) == table.sample(random.Random(3))
    assert again.row_ids == table.row_ids
