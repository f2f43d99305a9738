"""The contract of a cost: what is known of a network before it is trained.

A model gives one or more figures of a network: parameters, FLOPs, bytes, a latency. A search asks its models in the
driver for every architecture that a strategy draws, writes the figures into the journal with the proposal, and checks
the constraints on them before the draw becomes a trial. docs/costs.md is the page on it.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from raynas.errors import CostError, SpaceError
from raynas.space.network.shapes import Shape
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    import torch


class CostModel(ABC):
    """Measures networks without training them. A subclass names its ``metrics`` and implements ``measure``.

    What a figure depends on beside the network (a device, a batch size, a table of measured layers) is the model's own:
    an argument of its constructor, with a default, because a search makes a model that it is given by name without
    arguments.

    Attributes:
        metrics: the names of the figures, with their units where they have one (``latency_ms``). No other model of the
            search may give a figure of the same name; ``params`` and ``flops`` are taken (``AnalyticCosts``).

    Example:
        >>> class Depth(CostModel):
        ...     metrics = ("depth",)
        ...
        ...     def measure(self, network, input_shape, dtype=None):
        ...         return {"depth": len(layer_costs(network, input_shape, dtype))}
    """

    metrics: tuple[str, ...]

    @abstractmethod
    def measure(
        self, network: Network, input_shape: Shape, dtype: torch.dtype | str | None = None
    ) -> Mapping[str, float]:
        """The figures of one network: a finite number for each of ``metrics``.

        The same network must get the same figures every time: a constraint is checked when a network is drawn, and
        again by a resumed search. A search with a narrow constraint asks hundreds of times for one proposal, so a call
        should take milliseconds.

        Args:
            network: a filled template (``space.network(architecture)``). ``layer_costs`` lists its layers with their
                shapes, and ``raynas.space.network.build.build`` makes the plain module of it.
            input_shape: of one sample, without the batch, as ``(C, H, W)``.
            dtype: of the sample (a ``torch.dtype`` or its name); float32 unless given.

        Raises:
            SpaceError: the network does not fit the input.
            CostError: the figure cannot be had for this network; the message says why. Under a constraint on it the
                network is then not proposed.
        """


def measured(
    model: CostModel,
    name: str,
    network: Network,
    input_shape: Shape,
    dtype: torch.dtype | str | None = None,
) -> dict[str, float]:
    """What a model gives for a network, checked: whole numbers as ``int``, all others as ``float``.

    Args:
        model: asked.
        name: how a person has named it, for messages.
        network, input_shape, dtype: as in ``CostModel.measure``.

    Raises:
        SpaceError: the network does not fit the input.
        CostError: the model failed, or did not give a finite number for each of its metrics.
    """
    try:
        given = model.measure(network, input_shape, dtype)
    except (SpaceError, CostError):
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        raise CostError(f"cost model {name!r} failed: {type(error).__name__}: {words[:400]}") from error
    if not isinstance(given, Mapping):
        raise CostError(f"cost model {name!r} gave a {type(given).__name__}; a dict of metric to number is needed")
    return {metric: _number(given, metric, name) for metric in model.metrics}


def _number(given: Mapping[str, float], metric: str, name: str) -> float:
    if metric not in given:
        there = ", ".join(map(str, given)) or "nothing"
        raise CostError(f"cost model {name!r} did not give {metric!r}, which is among its metrics; it gave {there}")
    value = given[metric]
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise CostError(f"cost model {name!r} gave {value!r} for {metric!r}; a cost is a finite number")
    return int(value) if isinstance(value, numbers.Integral) else float(value)
