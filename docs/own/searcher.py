"""A strategy of your own, to start from. Try it:  raynas search mlp --strategy searcher.py:HillClimber --trials 10

A strategy answers one question: which architecture should trial ``number`` try, given what is known? It must be a pure
function of the history and of (seed, number), and must draw all chance from ``self.rng(number)``. Then a killed search
continues as if nothing had happened, without pickling a strategy, and a test can recompute every proposal.
"""

from raynas.journal import History
from raynas.searchers.searcher import ArchitectureSearcher, Proposal


class HillClimber(ArchitectureSearcher):
    """Changes one hole of one of the best architectures; the first few are drawn at random.

    Args:
        space: where to search; ``sample``, ``mutate``, ``crossover``, ``neighbours``, ``enumerate`` are its methods.
        first: how many random trials come first.
        beam: the parent is drawn from this number of best trials.
    """

    def __init__(self, space, *, first: int = 3, beam: int = 2, **settings):
        super().__init__(space, **settings)  # settings: seed, objective, …
        self.first = first
        self.beam = beam

    @classmethod
    def options(cls, trials: int | None) -> dict:
        """The options for a budget of trials. They are kept with the search, so a resume does not change them."""
        return {"first": 3, "beam": 2 if trials is None or trials < 50 else 5}

    def propose(self, history: History, number: int) -> Proposal | None:
        """The history holds all trials: ``history.trials``, ``history.running``, ``history.value(trial)``, …

        The trials of a warm start (``--warm-start``) are among them, as ended trials under numbers below 0.
        """
        rng = self.rng(number)  # the same for this trial in every process
        best = history.best(self.beam)  # the highest rung first, then the objective there
        if number < self.first or not best:
            return self.fresh(history, rng, self.random_draw)
        parent = rng.choice(best)

        def draw(rng):
            """One attempt: an architecture, and where it comes from (any JSON; ``raynas show`` prints it)."""
            return self.space.mutate(parent.architecture, rng), {"kind": "mutation", "parents": [parent.number]}

        # fresh() tries until an architecture is new, and returns None if the space is exhausted. It also leaves out
        # architectures that break a constraint (--constraint), and those that are far beyond what a trial can afford,
        # if the search knows that. A strategy that never calls it is asked again if it proposes one that breaks a
        # constraint, and decides for itself what it can afford.
        return self.fresh(history, rng, draw)
