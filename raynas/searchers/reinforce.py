"""A controller that learns by policy gradient where in the space to draw from.

Zoph & Le 2017, "Neural Architecture Search with Reinforcement Learning" (ICLR, arXiv:1611.01578), with the entropy term
of Pham et al. 2018, "ENAS" (ICML, arXiv:1802.03268), and REINFORCE itself after Williams 1992 (Machine Learning 8).
Their controller is a recurrent network. This one is a table, which learns from hundreds of trials instead of thousands
and can be read. The value of a hole is drawn from a softmax of what the hole's path has learned, plus what it has
learned for the value that was chosen just before it. So the controller is autoregressive, along the holes that the walk
reaches.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raynas.errors import SpecError
from raynas.journal.history import LOWEST, History, TrialRecord
from raynas.objectives.objectives import Key
from raynas.searchers.ranking import tells_nothing
from raynas.searchers.searcher import ArchitectureSearcher, Common, Proposal
from raynas.space import Architecture, Choice, Int, Space
from raynas.space.template.holes import Number
from raynas.space.template.nodes import Hole
from raynas.space.template.values import exact
from raynas.space.walk.operators import MANY, run

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

#: A Float and a large Int are drawn from one of so many parts of their range.
_PARTS = 8
#: The bracket of trials that may be compared with all others: a warm start's, and those that failed before a rung.
_NO_BRACKET = 0


class ReinforceSearcher(ArchitectureSearcher):
    """Draws architectures from a policy. Choices that did better than expected become more likely.

    The policy is folded from the judged trials, in the order in which they ended or paused at a rung. The reward of a
    trial is the share of the earlier trials that it beats (0 for a failure), so the scale of the metric does not
    matter. The baseline is a moving average of rewards. If a trial was paused and is judged again later, only the
    change of its reward counts, so every trial counts once. Under Hyperband a trial is compared within its bracket.

    Args:
        space: where to search.
        rate: learning rate.
        entropy: weight of the policy's entropy, which keeps the policy from converging too early.
        decay: which share of the baseline stays when a new reward comes.
        **common: as in ``ArchitectureSearcher``.

    Raises:
        SpecError: a number that makes no sense.

    Example:
        >>> searcher = ReinforceSearcher(space, seed=1)
        >>> searcher.propose(history, number=30).origin
        {'kind': 'policy', 'learned_from': 29, 'probability': 0.0021}
    """

    def __init__(
        self,
        space: Space,
        *,
        rate: float | None = None,
        entropy: float | None = None,
        decay: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        usual = self.options(self.trials)
        self.rate = usual["rate"] if rate is None else rate
        self.entropy = usual["entropy"] if entropy is None else entropy
        self.decay = usual["decay"] if decay is None else decay
        if not self.rate > 0:
            raise SpecError(f"a controller with rate={self.rate} learns nothing; give more than 0")
        if self.entropy < 0:
            raise SpecError(f"entropy={self.entropy} would hurry the controller; give 0 or more")
        if not 0 <= self.decay < 1:
            raise SpecError(f"decay={self.decay} is a share; give 0 or more and less than 1")
        self._policy = self._untrained()

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        return {"rate": 0.8, "entropy": 0.01, "decay": 0.9}

    def _untrained(self) -> Policy:
        return Policy(self.space, self.rate, self.entropy, self.decay)

    def update(self, history: History) -> None:
        self._policy.follow(history)

    def propose(self, history: History, number: int) -> Proposal | None:
        policy = self._policy
        policy.follow(history)

        def draw(rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
            architecture, probability = policy.draw(rng)
            origin = {"kind": "policy", "learned_from": policy.learned, "probability": float(f"{probability:.3g}")}
            return architecture, origin

        return self.fresh(history, self.rng(number), draw)


class Policy:
    """The controller's table: a cache that follows a history, and a function of it alone.

    Attributes:
        learned: how many trials it has learned from.
        baseline: the reward that the next trial is expected to get.
    """

    def __init__(self, space: Space, rate: float, entropy: float, decay: float) -> None:
        self._space, self._rate, self._entropy, self._decay = space, rate, entropy, decay
        self._follow_anew(None)

    def __reduce__(self) -> Any:
        return Policy, (self._space, self._rate, self._entropy, self._decay)

    def _follow_anew(self, history: History | None) -> None:
        self._history = history
        self._read = 0  # how many of history.judged
        self._logits: dict[tuple[str, Any], list[float]] = {}  # (path, None or the value before) to one an option
        self._keys: dict[int, list[Key]] = {}  # bracket to the keys of the trials learned from, sorted
        self._learned: dict[int, tuple[Key, float]] = {}  # trial to the key and the reward that it taught last
        self.learned = 0
        self.baseline = 0.5

    def follow(self, history: History) -> None:
        """Learns from what was judged since the last time."""
        if history is not self._history:
            self._follow_anew(history)
        for entry in itertools.islice(history.judged, self._read, None):
            number, key = entry.number, entry.key
            record = history.trials[number]
            if key == LOWEST and tells_nothing(record):
                continue
            bracket = _bracket(record)
            before = self._learned.get(number)
            if before is not None:  # it was paused there, and went on
                keys = self._keys[bracket]
                del keys[bisect_left(keys, before[0])]
            reward = 0.0 if key == LOWEST else self._share_beaten(key, bracket)
            insort(self._keys.setdefault(bracket, []), key)
            self._learned[number] = key, reward
            if before is None:
                self.learn(record.architecture, reward)
            else:
                self._step(record.architecture, reward - before[1], entropy=0.0)
        self._read = len(history.judged)

    def _share_beaten(self, key: Key, bracket: int) -> float:
        """Of the trials of that bracket and of those that belong to none; equal ones count half."""
        lists = [self._keys.get(which, []) for which in {bracket, _NO_BRACKET}]
        count = sum(map(len, lists))
        beaten = sum(bisect_left(keys, key) + bisect_right(keys, key) for keys in lists) / 2
        return beaten / count if count else 0.5

    def draw(self, rng: random.Random) -> tuple[Architecture, float]:
        """An architecture and the probability of its draw (of parts of ranges, where there are numbers)."""
        before: Any = None
        log_probability = 0.0

        def choose(path: str, hole: Hole) -> Any:
            nonlocal before, log_probability
            chances = self._chances(path, hole, before)
            [option] = rng.choices(range(len(chances)), chances)
            log_probability += math.log(chances[option])
            before = (path, option)
            return _value(hole, option, rng)

        return run(self._space, choose), math.exp(log_probability)

    def learn(self, architecture: Architecture, reward: float) -> None:
        """One step of REINFORCE: the gradient of reward beyond the baseline times log-probability, and of entropy."""
        self._step(architecture, reward - self.baseline, self._entropy)
        self.baseline = self._decay * self.baseline + (1 - self._decay) * reward
        self.learned += 1

    def _step(self, architecture: Architecture, advantage: float, entropy: float) -> None:
        before: Any = None

        def choose(path: str, hole: Hole) -> Any:
            nonlocal before
            value = architecture[path]
            option = _option(hole, value)
            chances = self._chances(path, hole, before)
            disorder = -sum(chance * math.log(chance) for chance in chances)
            for key in ((path, None), (path, before)) if before is not None else ((path, None),):
                logits = self._logits.setdefault(key, [0.0] * len(chances))
                for other, chance in enumerate(chances):
                    slope = advantage * ((other == option) - chance)
                    slope -= entropy * chance * (math.log(chance) + disorder)
                    logits[other] += self._rate * slope / (1 if key[1] is None else 2)
            before = (path, option)
            return value

        run(self._space, choose)

    def _chances(self, path: str, hole: Hole, before: Any) -> list[float]:
        """The probability of each option; never quite 0."""
        count = _count(hole)
        always = self._logits.get((path, None)) or [0.0] * count
        after = self._logits.get((path, before)) if before is not None else None
        logits = [a + b for a, b in zip(always, after, strict=True)] if after else always
        top = max(logits)
        powers = [math.exp(max(logit - top, -30.0)) for logit in logits]
        total = sum(powers)
        return [power / total for power in powers]


def _bracket(record: TrialRecord) -> int:
    """The first rung of a trial: under Hyperband it tells the bracket. A warm start's trials belong to none."""
    if record.number < 0:
        return _NO_BRACKET
    return next((measured.rung for measured in record.measurements if measured.rung is not None), _NO_BRACKET)


def _count(hole: Hole) -> int:
    """How many options the policy knows of a hole."""
    if isinstance(hole, Number) and hole.size > MANY:
        return _PARTS
    return int(hole.size)


def _option(hole: Hole, value: Any) -> int:
    """The option that a value belongs to."""
    if isinstance(hole, Choice):
        return [exact(option) for option in hole.options].index(exact(value))
    assert isinstance(hole, Number)
    if hole.size <= MANY:
        return int(value - hole.low) if isinstance(hole, Int) else 0
    low, high = hole.ends
    place = (hole.scaled(value) - low) / (high - low)
    return min(max(int(place * _PARTS), 0), _PARTS - 1)


def _value(hole: Hole, option: int, rng: random.Random) -> Any:
    """A value of an option: of a part of a range, one at random."""
    if isinstance(hole, Choice) or hole.size <= MANY:
        return hole.at(option)
    assert isinstance(hole, Number)
    low, high = hole.ends
    return hole.value_at(low + (high - low) * (option + rng.random()) / _PARTS)
