"""The contract of a cost model: finite figures under the declared names, the same every time.

Ray is not needed, and nothing trains.
"""

from __future__ import annotations

import math
import numbers
import pickle
import random
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import pytest

from raynas.costs import AnalyticCosts, CostModel
from raynas.costs.model import measured
from raynas.space import Architecture, Space
from raynas.tasks.task import Task
from raynas.testing.contract import Contract, as_json


class CostModelContract(Contract):
    """What every cost model has to keep. Override ``model``, and where needed what follows it.

    Attributes:
        samples: so many random architectures are measured besides the default.
        noise: the share by which a figure may differ from call to call; 0 unless the model times something.
    """

    samples: ClassVar[int] = 6
    noise: ClassVar[float] = 0.0

    def model(self) -> CostModel:
        """A new model, as a search makes it."""
        raise NotImplementedError(f"{type(self).__name__} gives model(self)")

    def task(self) -> Task:
        """The task whose inputs the networks take."""
        from raynas.tasks.digits import Digits

        return Digits()

    def space(self, task: Task) -> Space:
        """The space whose networks are measured."""
        from search_spaces.mlp import mlp

        return mlp(task)

    def figures(self) -> list[dict[str, float]]:
        """What a new model gives for the default and for some random networks, always in the same order."""
        model, task, space = self.model(), self.task(), self._space
        return [
            measured(model, type(model).__name__, space.network(each), task.input_shape, task.input_dtype)
            for each in self._architectures()
        ]

    def test_it_names_its_metrics(self) -> None:
        model = self.model()
        assert isinstance(model, CostModel), (
            f"model() gives a {type(model).__name__}; derive from raynas.costs.CostModel"
        )
        names = model.metrics
        assert not isinstance(names, str), f"metrics is a tuple of names; write ({names!r},)"
        assert names, "metrics names the figures that measure() gives; it is empty"
        assert all(isinstance(name, str) and name for name in names), f"metrics {names!r} holds names"
        assert len(set(names)) == len(names), f"metrics {names!r} names one twice"
        if not isinstance(model, AnalyticCosts):
            taken = set(names) & set(AnalyticCosts.metrics)
            assert not taken, f"every search has {', '.join(sorted(taken))} already; give the metric another name"

    def test_it_gives_what_it_names(self) -> None:
        model, task, space = self.model(), self.task(), self._space
        for architecture in self._architectures():
            found = model.measure(space.network(architecture), task.input_shape, task.input_dtype)
            assert isinstance(found, Mapping), f"measure() gave a {type(found).__name__}; it gives a dict"
            assert set(found) == set(model.metrics), (
                f"measure() gave {sorted(found)}; metrics are {list(model.metrics)}"
            )
            for name, value in found.items():
                real = isinstance(value, numbers.Real) and not isinstance(value, bool)
                assert real, f"{name} is {value!r}, a {type(value).__name__}; a cost is a number (.item() of a tensor)"
                assert math.isfinite(value), f"{name} is {value} for {dict(architecture)}; a cost is finite"

    def test_the_same_network_costs_the_same(self) -> None:
        self._require_same(self.figures(), self.figures(), "a new model that is asked again")

    def test_it_costs_the_same_in_another_process(self) -> None:
        self._require_same(as_json(self.figures()), self.in_another_process("figures"), "a model in another process")

    def test_the_order_of_questions_does_not_matter(self) -> None:
        model, task, space = self.model(), self.task(), self._space
        backwards = [
            measured(model, type(model).__name__, space.network(each), task.input_shape, task.input_dtype)
            for each in reversed(self._architectures())
        ]
        self._require_same(self.figures(), backwards[::-1], "a model that was asked in another order")

    def test_it_tells_networks_apart(self) -> None:
        found = self.figures()
        if len(set(map(self._space.network_id, self._architectures()))) < 2:
            pytest.skip("all sampled networks are the same")
        for name in found[0]:
            assert len({one[name] for one in found}) > 1, (
                f"{name} is {found[0][name]} for all {len(found)} networks; a cost that does not depend on the network "
                "limits nothing: override space() if this space has nothing that it depends on"
            )

    def test_it_survives_a_pickle(self) -> None:
        again = pickle.loads(pickle.dumps(self.model()))
        task, space = self.task(), self._space
        network = space.network(space.default())
        found = measured(again, type(again).__name__, network, task.input_shape, task.input_dtype)
        self._require_same(self.figures()[:1], [found], "a model that was pickled")

    # --- what the tests share ---------------------------------------------------------------------------------------

    @cached_property
    def _space(self) -> Space:
        return self.space(self.task())

    def _architectures(self) -> list[Architecture]:
        rng = random.Random(0)
        return [self._space.default(), *(self._space.sample(rng) for _ in range(self.samples))]

    def _require_same(self, first: Iterable[Any], second: Iterable[Any], which: str) -> None:
        for name, here, there in _pairs(first, second):
            assert abs(here - there) <= self.noise * max(abs(here), abs(there)), (
                f"{name} was {here}, and {which} gives {there} for the same network; a constraint is checked again "
                "when a search is resumed, so seed what draws, and of timings take a median (and set noise)"
            )


def _pairs(first: Iterable[Any], second: Iterable[Any]) -> Iterator[tuple[str, float, float]]:
    for one, other in zip(first, second, strict=True):
        for name in one:
            yield name, one[name], other[name]
