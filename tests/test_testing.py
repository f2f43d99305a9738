"""The contract tests find what they are for: each is run here on something that is broken in one way."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raynas.evaluators.evaluator import Measurement, State
from raynas.evaluators.synthetic import Synthetic, SyntheticEvaluation
from raynas.export import Exporter, Written
from raynas.schedulers.promotion import PromotionRungs
from raynas.schedulers.rungs import Decision, Rungs
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.tasks.task import Data, Task
from raynas.testing import (
    EvaluatorContract,
    ExporterContract,
    SchedulerContract,
    SearcherContract,
    SpaceContract,
    TaskContract,
)
from raynas.testing.example_spaces import mixed_space

# --- strategies -----------------------------------------------------------------------------------------------------


class Chance(RandomSearcher):
    def propose(self, history, number):
        return self.fresh(history, random.Random(), self.random_draw)


class Counting(RandomSearcher):
    """Keeps between calls what it answers by."""

    count = 0

    def propose(self, history, number):
        self.count += 1
        return self.fresh(history, self.rng(self.count), self.random_draw)


class Updated(RandomSearcher):
    """Answers by what ``update`` was told."""

    told = 0

    def update(self, history):
        self.told = len(history.ended)

    def propose(self, history, number):
        return self.fresh(history, self.rng(number, str(self.told)), self.random_draw)


class Repeating(RandomSearcher):
    def propose(self, history, number):
        return self.proposal(self.space.sample(self.rng(number % 3)), {"kind": "random"})


class Quitting(RandomSearcher):
    def propose(self, history, number):
        return super().propose(history, number) if number < 5 else None


class Unpickled(RandomSearcher):
    def __init__(self, space, **settings):
        super().__init__(space, **settings)
        self.draw = lambda rng: self.random_draw(rng)


class Wordy(RandomSearcher):
    """Its origins are no JSON."""

    def propose(self, history, number):
        return self.fresh(history, self.rng(number), lambda rng: (self.space.sample(rng), {"parents": {1, 2}}))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Chance, "must be a pure function of the history, the seed and the trial's number"),
        (Counting, "must be a pure function"),
        (Updated, "must be a pure function"),
        (Repeating, "are the same architecture"),
        (Quitting, "None says that the space is exhausted"),
        (Unpickled, "cannot be pickled"),
        (Wordy, "is not JSON"),
    ],
)
def test_a_broken_strategy(strategy: type[RandomSearcher], words: str) -> None:
    class Case(SearcherContract):
        spaces = {"recipe": mixed_space}
        trials = 12

        def searcher(self, space, **settings):
            return strategy(space, **settings)

    with pytest.raises(AssertionError, match=words):
        Case().test_every_proposal_is_recomputed_from_its_history("recipe", 2)


class Unseeded(RandomSearcher):
    def __init__(self, space, **settings):
        super().__init__(space)


class Bare(RandomSearcher):
    """Knows nothing of the keywords that a search makes it with."""

    def __init__(self, space, seed=0):
        super().__init__(space, seed=seed)


@pytest.mark.parametrize(("strategy", "words"), [(Unseeded, "hand seed on"), (Bare, "hand them on")])
def test_a_strategy_that_keeps_settings_back(strategy: type[RandomSearcher], words: str) -> None:
    class Case(SearcherContract):
        def searcher(self, space, **settings):
            return strategy(space, **settings)

    with pytest.raises(AssertionError, match=words):
        Case().test_its_options_are_kept_with_a_search(None)


# --- stopping rules -------------------------------------------------------------------------------------------------


class Forgetful(Rungs):
    """A measurement that comes again counts again."""

    def record(self, trial, step, value):
        self._decisions.clear()
        return super().record(trial, step, value)


class Lottery(Rungs):
    def record(self, trial, step, value):
        decision = super().record(trial, step, value)
        return Decision("stop", "early_stopped", step) if decision.rung and random.random() < 0.5 else decision


class Anywhere(Rungs):
    """Stops between rungs."""

    def record(self, trial, step, value):
        decision = super().record(trial, step, value)
        return decision if decision.stops or decision.rung else Decision("stop", "early_stopped")


class Maximal(Rungs):
    """Bigger is always better."""

    def __init__(self, max_steps, **settings):
        super().__init__(max_steps, **settings)
        self._sign = 1.0


class Unreplayed(Rungs):
    def replay(self, trial, step, value, decision):
        pass


class Unfinished(Rungs):
    """Counts what is not finite as the worst value."""

    def record(self, trial, step, value):
        if value != value and self.rung(step) is not None:
            super().record(trial, step, -1e9)
        return super().record(trial, step, value)


class Endless(PromotionRungs):
    """Promotes a trial again and again."""

    def leave(self, trial):
        pass


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        (Forgetful, "a_measurement_that_comes_twice_counts_once", "Remember the decision at a rung|must not count"),
        (Lottery, "the_same_calls_get_the_same_answers", "no chance, no clock"),
        (Anywhere, "every_decision_is_one_that_a_search_can_carry_out", "at a rung only"),
        (Maximal, "smaller_is_better_is_the_mirror_of_bigger_is_better", "compare by self.mode"),
        (Unreplayed, "a_replayed_rule_goes_on_as_the_first", "enter there all that decides"),
        (Unfinished, "what_is_not_finite_stops_and_is_not_entered", "do not enter what is not finite|reason 'nan'"),
        (Endless, "a_replayed_rule_goes_on_as_the_first", "which is not paused"),
    ],
)
def test_a_broken_rule(broken: type[Rungs], check: str, words: str) -> None:
    class Case(SchedulerContract):
        def rule(self, max_steps, **settings):
            return broken(max_steps, **settings)

    arguments = {"mode": "max"} if "carry_out" in check else {"wrong": float("nan")} if "finite" in check else {}
    with pytest.raises(AssertionError, match=words):
        getattr(Case(), f"test_{check}")(9, **arguments)


# --- spaces ---------------------------------------------------------------------------------------------------------


class Idle(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self, in_features: int):
        super().__init__()
        self.used, self.idle = nn.Linear(in_features, 10), nn.Linear(in_features, 10)

    def forward(self, x):
        return self.used(x)


class OwnChance(nn.Linear):
    """Its weights come from another generator than torch's."""

    def reset_parameters(self):
        super().reset_parameters()
        nn.init.constant_(self.bias, random.random())


