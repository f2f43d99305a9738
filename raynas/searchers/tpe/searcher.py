"""TPE: draws where the best trials are dense and the others are not, with Optuna's own sampler.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (NeurIPS); multivariate as in Falkner et al. 2018,
"BOHB" (ICML, arXiv:1807.01774), with the holes that are active together as a group; what Optuna does in detail is in
Watanabe 2023, "Tree-Structured Parzen Estimator" (arXiv:2304.11127).

A study is made anew for every proposal, from a window of the history (``window``), and asked once. So nothing in it can
depend on when the process started.
"""

from __future__ import annotations

import itertools
import logging
import random
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import optuna

from raynas.errors import SpaceError, SpecError
from raynas.journal.history import History
from raynas.searchers.searcher import ArchitectureSearcher, Common, Proposal
from raynas.searchers.tpe.window import Memory, distribution
from raynas.space import Architecture, Choice, Int, Space
from raynas.space.template.nodes import Hole
from raynas.space.walk.operators import run

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own from Python 3.11 on

#: How often TPE is asked for something new before the best trial is mutated, and after how many mutants that were all
#: seen before one more hole changes in each (a crowded neighbourhood).
_ASKS, _CROWDED = 10, 10


class TPESearcher(ArchitectureSearcher):
    """TPE over the whole template: operations, depths, widths and recipe alike, along the active path only.

    Proposals are random until ``startup`` trials have ended. Then TPE is asked, with the trials under way as constant
    liars (their neighbourhood counts as bad until they report). If its draw was tried before, it is asked again, with
    the first draw as one more liar. After ten such draws, the best trial is mutated.

    Args:
        space: where to search.
        startup: how many random trials come first (the default is Optuna's own).
        window: how many ended trials TPE looks at, and at most as many that are under way.
        **common: as in ``ArchitectureSearcher``.

    Raises:
        SpecError: a number that makes no sense.

    Example:
        >>> searcher = TPESearcher(space, seed=1)
        >>> searcher.propose(history, number=30).origin
        {'kind': 'tpe', 'asked': 1}
    """

    def __init__(
        self,
        space: Space,
        *,
        startup: int | None = None,
        window: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(space, **common)
        usual = self.options(self.trials)
        self.startup = usual["startup"] if startup is None else startup
        self.window = usual["window"] if window is None else window
        if self.startup < 1:
            raise SpecError(f"TPE cannot start from {self.startup} trials; give startup=1 or more")
        if self.window < 10:
            raise SpecError(f"TPE sees nothing in a window of {self.window} trials; give 10 or more")
        self._memory = Memory(space, self.window)

    @classmethod
    def options(cls, trials: int | None) -> dict[str, Any]:
        """Ten random trials, for any budget: one good trial to draw near to, and nine to tell it from.

        (TPE calls a tenth of the trials good, so there is exactly one at first.)
        """
        return {"startup": 10, "window": 200}

    def update(self, history: History) -> None:
        self._memory.follow(history)

    def propose(self, history: History, number: int) -> Proposal | None:
        rng = self.rng(number)
        memory = self._memory
        memory.follow(history)
        if memory.ended < self.startup or not memory.ranked:
            return self.fresh(history, rng, self.random_draw)
        study = self._study(history, number)
        best = history.trials[memory.best]
        attempts = itertools.count()

        def draw(rng: random.Random) -> tuple[Architecture, Mapping[str, Any]]:
            attempt = next(attempts)
            if attempt < _ASKS:
                return self._ask(study), {"kind": "tpe", "asked": attempt + 1}
            mutations = 1 + (attempt - _ASKS) // _CROWDED
            child = best.architecture
            try:
                for _ in range(mutations):
                    child = self.space.mutate(child, rng)
            except SpaceError:  # no hole has a second value
                return self.random_draw(rng)
            return child, {"kind": "mutation", "parents": [best.number], "mutations": mutations}

        return self.fresh(history, rng, draw)

    def _study(self, history: History, number: int) -> optuna.Study:
        """A study that knows the window of the history and nothing else, with the generator of this trial."""
        assert history.objective is not None
        with warnings.catch_warnings():  # "group" may change its interface: hence the bound in pyproject.toml
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=0,  # counted here, over the whole history
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=self.rng(number, "tpe").getrandbits(32),
            )
        storage = optuna.storages.InMemoryStorage()
        direction = optuna.study.StudyDirection.MAXIMIZE
        if history.objective.mode == "min":
            direction = optuna.study.StudyDirection.MINIMIZE
        _hush()
        study_id = storage.create_new_study([direction], study_name="raynas")
        for trial in self._memory.trials(history):
            storage.create_new_trial(study_id, template_trial=trial)
        return optuna.load_study(study_name="raynas", storage=storage, sampler=sampler)

    def _ask(self, study: optuna.Study) -> Architecture:
        """The architecture that TPE draws now. Its trial stays in the study, under way."""
        trial = study.ask()
        return run(self.space, lambda path, hole: _suggest(trial, path, hole))


def _suggest(trial: optuna.Trial, path: str, hole: Hole) -> Any:
    known = distribution(hole)
    if isinstance(hole, Choice):
        return hole.options[trial.suggest_categorical(path, known.choices)]
    if isinstance(hole, Int):
        return trial.suggest_int(path, known.low, known.high, log=known.log)
    value = float(trial.suggest_float(path, known.low, known.high, log=known.log))
    return min(max(value, known.low), known.high)


def _hush() -> None:
    """Keeps Optuna from announcing every study; a level that its user has chosen stays."""
    log = logging.getLogger("optuna.storages._in_memory")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
