"""Strategies that are not ours, for the simulator: Optuna's TPE as it is, Ray's OptunaSearch with Ray's own ASHA, and
searches of libraries that have environments of their own (``foreign``).

Each has the one method that the simulator asks for. They keep a state, as their libraries do, and may propose what was
tried before.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import weakref
from collections.abc import Mapping
from pathlib import Path
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


class Foreign(_Peer):
    """One of ``foreign.SEARCHES``, in a process of its own.

    Args:
        python: the interpreter of the library's environment.
        name: of the search.
    """

    def __init__(self, space: TableSpace, seed: int, metric: str, mode: str, *, python: Path, name: str) -> None:
        super().__init__(space, seed, metric, mode)
        counts = json.dumps([len(options) for options in self.options.values()])
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name("foreign.py"), name, str(seed), counts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        weakref.finalize(self, self.process.communicate)  # its input ends, and so does it

    def propose(self, history: History, number: int) -> Proposal:
        self.news(history)
        self._say(ask=number)
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a peer ended; by hand: {' '.join(map(str, self.process.args))}")  # type: ignore[arg-type]
        places = zip(self.options.items(), json.loads(answer), strict=True)
        return self.proposal({path: options[place] for (path, options), place in places})

    def completed(self, number: int, step: int, value: float) -> None:
        self._say(tell=number, loss=-value if self.mode == "max" else value)

    def _say(self, **message: float) -> None:
        assert self.process.stdin is not None
        print(json.dumps(message), file=self.process.stdin, flush=True)


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