def ending_in(head: Any) -> Space:
    return Space(
        flatten=op(nn.Flatten), norm=Choice({"none": op(nn.Identity), "norm": op(nn.LayerNorm, 64)}), head=head
    )


@pytest.mark.parametrize(
    ("head", "check", "words"),
    [
        (op(nn.Linear, out_features=7), "every_architecture_fits_its_task_and_learns", r"this task needs \(2, 10\)"),
        (op(Idle), "every_architecture_fits_its_task_and_learns", "get no gradient: forward.. does not use them"),
        (op(OwnChance, out_features=10), "a_seed_gives_the_same_weights", "from torch's generator alone"),
    ],
)
def test_a_broken_space(head: Any, check: str, words: str) -> None:
    class Case(SpaceContract):
        samples = 3

        def space(self, task):
            return ending_in(head)

    with pytest.raises(AssertionError, match=words):
        getattr(Case(), f"test_{check}")("digits")


class WithASet(SpaceContract):
    """The order of the options is that of a set."""

    def space(self, task):
        return Space(flatten=op(nn.Flatten), recipe={"word": Choice(*set("abcdefghijklmnop"))})


def test_a_space_of_another_process() -> None:
    with pytest.raises(AssertionError, match="for digits the space, or the ids .* do not make holes or options from a"):
        WithASet().test_it_is_the_same_in_another_process()


# --- tasks ----------------------------------------------------------------------------------------------------------


class Fine(Task):
    name, input_shape, num_classes = "fine", (4,), 3

    def load(self):
        inputs, targets = torch.arange(160.0).reshape(40, 4), torch.arange(40) % 3
        return Data(inputs[:30], targets[:30], inputs[30:], targets[30:])


class RandomSplit(Fine):
    def load(self):
        data = super().load()
        return Data(data.train_inputs[torch.randperm(30)], data.train_targets, data.valid_inputs, data.valid_targets)


class WholeBatch(Fine):
    def prepare(self, inputs):
        return inputs - inputs.mean(0)


class OtherGenerator(Fine):
    def augment(self, inputs, generator):
        return inputs + torch.randn(inputs.shape)


class FourClasses(Fine):
    outputs = "classes"

    def load(self):
        data = super().load()
        return Data(data.train_inputs, data.train_targets + 1, data.valid_inputs, data.valid_targets)


class Kept(Fine):
    """Keeps the data in another attribute, too."""

    def load(self):
        self.all = super().load()
        return self.all


class NamedLoss(Fine):
    def metrics(self, outputs, targets):
        return {"accuracy": 0.5, "loss": 1.0}


class Undirected(Fine):
    directions = {"accuracy": "max"}


@pytest.mark.parametrize(
    ("task", "check", "words"),
    [
        (RandomSplit, "its_data_are_the_same_every_time", "load.. gives other train_inputs"),
        (WholeBatch, "prepare_makes_each_sample_ready_by_itself", "must not look at the rest of the batch"),
        (OtherGenerator, "augment_follows_its_generator_alone", "draw from the generator that it is given"),
        (FourClasses, "class_numbers_are_those_of_its_classes", "targets go from 1 to 3; with num_classes 3"),
        (Kept, "its_data_stay_out_of_its_pickle", "workers load their own"),
        (NamedLoss, "its_metrics_are_numbers_of_known_names", "another name than 'loss'"),
        (Undirected, "its_metrics_are_numbers_of_known_names", "directions are given for accuracy; a trial reports"),
    ],
)
def test_a_broken_task(task: type[Task], check: str, words: str) -> None:
    class Case(TaskContract):
        def task(self):
            return task()

    with pytest.raises(AssertionError, match=words):
        getattr(Case(), f"test_{check}")()


