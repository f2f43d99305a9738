"""What early stopping leaves of a ranking: values are carried from rung to rung, and it matters not when one asks."""

from __future__ import annotations

import math
import random

from raynas.journal import History
from raynas.objectives import Constraint, Objective, Objectives
from raynas.searchers.ranking import PAIRS, Ranking, scores_of


def measured(history, trial, step, value, *, rung=True, decision="continue", reason=None):
    if trial not in history.trials:
        ids = {"trial_id": str(trial), "network_id": str(trial), "architecture": {"n": trial}}
        history.apply({"event": "trial_proposed", "trial": trial, **ids})
    facts = {"rung": step if rung else None, "decision": decision, "stop_reason": reason}
    history.apply({"event": "measured", "trial": trial, "step": step, "metrics": {"v": value}, **facts})


def random_history(seed, trials=60):
    rng, history = random.Random(seed), History(Objective("v"))
    for trial in range(trials):
        quality = rng.random()
        first = quality + rng.gauss(0, 0.2)
        if first < 0.5 and trial > 3:
            measured(history, trial, 3, first, decision="stop", reason="early_stopped")
            continue
        measured(history, trial, 3, first, decision=rng.choice(["continue", "pause"]))
        if rng.random() < 0.7:
            last = math.nan if rng.random() < 0.05 else 2 * quality
            measured(history, trial, 9, last, decision="stop", reason="nan" if math.isnan(last) else "budget")
    return history


def test_until_enough_trials_have_both_the_higher_rung_wins():
    few = [(n, (3, float(n))) for n in range(PAIRS + 2)] + [(n, (9, 1.0 + n)) for n in range(PAIRS - 1)]
    found = scores_of(few)
    assert all(found[n] > found[m] for n in range(PAIRS - 1) for m in (PAIRS - 1, PAIRS, PAIRS + 1))


def test_a_value_is_carried_along_the_line_whatever_one_diverged_trial_says():
    log = [(n, (3, float(n))) for n in range(12)] + [(n, (9, 10.0 + 2 * n)) for n in range(9)]
    log += [(12, (3, 5.0)), (12, (9, -1e9))]
    found = scores_of(log)
    assert found[10] == (1, 30.0)
    assert found[0] < found[9] < found[10] < found[11]
    assert found[12] < found[0]


def test_failures_come_last_whatever_they_reached():
    log = [(0, (3, 1.0)), (1, (3, 0.0)), (0, (0, -math.inf))]
    assert scores_of(log)[0] < scores_of(log)[1]


def test_beyond_a_constraint_no_value_is_carried_and_the_smaller_violation_is_better():
    """Many trials break the limit at the first rung and keep it at the next: no line leads from one to the other."""
    limited = Objectives((Objective("v"),), (Constraint("v", ">=", 10),))
    history = History(limited)
    for trial in range(PAIRS + 4):
        measured(history, trial, 3, 5.0 + trial / 2)
        measured(history, trial, 9, 20.0 + trial, decision="stop", reason="budget")
    measured(history, 90, 3, 9.9, decision="stop", reason="early_stopped")
    measured(history, 91, 3, 11.0)
    measured(history, 91, 9, 9.0, decision="stop", reason="budget")  # kept it, and broke it
    measured(history, 92, 3, 10.0, decision="stop", reason="early_stopped")
    measured(history, 93, 3, math.nan, decision="stop", reason="nan")
    ranking = Ranking()
    ranking.follow(history)
    kept = list(range(PAIRS + 3, -1, -1))
    assert [-minus for _, minus in reversed(ranking.order)] == [*kept, 92, 90, 91, 93]
    assert ranking.best(99) == [*kept, 92, 90, 91]
    assert ranking.brackets == {3}, "to break a constraint is no bracket of its own"


def test_at_one_rung_the_ranking_is_that_of_the_values():
    rng, history = random.Random(1), History(Objective("v", "min"))
    values = [rng.choice([n / 8 for n in range(20)]) for _ in range(50)]
    for trial, value in enumerate(values):
        measured(history, trial, 9, value, decision="stop", reason="budget")
    ranking = Ranking()
    ranking.follow(history)
    worst_first = sorted(values, reverse=True)
    for trial, rank in ranking.ranks(range(50)).items():
        same = [place for place, value in enumerate(worst_first, 1) if value == values[trial]]
        assert rank == sum(same) / len(same)
    assert ranking.best(3) == sorted(range(50), key=lambda trial: (values[trial], trial))[:3]


def test_it_does_not_matter_how_often_one_looked():
    for seed in range(5):
        events = random_history(seed)
        often, history = Ranking(), History(Objective("v"))
        for trial, record in events.trials.items():
            for m in record.measurements:
                measured(history, trial, m.step, m.metrics["v"], decision=m.decision, reason=m.stop_reason)
                often.follow(history)
                assert len(often) == len(often.ranks(history.trials))
        once = Ranking()
        once.follow(history)
        assert (once.order, once.log) == (often.order, often.log)


def test_at_one_rung_new_trials_find_their_places_and_failures_the_last():
    rng = random.Random(2)
    often, history = Ranking(), History(Objective("v"))
    for trial in range(60):
        value = math.nan if rng.random() < 0.2 else rng.choice([n / 8 for n in range(20)])
        measured(history, trial, 9, value, decision="stop", reason="nan" if math.isnan(value) else "budget")
        often.follow(history)
        once = Ranking()
        once.follow(history)
        assert often.order == once.order
        assert often.ranks(range(0, trial, 3)) == {n: once.ranks(range(60))[n] for n in range(0, trial, 3)}
    assert sum(score[0] < 0 for score, _ in often.order) > 3
