"""Local search: climbs to a local optimum, then starts anew."""

from __future__ import annotations

from driving import options_space, simulate, target_score

from raynas.journal import History
from raynas.searchers.local import LocalSearcher
from raynas.testing import SearcherContract


def make(space, **more):
    return LocalSearcher(space, **{"seed": 3, **more})


class TestLocalSearcher(SearcherContract):
    def searcher(self, space, **settings):
        return make(space, **settings)


def test_it_climbs_by_neighbours_of_the_best_so_far():
    space, history = options_space(holes=6), History()
    for event in simulate(make(space), target_score, 100):
        if event["event"] == "trial_proposed" and event["origin"]["kind"] == "neighbour":
            [parent] = event["origin"]["parents"]
            old = history.trials[parent]
            assert sum(old.architecture[path] != value for path, value in event["architecture"].items()) == 1
            climb = [t for t in history.trials.values() if t.origin.get("climb", 0) == event["origin"]["climb"]]
            assert history.key(old) == max(history.key(trial) for trial in climb)
        history.apply(event)
    assert history.value(history.best()[0]) == 1.0  # one optimum: no climb can miss it


def test_a_new_start_where_no_neighbour_is_better():
    space = options_space(holes=2, options=3)  # a place and its 4 neighbours of 9

    def two_tops(architecture):
        a, b = architecture["recipe.h0"], architecture["recipe.h1"]
        return {(0, 0): 2.0, (2, 2): 3.0}.get((a, b), 0.0)

    history = History.from_events(simulate(make(space), two_tops, 9))
    origins = [trial.origin for trial in history.trials.values()]
    assert [origin["kind"] for origin in origins[1:5]] == ["neighbour"] * 4  # around the default, (0, 0)
    assert origins[5] == {"kind": "start", "climb": 1}


def test_failed_starts_are_followed_by_others():
    def fails(architecture):
        raise ArithmeticError

    history = History.from_events(simulate(make(options_space()), fails, 10))
    assert {trial.origin["kind"] for trial in history.trials.values()} == {"default", "start"}
    assert {trial.origin["climb"] for trial in list(history.trials.values())[1:]} == {0}
