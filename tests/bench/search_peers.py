"""Strategies that are not ours, for the simulator: Optuna's TPE as it is, and Ray's OptunaSearch with Ray's own ASHA.

Each has the one method that the simulator asks for. They keep a state, as their libraries do, and may propose what was
tried before.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from raynas.journal.history import History
from raynas.schedulers.rungs import Decision, StoppingRule
from raynas.searchers.searcher import Proposal
from raynas.simulate import TableSpace
from raynas.space import Choice


class _Peer:
    """Tells what is new in the history, then asks."""

    def __init__(self, space: TableSpace, seed: int, metric: str, mode: str) -> None:
        self.space, self.seed, self.metric, self.mode = space, seed, metric, mode
        self.options = {path: hole.options for path, hole in space.holes() if isinstance(hole, Choice)}
        self.told: dict[int, int] = {}  # measurements that were told of each trial
        self.ended = 0

    def proposal(self, values: Mapping[str, Any]) -> Proposal:
        architecture = self.space.replay(values)
        row = self.space.row(architecture)
        assert row is not None
        return Proposal(self.space.rows[row], *reversed(self.space.row_ids[row]), {})

    def news(self, history: History) -> None:
        for number in list(history.running) + history.ended[self.ended :]:
            trial = history.trials[number]
            for measured in trial.measurements[self.told.get(number, 0) :]:
                self.measured(number, measured.step, measured.metrics[self.metric], trial.terminal)
            self.told[number] = len(trial.measurements)
        for number in history.ended[self.ended :]:
            value = history.trials[number].measurements[-1].metrics[self.metric]
            self.completed(number, history.trials[number].steps, value)
        self.ended = len(history.ended)

    def measured(self, number: int, step: int, value: float, last: bool) -> None: ...

    def completed(self, number: int, step: int, value: float) -> None:
        raise NotImplementedError


class OptunaTPE(_Peer):
    """Optuna's ``TPESampler(multivariate=True)``, constant liar for running trials."""

    def __init__(self, space: TableSpace, seed: int, metric: str, mode: str) -> None:
        import optuna

        super().__init__(space, seed, metric, mode)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, warn_independent_sampling=False
        )
        self.study = optuna.create_study(sampler=sampler, direction="maximize" if mode == "max" else "minimize")
        self.trials: dict[int, Any] = {}

    def propose(self, history: History, number: int) -> Proposal:
        self.news(history)
        trial = self.trials[number] = self.study.ask()
        return self.proposal({path: trial.suggest_categorical(path, options) for path, options in self.options.items()})

    def completed(self, number: int, step: int, value: float) -> None:
        self.study.tell(self.trials.pop(number), value)


class RayOptuna(_Peer):
    """``ray.tune.search.optuna.OptunaSearch`` as installed, told as Ray's controller tells it."""

    def __init__(self, space: TableSpace, seed: int, metric: str, mode: str) -> None:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        super().__init__(space, seed, metric, mode)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kind = optuna.distributions.CategoricalDistribution
        choices = {path: kind(options) for path, options in self.options.items()}
        self.search = OptunaSearch(choices, metric=metric, mode=mode, seed=seed)
        self.search.set_search_properties(metric, mode, {})

    def propose(self, history: History, number: int) -> Proposal:
        self.news(history)
        return self.proposal(self.search.suggest(str(number)))

    def measured(self, number: int, step: int, value: float, last: bool) -> None:
        if not last:
            self.search.on_trial_result(str(number), self._result(step, value))

    def completed(self, number: int, step: int, value: float) -> None:
        self.search.on_trial_complete(str(number), self._result(step, value))

    def _result(self, step: int, value: float) -> dict[str, Any]:
        return {self.metric: value, "training_iteration": step}


class RandomWithRepeats(_Peer):
    """Independent draws, repeats included: what papers call random search."""

    def propose(self, history: History, number: int) -> Proposal:
        row = random.Random(f"{self.seed}/{number}").randrange(len(self.space.rows))
        return self.proposal(self.space.rows[row])


class RayAsha(StoppingRule):
    """Ray's ``AsyncHyperBandScheduler`` with its own defaults (grace period 1, reduction factor 4)."""

    def __init__(self, max_steps: int, *, mode: str = "max", **_: Any) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        super().__init__(max_steps, mode=mode, grace_period=1, reduction_factor=4)  # type: ignore[arg-type]
        self.scheduler = AsyncHyperBandScheduler(time_attr="step", metric="value", mode=mode, max_t=max_steps)
        self.trials: dict[int, Any] = {}

    @property
    def levels(self) -> tuple[int, ...]:
        return (*[4**power for power in range(10) if 4**power < self.max_steps], self.max_steps)

    def record(self, trial: int, step: int, value: float) -> Decision:
        known = self.trials.get(trial)
        if known is None:
            known = self.trials[trial] = _Trial(str(trial))
            self.scheduler.on_trial_add(None, known)  # type: ignore[arg-type]
        result = {"step": step, "value": value}
        if step < self.max_steps and self.scheduler.on_trial_result(None, known, result) != "STOP":  # type: ignore[arg-type]
            return Decision("continue", None, self.rung(step))
        return Decision("stop", "budget" if step >= self.max_steps else "early_stopped", step)

    def replay(self, trial: int, step: int, value: float, decision: Decision) -> None:
        raise NotImplementedError("not resumed in a benchmark")


class _Trial:
    """What Ray's scheduler looks at of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id
