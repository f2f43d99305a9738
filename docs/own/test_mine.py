"""Tests of what lies beside this file: space, task, cost, strategy, exporter. Try it:  python -m pytest test_mine.py

Each class runs the whole contract on what its method makes: testing.md says what that is, and what else can be set.
"""

from cost import Activations
from exporter import HalfPrecision
from searcher import HillClimber
from space import convnet
from task import Wine

from raynas.evaluators.training import Training
from raynas.tasks.digits import Digits
from raynas.testing import (
    CostModelContract,
    EvaluatorContract,
    ExporterContract,
    SearcherContract,
    SpaceContract,
    TaskContract,
)
from search_spaces.mlp import mlp


class TestConvnet(SpaceContract):
    tasks = {"digits": Digits()}  # each task that the space is made for, under a name for messages

    def space(self, task):
        return convnet(task)


class TestWine(TaskContract):
    def task(self):
        return Wine()


class TestActivations(CostModelContract):
    def model(self):
        return Activations()

    def space(self, task):
        return convnet(task)  # its networks are measured; by default those of mlp, on digits


class TestHillClimber(SearcherContract):
    trials = 16  # of each simulated search; no Ray starts, and nothing trains

    def searcher(self, space, **settings):
        return HillClimber(space, **settings)  # settings: seed, objective, …

    def check_search(self, history):
        """What you demand of each simulated search besides."""
        assert {"random", "mutation"} <= {trial.origin["kind"] for trial in history.trials.values()}


class TestTrainingOnWine(EvaluatorContract):
    """For an evaluator of your own; here RayNAS's training shows that it can train on the task."""

    def evaluator(self):
        return Training(Wine())

    def space(self):
        return mlp(Wine())  # its default is measured


class TestHalfPrecision(ExporterContract):
    def exporter(self):
        return HalfPrecision()

    def spaces(self):
        return {"mlp": mlp(self.task())}  # the default and a random network of each are written
