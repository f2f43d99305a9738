"""The policy-gradient controller: its gradient against finite differences, and that it learns."""

from __future__ import annotations

import math
import random

import pytest
from driving import best, options_space, simulate, target_score

from raynas.errors import SpecError
from raynas.journal import History
from raynas.objectives.objective import Objective
from raynas.searchers.random import RandomSearcher
from raynas.searchers.reinforce import Policy, ReinforceSearcher
from raynas.testing import SearcherContract
from raynas.testing.example_spaces import mixed_space


def make(space, **more):
    return ReinforceSearcher(space, **{"seed": 3, **more})


class TestReinforceSearcher(SearcherContract):
    def searcher(self, space, **settings):
        return make(space, **settings)


def test_a_step_is_the_gradient():
    """Of advantage x log-probability + entropy, by finite differences, for the one hole of a space."""
    space = options_space(holes=1, options=3)
    policy = Policy(space, rate=1.0, entropy=0.2, decay=0.9)
    start = [0.3, -0.2, 0.1]
    policy._logits[("recipe.h0", None)] = list(start)
    chosen = space.replay({"recipe.h0": 1})

    def goal(logits):
        total = sum(map(math.exp, logits))
        chances = [math.exp(logit) / total for logit in logits]
        return 0.4 * math.log(chances[1]) - 0.2 * sum(chance * math.log(chance) for chance in chances)

    policy.learn(chosen, reward=policy.baseline + 0.4)
    for place in range(3):
        step = [1e-6 * (place == other) for other in range(3)]
        up, down = ([a + sign * b for a, b in zip(start, step, strict=True)] for sign in (1, -1))
        slope = (goal(up) - goal(down)) / 2e-6
        assert policy._logits[("recipe.h0", None)][place] - start[place] == pytest.approx(slope, abs=1e-6)


def test_what_is_rewarded_becomes_likely():
    space = mixed_space()
    policy, rng = Policy(space, rate=0.8, entropy=0.01, decay=0.9), random.Random(1)
    for _ in range(300):
        architecture, probability = policy.draw(rng)
        assert 0 < probability < 1
        policy.learn(architecture, float(architecture["recipe.a"] == 2 and architecture["recipe.lr"] > 0.1))
    drawn = [policy.draw(rng)[0] for _ in range(100)]
    assert sum(a["recipe.a"] == 2 and a["recipe.lr"] > 0.1 for a in drawn) > 80


def paused_and_ended(trials, *, ended):
    """Trials with 0.1, 0.2, … at rung 3, paused there; then those of ``ended``: number to value at rung 9."""
    space, history = options_space(holes=2), History(Objective("score"))
    for number in range(trials):
        ids = {"trial_id": str(number), "network_id": str(number)}
        values = {"recipe.h0": number % 4, "recipe.h1": number // 4}
        history.apply({"event": "trial_proposed", "trial": number, "architecture": values, **ids})
        facts = {"metrics": {"score": (number + 1) / 10}, "rung": 3, "decision": "pause"}
        history.apply({"event": "measured", "trial": number, "step": 3, **facts})
    for number, value in ended.items():
        if value is not None:
            facts = {"metrics": {"score": value}, "rung": 9, "decision": "stop", "stop_reason": "budget"}
            history.apply({"event": "trial_promoted", "trial": number})
            history.apply({"event": "measured", "trial": number, "step": 9, **facts})
        else:
            history.apply({"event": "trial_ended", "trial": number, "state": "stopped", "reason": "early_stopped"})
    return space, history


def policy_of(space, history):
    policy = Policy(space, rate=1.0, entropy=0.0, decay=0.9)
    policy.follow(history)
    return policy


def test_a_trial_teaches_once_however_often_it_was_paused():
    space, history = paused_and_ended(8, ended={})
    paused = policy_of(space, history)
    all_ended = policy_of(*paused_and_ended(8, ended=dict.fromkeys(range(8))))
    assert (paused.learned, all_ended.learned) == (8, 8)
    assert all_ended.baseline == paused.baseline
    promoted = policy_of(*paused_and_ended(8, ended={0: 0.9}))
    assert promoted.learned == 8
    likely, before = (
        policy._chances("recipe.h0", space.hole_map["recipe.h0"], None)[0] for policy in (promoted, paused)
    )
    assert likely > before


def test_under_hyperband_a_trial_is_compared_within_its_bracket():
    """The second bracket's trials are worse, and only there for longer: they are not what is rewarded."""
    space, history = options_space(holes=1), History(Objective("score"))
    for number in range(40):
        late = number % 2
        ids = {"trial_id": str(number), "network_id": str(number)}
        history.apply({"event": "trial_proposed", "trial": number, "architecture": {"recipe.h0": late}, **ids})
        facts = {"metrics": {"score": number / 100}, "rung": 9 if late else 3}
        facts |= {"decision": "stop", "stop_reason": "budget" if late else "early_stopped"}
        history.apply({"event": "measured", "trial": number, "step": facts["rung"], **facts})
    chances = policy_of(space, history)._chances("recipe.h0", space.hole_map["recipe.h0"], None)
    assert chances[0] == pytest.approx(chances[1], rel=0.2)


def test_it_beats_random():
    """15 seeds, 200 trials on a function with one optimum among 4**10: better in nearly all."""
    space = options_space(holes=10)
    better = sum(
        best(simulate(ReinforceSearcher(space, seed=seed), target_score, 200, seed=seed))
        > best(simulate(RandomSearcher(space, seed=seed), target_score, 200, seed=seed))
        for seed in range(15)
    )
    assert better >= 13


@pytest.mark.parametrize(("options", "words"), [({"rate": 0.0}, "learns nothing"), ({"decay": 1.0}, "share"),
                                                ({"entropy": -1.0}, "hurry")])  # fmt: skip
def test_options_that_make_no_sense(options, words):
    with pytest.raises(SpecError, match=words):
        make(options_space(), **options)
