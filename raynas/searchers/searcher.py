"""The contract of a search strategy, on Ray Tune's own ``Searcher``.

A strategy implements one method, ``propose(history, number)``: which architecture should trial ``number`` try, given
what is known? It must be a **pure function** of the history and of (seed, number). So nothing is pickled, a resumed
search continues as if nothing had happened, and a test can recompute every proposal from its journal prefix. Everything
that is costly to compute (a model, a study) is a cache, which ``update`` may fill and which may be dropped at any time.

A search of RayNAS keeps the history (the fold of the journal) and calls ``propose`` itself. Under a plain
``tune.Tuner``, Ray's hooks, at the end of the class, feed a history in memory with the same kind of events.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ray.tune.search import Searcher

from raynas.errors import SpaceError
from raynas.journal.events import decode, encode
from raynas.journal.history import History
from raynas.objectives.objective import Objective
from raynas.objectives.objectives import Objectives
from raynas.searchers import warm_start as warm
from raynas.searchers.admission import Admission, Refusals
from raynas.searchers.proposal import Proposal
from raynas.space import Architecture, Space

#: How often ``fresh`` asks the strategy, then draws at random, before it enumerates.
_DRAWS, _SAMPLES = 40, 100
#: Where draws break a constraint: how many steps it walks from the nearest of them, and how many infeasible ones it
#: enumerates at most (with those drawn before; some seconds' work).
_REPAIRS, _INFEASIBLE = 400, 2_000
#: How many fillings it enumerates at most (some seconds' work, once a search).
_ENUMERATED = 20_000


#: One attempt at an architecture, with its origin.
Draw = Callable[[random.Random], tuple[Architecture, Mapping[str, Any]]]


class Common(TypedDict, total=False):
    """The keywords that every strategy takes and passes on. ``ArchitectureSearcher`` explains them."""

    seed: int
    max_concurrent: int | None
    objective: Objective | None
    trials: int | None
    warm_start: Sequence[tuple[Architecture, int, float]] | None


class ArchitectureSearcher(Searcher, ABC):
    """Base of all strategies. A subclass implements ``propose``, with ``rng`` and ``fresh`` at hand.

    A strategy that can tell a good trial from a lucky one also implements ``recommend(history, among=None)``. It
    returns the number of the trial that it recommends (one of ``among``, if given), or None. A search asks for it at
    its end.

    Args:
        space: where to search.
        seed: the search's seed.
        max_concurrent: under a plain Tuner, how many trials may be under way (default: as many as Ray asks for: one
            more than it has room for).
        objective: under a plain Tuner, metric and direction (default: the Tuner's own, if it has a ``param_space``).
        trials: under a plain Tuner, how many trials to propose in all.
        warm_start: under a plain Tuner, what is known of some architectures: (architecture, steps that it was trained,
            value). The strategy learns from them. The best of them is trial 1, and the others are not proposed while
            there is anything else.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        max_concurrent: int | None = None,
        objective: Objective | None = None,
        trials: int | None = None,
        warm_start: Sequence[tuple[Architecture, int, float]] | None = None,
    ) -> None:
        super().__init__(
            metric=objective.metric if objective else None,
            mode=objective.mode if objective else None,
        )
        self.space = space
        self.seed = seed
        self.max_concurrent = max_concurrent
        self.trials = trials
        self.admission: Admission | None = None
        self._untried = _Enumeration(space)
        self._plain = _PlainHistory(objective, self._known(warm_start or ()))

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        """The strategy's own options for a budget of trials.

        They are resolved once and kept with the search, so that they stay the same when a search is given more trials.
        """
        return {}

    @abstractmethod
    def propose(self, history: History, number: int) -> Proposal | None:
        """The architecture for trial ``number``; None if the space is exhausted.

        A pure function of (history, seed, number). Running trials are in the history, with what they have measured;
        what a warm start brought are ended trials under numbers below 0; repeats of finalists are not there.
        """

    def update(self, history: History) -> None:
        """A chance to fill caches when the history has grown; must not change what ``propose`` answers."""

    def admit_only(self, admission: Admission | None) -> None:
        """From now on ``fresh`` refuses what breaks a constraint, or is far beyond what a trial can afford.

        A strategy that proposes without ``fresh`` decides by itself what is affordable. What it names and breaks a
        constraint is not taken: it is asked again (``raynas.searchers.warm_start``).

        Args:
            admission: None: nothing is refused.
        """
        self.admission = admission

    def rng(self, number: int, salt: str = "") -> random.Random:
        """The generator of a trial: the same in every process."""
        return random.Random(f"{self.seed}/{number}/{salt}")

    def proposal(self, architecture: Architecture, origin: Mapping[str, Any]) -> Proposal:
        """An architecture with its ids."""
        return Proposal(architecture, self.space.trial_id(architecture), self.space.network_id(architecture), origin)

    def default_proposal(self) -> Proposal:
        """The space's default architecture: trial 0 of a search."""
        return self.proposal(self.space.default(), {"kind": "default"})

    def next_proposal(self, history: History, number: int) -> Proposal | None:
        """What trial ``number`` gets: the default first, then what ``propose`` and a warm start give.

        A default that breaks a constraint is left out.
        """
        limited = self.admission is not None and self.admission.constraints
        default = self.default_proposal() if number == 0 or limited else None
        left_out = default is not None and self.admission is not None and self.admission.violation(default) > 0
        if number == 0 and not left_out:
            return default
        return warm.proposed(self, history, number, self.admission, begins=0 if left_out else 1)

    def random_draw(self, rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
        """A ``Draw`` that samples the space."""
        return self.space.sample(rng), {"kind": "random"}

    def fresh(
        self, history: History, rng: random.Random, draw: Draw, refusals: Refusals | None = None
    ) -> Proposal | None:
        """An architecture whose trial id was never proposed, from ``draw`` if it can be.

        Where ``draw`` finds nothing new in some tens of attempts, the space is sampled; where that finds nothing
        either, the first untried architecture in the space's own order is taken (a space of up to 20,000 fillings is
        searched whole, a larger one that far, an infinite one not at all). None if there is none: the space is
        exhausted, for all practical purposes if it is large. Bounded in time.

        What is far beyond what a trial can afford (``admit_only``) is not taken, but for the cheapest of it, where
        there is nothing else or where many draws were refused (``refusals``: those of this proposal so far). What
        breaks a constraint is never taken: the draw that is nearest to keeping them is changed, hole by hole, until one
        does.
        """
        refusals = refusals or Refusals(self.admission)
        more = draw != self.random_draw or self.admission is not None
        attempts = [draw] * _DRAWS + ([self.random_draw] * _SAMPLES if more else [])
        for attempt in attempts:
            architecture, origin = attempt(rng)
            if self.space.trial_id(architecture) not in history.seen:
                found = refusals.settle(self.proposal(architecture, origin))
                if found is not None:
                    return found
        found = self._repaired(history, rng, refusals)
        if found is not None:
            return found
        for untried in self._untried.without(history.seen):
            found = refusals.settle(self.proposal(untried, {"kind": "enumerated"}))
            if found is not None:
                return found
            if refusals.infeasible >= _INFEASIBLE:
                break
        return refusals.cheapest()

    def _repaired(self, history: History, rng: random.Random, refusals: Refusals) -> Proposal | None:
        """An architecture that keeps the constraints, on a walk from the draw that is nearest to it; None if none does.

        Each step changes one hole, and is not taken where that leads away from the constraints. What was proposed
        before keeps them, so the walk goes through it.
        """
        current = refusals.nearest()
        if current is None or self.admission is None:
            return None
        for _ in range(_REPAIRS):
            try:
                mutant = self.space.mutate(current.architecture, rng)
            except SpaceError:  # no hole has a second value
                return None
            near = self.proposal(mutant, {"kind": "repaired"})
            found = None if near.trial_id in history.seen else refusals.settle(near)
            if found is not None:
                return found
            if self.admission.violation(near) <= self.admission.violation(current):
                current = near
        return None

    def _known(self, warm_start: Iterable[tuple[Architecture, int, float]]) -> list[dict[str, Any]]:
        """A warm start as the journal has it, but for the metric's name."""
        found = []
        for architecture, step, value in warm_start:
            ids = {"trial_id": self.space.trial_id(architecture), "network_id": self.space.network_id(architecture)}
            found.append({"architecture": architecture.to_json(), **ids, "rung": step, "value": value})
        return found

    # --- Ray's hooks, for a plain tune.Tuner -------------------------------------------------------------------------

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        if self._plain.history.objective is None and metric and mode:
            self._metric, self._mode = metric, mode
            self._plain = _PlainHistory(Objective(metric, mode), self._plain.earlier)  # type: ignore[arg-type]
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of Ray's next trial: ``{"trial": number, "architecture": JSON text}``."""
        history = self._plain.history
        if history.objective is None:
            raise ValueError("a searcher under a plain Tuner needs objective=Objective(metric, mode)")
        number = history.next_number
        if self.trials is not None and number >= self.trials:
            return Searcher.FINISHED
        if self.max_concurrent is not None and len(history.running) >= self.max_concurrent:
            return None
        known = history.for_searchers
        self.update(known)
        proposal = self.next_proposal(known, number)
        if proposal is None:
            return Searcher.FINISHED
        architecture = proposal.architecture.to_json()
        self._plain.proposed(trial_id, number, proposal, architecture)
        return {"trial": number, "architecture": json.dumps(architecture)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._plain.measured(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._plain.ended(trial_id, result or {}, error)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_bytes(b"".join(encode(event) for event in self._plain.events))

    def restore(self, checkpoint_path: str) -> None:
        self._plain = _PlainHistory(self._plain.history.objective, ())
        for line in Path(checkpoint_path).read_bytes().splitlines():
            self._plain.apply(decode(line))


class _Enumeration:
    """The space's architectures in their own order, as far as they were needed. It is only a cache."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: list[tuple[str, Architecture]] = []  # without repeated ids
        self._ids: set[str] = set()
        self._rest: Iterator[Architecture] | None = None
        self._count = 0

    def without(self, seen: set[str]) -> Iterator[Architecture]:
        """The architectures whose trial ids are not in ``seen``. (One iterator at a time: it fills the cache.)"""
        for trial_id, architecture in itertools.islice(self._known, len(self._known)):
            if trial_id not in seen:
                yield architecture
        if self._space.size() == math.inf:
            return
        if self._rest is None:
            self._rest = iter(self._space.enumerate())
        while self._count < _ENUMERATED:
            architecture_or_end = next(self._rest, None)
            if architecture_or_end is None:
                return
            self._count += 1
            trial_id = self._space.trial_id(architecture_or_end)
            if trial_id in self._ids:
                continue
            self._ids.add(trial_id)
            self._known.append((trial_id, architecture_or_end))
            if trial_id not in seen:
                yield architecture_or_end

    def __reduce__(self) -> tuple[type[_Enumeration], tuple[Space]]:
        return _Enumeration, (self._space,)  # Ray pickles searchers; a generator cannot be


class _PlainHistory:
    """A history in memory from Ray's hooks. Each result counts as a rung: the hooks do not tell a scheduler's rungs."""

    def __init__(self, objective: Objective | None, earlier: Sequence[dict[str, Any]]) -> None:
        self.history = History(objective)
        self.events: list[dict[str, Any]] = []
        self.earlier = earlier
        self._numbers: dict[str, int] = {}  # Ray's trial id to our number
        if objective is not None and earlier:
            known = [{**one, "completed": True, "metrics": {objective.metric: one["value"]}} for one in earlier]
            begun = {"event": "search_started", **Objectives.of(objective).to_event()}
            self.apply({**begun, "warm_start": {"source": "", "trials": known}})

    def apply(self, event: dict[str, Any]) -> None:
        event["seq"] = len(self.events)
        self.events.append(event)
        if event["event"] == "trial_proposed":
            self._numbers[event["ray_trial_id"]] = event["trial"]
        self.history.apply(event)

    def proposed(self, ray_id: str, number: int, proposal: Proposal, architecture: dict[str, Any]) -> None:
        event = {"event": "trial_proposed", "trial": number, "ray_trial_id": ray_id, "architecture": architecture}
        ids = {"trial_id": proposal.trial_id, "network_id": proposal.network_id, "origin": dict(proposal.origin)}
        self.apply(event | ids | proposal.refusal_fields)

    def measured(self, ray_id: str, result: Mapping[str, Any]) -> None:
        number, objective = self._numbers.get(ray_id), self.history.objective
        if number is None or objective is None or objective.metric not in result:
            return
        step = int(result.get("step", result.get("training_iteration", 1)))
        if step > self.history.trials[number].steps:
            metrics = {objective.metric: float(result[objective.metric])}
            self.apply({"event": "measured", "trial": number, "step": step, "metrics": metrics, "rung": step})

    def ended(self, ray_id: str, result: Mapping[str, Any], error: bool) -> None:
        if ray_id not in self._numbers:
            return
        self.measured(ray_id, result)  # the last result comes with the end only
        number = self._numbers[ray_id]
        value = self.history.value(number)
        if error:
            state, reason = "failed", "exception"
        elif value is None:
            state, reason = "stopped", "removed"
        elif math.isfinite(value):
            state, reason = "completed", "budget"  # or stopped early: Ray does not say
        else:
            state, reason = "failed", "nan"
        self.apply({"event": "trial_ended", "trial": number, "state": state, "reason": reason})
