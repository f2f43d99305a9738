"""The costs of a search's networks: its models, and their figures of an architecture before that is trained.

``params`` and ``flops`` are known in every search whose evaluator says what goes into a network; further models are
those that the setting ``costs`` names. They are asked in the driver.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from raynas.costs import AnalyticCosts, CostError, CostModel
from raynas.costs.model import measured
from raynas.errors import SpaceError, SpecError
from raynas.space import Architecture, Space
from raynas.space.network.shapes import time_limit
from raynas.spec.components import Components, input_dtype, input_shape, object_named
from raynas.spec.settings import SearchSpec
from raynas.storage.search_folder import SearchFolder

#: The costs of so many networks are remembered.
_REMEMBERED = 10_000

#: How a search calls the model that it always has: its entry point.
ANALYTIC = "analytic"

_GROUP = "raynas.costs"


def cost_models(spec: SearchSpec, folder: SearchFolder | None = None) -> dict[str, CostModel]:
    """The models of a search by the names that a person gave them, parameters and FLOPs first.

    Args:
        spec: of its settings ``costs`` counts.
        folder: the begun search's, whose copies of a person's files are loaded.

    Raises:
        SpecError: one of them is no cost model, or two give the same metric.
        UserError: nothing has that name.
    """
    models: dict[str, CostModel] = {ANALYTIC: AnalyticCosts()}
    for reference in spec.costs:
        model = _model(object_named(_GROUP, reference, spec, folder), reference)
        if isinstance(model, AnalyticCosts):
            continue
        for name, other in models.items():
            both = set(model.metrics) & set(other.metrics)
            if both and name != reference:
                raise SpecError(
                    f"cost {reference!r}: {', '.join(sorted(both))} is given by {name!r} already; give it another name"
                )
        models[reference] = model
    return models


def _model(found: Any, reference: str) -> CostModel:
    """What a reference names as a model: a class is called without arguments."""
    if isinstance(found, type) and issubclass(found, CostModel):
        try:
            found = found()
        except Exception as error:
            raise SpecError(f"cost {reference!r} could not be made: {type(error).__name__}: {error}") from error
    if not isinstance(found, CostModel):
        raise SpecError(f"cost {reference!r} is no raynas.costs.CostModel, and no class of them (docs/costs.md)")
    names = getattr(found, "metrics", ())
    if isinstance(names, str) or not names or not all(isinstance(name, str) and name for name in names):
        raise SpecError(
            f"cost {reference!r}: its metrics are {names!r}; a tuple of names is needed, such as ('latency_ms',)"
        )
    return found


def metrics_of(models: Mapping[str, CostModel]) -> list[str]:
    """The names of all figures that the models give."""
    return [metric for model in models.values() for metric in model.metrics]


class Costs:
    """What is known of a space's architectures before they are trained. Its state is a cache.

    Args:
        models: asked, by name.
        space: of the architectures.
        input_shape, dtype: of one sample; without a shape nothing is known.
        seconds: the limit on building one operation (None: none).
    """

    def __init__(
        self,
        models: Mapping[str, CostModel],
        space: Space,
        input_shape: Sequence[int] | None,
        dtype: str | None = None,
        seconds: float | None = None,
    ) -> None:
        self.models = models
        self._space, self._shape, self._dtype, self._seconds = space, input_shape, dtype, seconds
        self._known: dict[str, dict[str, float]] = {}  # by network id
        self._told: set[str] = set()

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """The figures of an architecture; those that cannot be had are missing, and a failing model is told of once.

        A network that cannot be built has none: its trial will fail with the reason.
        """
        if self._shape is None:
            return {}
        network_id = self._space.network_id(architecture)
        if network_id not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[network_id] = self._measured(architecture)
        return self._known[network_id]

    def require(self, architecture: Architecture) -> None:
        """Raises CostError where a model cannot measure an architecture that can be built."""
        if self._shape is None:
            return
        for name in self.models:
            self._ask(name, architecture)

    def _measured(self, architecture: Architecture) -> dict[str, float]:
        found: dict[str, float] = {}
        for name in self.models:
            try:
                found |= self._ask(name, architecture)
            except SpaceError:
                continue
            except CostError as error:
                self._tell(name, error)
        return found

    def _ask(self, name: str, architecture: Architecture) -> dict[str, float]:
        assert self._shape is not None
        with time_limit(self._seconds):  # a constructor that hangs is the trial's trouble, not the driver's
            network = self._space.network(architecture)
            return measured(self.models[name], name, network, tuple(self._shape), self._dtype)

    def _tell(self, name: str, error: CostError) -> None:
        if name not in self._told:
            self._told.add(name)
            logging.getLogger("raynas").warning("%s; networks for which it fails have no such figure", error)


def costs_of(components: Components, seconds: float | None, models: Mapping[str, CostModel] | None = None) -> Costs:
    """The costs of a search's architectures.

    Args:
        components: of the search: its space, and what goes into a network.
        seconds: the limit on building one operation (None: none).
        models: asked (None: parameters and FLOPs).
    """
    asked = {ANALYTIC: AnalyticCosts()} if models is None else models
    return Costs(asked, components.space, input_shape(components), input_dtype(components), seconds)
