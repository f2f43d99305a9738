"""Cost models: the built-in one keeps the contract, and what a broken one gives is said in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from raynas.costs import AnalyticCosts, CostError, CostModel, cost
from raynas.costs.model import measured
from raynas.space import Choice, Space, op
from raynas.testing import CostModelContract

SPACE = Space(hidden=op(nn.Linear, out_features=Choice(4, 8, 16)), head=op(nn.Linear, out_features=2))
NETWORK = SPACE.network(SPACE.default())


class TestAnalyticCosts(CostModelContract):
    def model(self) -> CostModel:
        return AnalyticCosts()


def giving(answer: Callable[[], Any], *names: str) -> CostModel:
    """A model that gives that."""

    class Given(CostModel):
        metrics = names or ("latency_ms",)

        def measure(self, network: Any, input_shape: Any, dtype: Any = None) -> Any:
            return answer()

    return Given()


def test_whole_numbers_stay_whole() -> None:
    found = measured(AnalyticCosts(), "analytic", NETWORK, (3,))
    total = cost(NETWORK, (3,))
    assert found == {"params": total.params, "flops": total.flops} == {"params": 26, "flops": 2 * (12 + 8)}
    assert {type(value) for value in found.values()} == {int}
    numbers = measured(giving(lambda: {"a": torch.tensor(3).numpy()[()], "b": 0.5, "c": 1}, "a", "b"), "m", NETWORK, ())
    assert {name: (value, type(value)) for name, value in numbers.items()} == {"a": (3, int), "b": (0.5, float)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: 1 / 0, "cost model 'slow.py:Model' failed: ZeroDivisionError: division by zero"),
        (lambda: 3.0, "gave a float; a dict of metric to number is needed"),
        (dict, "did not give 'latency_ms', which is among its metrics; it gave nothing"),
        (lambda: {"latency": 3}, "it gave latency"),
        (lambda: {"latency_ms": float("nan")}, "gave nan for 'latency_ms'; a cost is a finite number"),
        (lambda: {"latency_ms": "3 ms"}, "gave '3 ms'"),
        (lambda: {"latency_ms": True}, "gave True"),
        (lambda: {"latency_ms": torch.tensor(3.0)}, r"gave tensor\(3.\)"),
    ],
)
def test_what_a_broken_model_gives_is_said_in_one_line(answer: Callable[[], Any], words: str) -> None:
    with pytest.raises(CostError, match=words) as error:
        measured(giving(answer), "slow.py:Model", NETWORK, (3,))
    assert "\n" not in str(error.value)


class Counting(CostModel):
    """Its figures change from call to call."""

    metrics = ("calls",)
    count = 0

    def measure(self, network: Any, input_shape: Any, dtype: Any = None) -> dict[str, float]:
        type(self).count += 1
        return {"calls": type(self).count}


def contract_of(model: CostModel) -> CostModelContract:
    class Case(CostModelContract):
        def model(self) -> CostModel:
            return model

    return Case()


def test_the_contract_finds_what_it_is_for() -> None:
    with pytest.raises(AssertionError, match="and a new model that is asked again gives"):
        contract_of(Counting()).test_the_same_network_costs_the_same()
    with pytest.raises(AssertionError, match="for all 7 networks; a cost that does not depend on the network"):
        contract_of(giving(lambda: {"latency_ms": 1.0})).test_it_tells_networks_apart()
    unlisted = giving(dict)
    type(unlisted).metrics = "latency_ms"  # type: ignore[assignment]
    with pytest.raises(AssertionError, match=r"write \('latency_ms',\)"):
        contract_of(unlisted).test_it_names_its_metrics()
    with pytest.raises(AssertionError, match="every search has flops already"):
        contract_of(giving(dict, "flops")).test_it_names_its_metrics()
    with pytest.raises(AssertionError, match=r"latency_ms is tensor\(1.\), a Tensor; a cost is a number"):
        contract_of(giving(lambda: {"latency_ms": torch.tensor(1.0)})).test_it_gives_what_it_names()
