"""The contract of a strategy: pure proposals, no trial twice, an end when the space is exhausted.

Searches are simulated (``simulated_search``), so a whole class takes seconds and starts no Ray.
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raynas.journal.events import decode, encode
from raynas.journal.history import History
from raynas.schedulers.rungs import Rungs
from raynas.searchers import warm_start as warm
from raynas.searchers.proposal import Proposal
from raynas.searchers.searcher import ArchitectureSearcher
from raynas.space import Architecture, Choice, Space
from raynas.testing.contract import Contract, as_json
from raynas.testing.example_spaces import SPACES, mixed_space, options_space, recipe_space, small_space
from raynas.testing.simulated_search import OBJECTIVE, Score, simulate, warm_start_of

_PURE = (
    "propose() must be a pure function of the history, the seed and the trial's number: draw all chance from "
    "self.rng(number), and keep in attributes (and in what update() fills) only what can be computed again from the "
    "history"
)


def lottery(architecture: Architecture) -> float:
    """A function of the architecture that fails for one in ten, and yields no number for another one in ten."""
    lot = random.Random(repr(sorted(architecture.to_json().items()))).random()
    if lot < 0.1:
        raise ArithmeticError
    return math.nan if lot < 0.2 else len(architecture) + lot


def check_proposals(
    make: Callable[[Space], ArchitectureSearcher],
    space: Space,
    score: Score = lottery,
    *,
    workers: int,
    trials: int,
    fresh_every: int = 1,
    warm_start: Sequence[dict[str, Any]] | None = None,
) -> History:
    """Simulates a search, and recomputes every proposal from the events before it, as read back from a journal.

    Each proposal is recomputed by a searcher that was pickled and follows the events, and every ``fresh_every``-th by
    a fresh one.

    Returns:
        The history of the search.

    Raises:
        AssertionError: a proposal differs, is repeated, or is missing.
    """
    searcher, again, prefix = make(space), _pickled(make(space)), History()
    events = simulate(searcher, score, trials, workers=workers, rule=Rungs(9, grace_period=1), warm_start=warm_start)
    _pickled(searcher)  # Ray does so in the middle of a search
    for event in events:
        if "origin" in event:
            _check_origin(event["origin"])
    for event in (decode(encode(event)) for event in events):
        if event["event"] == "trial_proposed" and event["trial"] > 0:
            _check_same(again, "a searcher that was pickled and is told the same history", prefix, event)
            if event["trial"] % fresh_every == 0:
                _check_same(make(space), "a new searcher that is given the same history", prefix, event)
        prefix.apply(event)
        if event["event"] == "trial_ended" or event["seq"] % 7 == 0:
            again.update(prefix.for_searchers)
    _check_no_repeats(prefix)
    assert len(prefix.trials) == trials, (
        f"propose() returned None for trial {len(prefix.trials)} of {trials}, in a space of {space.size()} "
        "architectures; None says that the space is exhausted: propose an untried one (self.fresh() finds it)"
    )
    return prefix


def _pickled(searcher: ArchitectureSearcher) -> ArchitectureSearcher:
    try:
        again = pickle.loads(pickle.dumps(searcher))
    except Exception as error:
        raise AssertionError(
            f"the searcher cannot be pickled ({type(error).__name__}: {error}), which Ray does with every searcher; "
            "keep functions, generators and open files out of its attributes, or write __getstate__()"
        ) from error
    assert isinstance(again, ArchitectureSearcher)
    return again


def _check_origin(origin: Mapping[str, Any]) -> None:
    try:
        as_json(dict(origin))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"an origin is kept in the journal, and {dict(origin)!r} is not JSON: {error}") from error


def _check_same(searcher: ArchitectureSearcher, which: str, history: History, event: Mapping[str, Any]) -> None:
    number = event["trial"]
    proposal = warm.proposed(searcher, history.for_searchers, number)
    found = None if proposal is None else proposal.architecture.to_json()
    assert found == event["architecture"], (
        f"trial {number} was proposed as {event['architecture']}; {which} proposes {found} for it. {_PURE}"
    )
    assert proposal is not None
    assert proposal.trial_id == event["trial_id"], f"the trial id of {found} changes from call to call"
    assert as_json(dict(proposal.origin)) == event["origin"], (
        f"the origin of trial {number} was {event['origin']}; {which} gives {dict(proposal.origin)}. {_PURE}"
    )


def _check_no_repeats(history: History) -> None:
    first: dict[str, int] = {}
    for number, record in history.trials.items():
        other = first.setdefault(record.trial_id, number)
        assert other == number, (
            f"trials {other} and {number} are the same architecture, {dict(record.values)}; propose only what is not "
            "in history.seen: self.fresh(history, rng, draw) sees to that"
        )


class SearcherContract(Contract):
    """What every strategy has to keep. Override ``searcher``, and where needed what follows it.

    Attributes:
        spaces: name to maker of the spaces that are searched; replace it where a strategy is for some kinds only.
        workers: numbers of trials under way at a time.
        trials: how long the simulated searches are.
        fresh_every: a new searcher recomputes every n-th proposal; raise it for a slow strategy.
    """

    spaces: ClassVar[Mapping[str, Callable[[], Space]]] = SPACES
    workers: ClassVar[Sequence[int]] = (1, 4)
    trials: ClassVar[int] = 24
    fresh_every: ClassVar[int] = 1

    def searcher(self, space: Space, **settings: Any) -> ArchitectureSearcher:
        """A new searcher.

        Args:
            space: where to search.
            settings: keywords of ``ArchitectureSearcher`` (``seed``, ``objective``, …), to be handed on to it.
        """
        raise NotImplementedError(f"{type(self).__name__} gives searcher(self, space, **settings)")

    def score(self, architecture: Architecture) -> float:
        """What the simulated searches measure; ArithmeticError makes a trial fail."""
        return lottery(architecture)

    def check_search(self, history: History) -> None:
        """Further demands on each search whose proposals were recomputed; none unless overridden."""

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        return {"kind": self.spaces, "workers": self.workers}

    def _seeded(self, space: Space) -> ArchitectureSearcher:
        return self.searcher(space, seed=3)

    # --- one proposal ---------------------------------------------------------------------------------------------

    def test_a_proposal_is_complete(self, kind: str) -> None:
        space = self.spaces[kind]()
        proposal = self._seeded(space).propose(History(OBJECTIVE), 1)
        assert isinstance(proposal, Proposal), (
            f"propose() returned a {type(proposal).__name__}; it returns a Proposal, which "
            "self.proposal(architecture, origin) makes"
        )
        architecture = proposal.architecture
        assert space.replay(architecture) == architecture, "the architecture is not one of the space's"
        ids = (proposal.trial_id, proposal.network_id)
        assert ids == (space.trial_id(architecture), space.network_id(architecture)), (
            "the proposal's ids are not those that the space gives; self.proposal(architecture, origin) fills them in"
        )
        _check_origin(proposal.origin)

    @pytest.mark.parametrize("trials", [None, 1, 100])
    def test_its_options_are_kept_with_a_search(self, trials: int | None) -> None:
        space = options_space()
        strategy = type(self._seeded(space))
        options = strategy.options(trials)
        assert as_json(options) == options, f"options({trials}) gives {options!r}, which is not plain JSON"
        try:
            made = strategy(space, seed=1, objective=OBJECTIVE, **options)
        except TypeError as error:
            raise AssertionError(
                f"a search makes the strategy with (space, seed=…, objective=…, **options({trials})), and that fails: "
                f"{error}; take **settings and hand them on to super().__init__(space, **settings)"
            ) from error
        assert made.space is space, "hand the space on to super().__init__(space, **settings)"
        assert made.seed == 1, "hand seed on to super().__init__(space, **settings)"

    # --- whole searches -------------------------------------------------------------------------------------------

    def test_every_proposal_is_recomputed_from_its_history(self, kind: str, workers: int) -> None:
        space = self.spaces[kind]()
        history = check_proposals(
            self._seeded, space, self.score, workers=workers, trials=self.trials, fresh_every=self.fresh_every
        )
        self.check_search(history)

    def proposals(self) -> list[dict[str, Any]]:
        """The architectures of a whole search."""
        space = next(iter(self.spaces.values()))()
        events = simulate(self.searcher(space, seed=5), self.score, self.trials)
        return [event["architecture"] for event in events if "architecture" in event]

    def test_proposals_are_equal_in_another_process(self) -> None:
        here, there = as_json(self.proposals()), self.in_another_process("proposals")
        assert here
        differing = [number for number, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]]
        assert here == there, (
            f"in another process trial {differing[0] if differing else min(len(here), len(there))} is another one. "
            "Do not depend on the order of a set or on hash(): sort what is drawn from"
        )

    @pytest.mark.parametrize("at_once", [1, 4])
    def test_a_finite_space_is_exhausted_with_every_trial_once(self, at_once: int) -> None:
        events = simulate(self._seeded(small_space()), lambda one: one["recipe.a"], 99, workers=at_once)
        history = History.from_events(events)
        _check_no_repeats(history)
        assert len(history.trials) == 18, (
            f"of a space of 18 architectures {len(history.trials)} were proposed before propose() returned None; "
            "return None only where nothing untried is left (self.fresh() looks through a small space)"
        )
        assert not history.running

    def test_a_space_with_one_architecture_is_searched_with_one_trial(self) -> None:
        events = simulate(self._seeded(recipe_space(a=Choice(1))), lambda one: 1.0, 20)
        assert len(History.from_events(events).trials) == 1

    def test_it_goes_on_where_every_trial_fails(self) -> None:
        def fails(architecture: Architecture) -> float:
            raise ArithmeticError

        history = History.from_events(simulate(self._seeded(options_space()), fails, 12))
        assert history.counts["failed"] == 12, (
            "where all trials fail, the searcher stops proposing; a failed trial has no score, and others may have one"
        )

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_a_warm_start_is_known_and_not_proposed_again(self, at_once: int) -> None:
        space = mixed_space()

        def score(architecture: Architecture) -> float:
            if architecture["recipe.width"] % 10 == 5:
                raise ArithmeticError
            return math.nan if architecture["recipe.width"] % 10 == 6 else float(architecture["recipe.lr"])

        known = warm_start_of(space, lambda architecture: float(architecture["recipe.lr"]), 12)
        history = check_proposals(
            self._seeded, space, score, workers=at_once, trials=30, fresh_every=3, warm_start=known
        )
        leading = max(known, key=lambda one: (one["rung"], one["metrics"]["score"]))
        measured = {one["trial_id"] for one in known}
        again = {number for number, record in history.trials.items() if record.trial_id in measured}
        assert history.trials[1].trial_id == leading["trial_id"], "the best of a warm start is trained as trial 1"
        assert again <= {0, 1}, (
            f"trials {sorted(again - {0, 1})} were measured before the search (they are in its history, under numbers "
            "below 0); propose only what is not in history.seen"
        )
        assert history.for_searchers.ended[:12] == list(range(-12, 0))

    def test_it_recommends_a_trial_of_the_search(self) -> None:
        searcher: Any = self._seeded(options_space())
        if not hasattr(searcher, "recommend"):
            pytest.skip("this strategy recommends no trial")
        history = History.from_events(simulate(searcher, lambda one: float(sum(one.values())), 24))
        found, of_two = searcher.recommend(history), searcher.recommend(history, among=[3, 9])
        assert found is None or found in history.trials, f"recommend() gave {found!r}: a trial's number, or None"
        assert of_two in (None, 3, 9), f"recommend(history, among=[3, 9]) gave {of_two!r}: one of these, or None"
        anew: Any = self._seeded(options_space())
        assert anew.recommend(history) == found, (
            "a new searcher recommends another trial; recommend() must be a pure function of the history"
        )

    # --- under a plain tune.Tuner ---------------------------------------------------------------------------------

    def test_under_a_plain_tuner_it_goes_on_from_what_it_saved(self, tmp_path: Path) -> None:
        def made() -> ArchitectureSearcher:
            return self.searcher(options_space(), seed=2, objective=OBJECTIVE, max_concurrent=2, trials=30)

        searcher, rng = made(), random.Random(0)
        for count in range(14):
            config = searcher.suggest(f"ray{count}")
            assert isinstance(config, dict)
            assert config["trial"] == count
            searcher.on_trial_result(f"ray{count}", {"score": rng.random(), "training_iteration": 1})
            result = {"score": rng.random(), "training_iteration": 2}
            searcher.on_trial_complete(f"ray{count}", result, error=count % 5 == 1)
        searcher.suggest("open")
        searcher.save(str(tmp_path / "state"))
        restored = made()
        restored.restore(str(tmp_path / "state"))
        assert restored.suggest("next") == searcher.suggest("next"), (
            f"a searcher that is restored from what save() wrote proposes another trial. {_PURE}"
        )
        assert restored.suggest("too many") is None, (
            "max_concurrent=2 has no effect; hand **settings on to super().__init__(space, **settings)"
        )