# --- evaluators -----------------------------------------------------------------------------------------------------


class Broken(Synthetic):
    """Hands out evaluations of another class."""

    def __init__(self, evaluation: type[SyntheticEvaluation]) -> None:
        super().__init__(step_seconds=0.0)
        self.evaluation = evaluation

    def start(self, space, architecture, context):
        return self.evaluation(space.trial_id(architecture), context.max_steps, self.step_seconds)


class StartsAnew(SyntheticEvaluation):
    def load(self, state):
        pass


class NoJSON(SyntheticEvaluation):
    def state(self):
        return State(values={"step": {self.step}})


class NoStop(SyntheticEvaluation):
    def measurements(self, should_stop=lambda: False):
        return super().measurements()


class OneMore(SyntheticEvaluation):
    """Measures the step under way before it ends."""

    def measurements(self, should_stop=lambda: False):
        for measurement in super().measurements():
            yield measurement
            if should_stop():
                yield measurement
                return


class FromZero(SyntheticEvaluation):
    def measurements(self, should_stop=lambda: False):
        for one in super().measurements(should_stop):
            yield Measurement(one.step - 1, one.metrics, one.seconds)


class Noisy(SyntheticEvaluation):
    draws = itertools.count()

    def measurements(self, should_stop=lambda: False):
        for one in super().measurements(should_stop):
            yield Measurement(one.step, {"score": next(self.draws)}, one.seconds)


@pytest.mark.parametrize(
    ("evaluation", "check", "words"),
    [
        (StartsAnew, "a_trial_that_was_cut_off_goes_on_as_if_nothing_had_happened", "load.. take all of it"),
        (NoJSON, "a_trial_that_was_cut_off_goes_on_as_if_nothing_had_happened", "must be plain JSON"),
        (OneMore, "a_trial_that_was_cut_off_goes_on_as_if_nothing_had_happened", "end at once, without one"),
        (NoStop, "it_asks_whether_to_stop", "ask it every batch"),
        (FromZero, "a_measurement_per_step", "they count from 1"),
        (Noisy, "a_seed_gives_one_result", "follow from context.seed"),
    ],
)
def test_a_broken_evaluator(evaluation: type[SyntheticEvaluation], check: str, words: str, tmp_path: Any) -> None:
    class Case(EvaluatorContract):
        def evaluator(self):
            return Broken(evaluation)

    arguments = {"cut": 1, "tmp_path": tmp_path} if "cut_off" in check else {}
    with pytest.raises(AssertionError, match=words):
        getattr(Case(), f"test_{check}")(**arguments)


# --- exporters ------------------------------------------------------------------------------------------------------


class Pickled(Exporter):
    """Keeps the module as it is."""

    def write(self, network, weights, folder):
        torch.save(network.build(weights), folder / "module.pt")

    def load(self, folder):
        return torch.load(folder / "module.pt", weights_only=False)


class Zeroing(Pickled):
    def write(self, network, weights, folder):
        for tensor in weights.values():
            tensor.zero_()
        super().write(network, weights, folder)


class Beside(Pickled):
    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        (folder.parent / "more.txt").write_text("more")


class Here(Pickled):
    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        Path("more.txt").write_text("more")


class Rooted(Pickled):
    """Finds its file only where it was written."""

    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        (folder / "where.txt").write_text(str(folder / "module.pt"))

    def load(self, folder):
        return torch.load((folder / "where.txt").read_text(), weights_only=False)


class Fixed(Pickled):
    """Takes batches of one size alone."""

    def load(self, folder):
        module = super().load(folder)
        return lambda batch: module(batch.reshape(4, 1, 8, 8))


class First(Pickled):
    """Writes the network that it was given first, again and again."""

    module = None

    def write(self, network, weights, folder):
        self.module = self.module or network.build(weights)
        torch.save(self.module, folder / "module.pt")


class Telling(Pickled):
    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        return Written({"modul.pt": "the module"})


class Idle(Exporter):
    def write(self, network, weights, folder):
        pass


@pytest.mark.parametrize(
    ("exporter", "check", "words"),
    [
        (Idle, "it_writes_files_of_its_own", "wrote nothing"),
        (Telling, "it_writes_files_of_its_own", "tells of modul.pt, which was not written"),
        (Zeroing, "it_touches_nothing_else", "changed the weights .*; change a copy"),
        (Beside, "it_touches_nothing_else", "beside its folder"),
        (Here, "it_touches_nothing_else", "into the working folder"),
        (Rooted, "what_was_written_gives_the_outputs_of_the_network", "cannot be run"),
        (Fixed, "what_was_written_gives_the_outputs_of_the_network", "with a batch of 1"),
        (First, "one_exporter_writes_many_networks", "other outputs"),
    ],
)
def test_a_broken_exporter(
    exporter: type[Exporter], check: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Case(ExporterContract):
        def exporter(self):
            return exporter()

    arguments = {"monkeypatch": monkeypatch} if "touches" in check else {}
    with pytest.raises(AssertionError, match=words):
        getattr(Case(), f"test_{check}")("mlp", tmp_path, **arguments)
