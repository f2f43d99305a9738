"""A strategy of one's own, to start from. Try it:  raynas search mlp --strategy searcher.py:HillClimber --trials 10

A strategy answers one question: which architecture should trial ``number`` try, given what is known? It must be a pure
function of the history and of (seed, number), with all chance from ``self.rng(number)``: then a killed search goes on
as if nothing had happened, without pickling a strategy, and a test can recompute every proposal.
"""

from raynas.journal import History
from raynas.searchers.searcher import ArchitectureSearcher, Proposal


class HillClimber(ArchitectureSearcher):
    """Changes one hole of one of the best architectures; the first few are drawn at random.

    Args:
        space: where to search; ``sample``, ``mutate``, ``crossover``, ``neighbours``, ``enumerate`` are its methods.
        first: so many random trials to begin with.
        beam: a parent is drawn from so many of the best.
    """

    def __init__(self, space, *, first: int = 3, beam: int = 2, **settings):
        super().__init__(space, **settings)  # settings: seed, objective, …
        self.first = first
        self.beam = beam

    @classmethod
    def options(cls, trials: int | None) -> dict:
        """The options for a budget of trials; kept with the search, so that resuming does not change them."""
        return {"first": 3, "beam": 2 if trials is None or trials < 50 else 5}

    def propose(self, history: History, number: int) -> Proposal | None:
        """The history holds all trials: ``history.trials``, ``history.running``, ``history.value(trial)``, …

        What a warm start brought (``--warm-start``) is among them: trials that have ended, under numbers below 0.
        """
        rng = self.rng(number)  # the same for this trial in every process
        best = history.best(self.beam)  # the highest rung first, then the objective there
        if number < self.first or not best:
            return self.fresh(history, rng, self.random_draw)
        parent = rng.choice(best)

        def draw(rng):
            """An attempt: an architecture, and where it is from (any JSON; ``raynas show`` says it)."""
            return self.space.mutate(parent.architecture, rng), {"kind": "mutation", "parents": [parent.number]}

        # fresh() tries until an architecture is new, and gives None where the space is exhausted. It also leaves out
        # what is far beyond what a trial can afford, where the search knows that. A strategy that never calls it
        # decides by itself: what it names is taken as it is.
        return self.fresh(history, rng, draw)
