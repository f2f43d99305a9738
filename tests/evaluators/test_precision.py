"""The number format: tried with care, said where it is not what one expects, and never the architecture's fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raynas import api
from raynas.cli.app import call
from raynas.engine.run import _decisions
from raynas.errors import UserError
from raynas.evaluators import execution, training
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.execution import Execution, candidates, has_bf16, rows_to_time, usable
from raynas.evaluators.synthetic import Synthetic
from raynas.evaluators.training import Training
from raynas.space import Choice, Space, op
from raynas.spec.settings import ResolvedSpec
from raynas.tasks.digits import Digits

CONTEXT = TrialContext(0, 0, 1)


class Picky(nn.Module):
    """Adds up products in a float32 sum: bfloat16 products are refused by ``index_add_``."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        products = self.linear(x)
        place = torch.zeros(len(x), dtype=torch.int64)
        return products.float() + torch.zeros(1, products.shape[1]).index_add_(0, place, products)


class Contiguous(nn.Module):
    """Flattens its inputs by ``view``, which pixels stored channel by channel allow alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)


PICKY = Space(flatten=op(nn.Flatten), head=Choice(op(Picky, out_features=10), op(nn.Linear, out_features=10)))
LAYOUTS = Space(
    stem=op(nn.Conv2d, out_channels=4, kernel_size=3),
    flatten=Choice(op(nn.Flatten), op(Contiguous)),
    head=op(nn.Linear, out_features=10),
)


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with instructions for bfloat16, on any."""
    monkeypatch.setattr(execution, "has_bf16", lambda device: True)
    monkeypatch.setattr(training, "has_bf16", lambda device: True)


@pytest.mark.usefixtures("capable")
def test_a_default_network_that_cannot_do_bfloat16_makes_it_float32_and_that_is_said() -> None:
    decided = Training(Digits()).decide(PICKY, PICKY.default(), CONTEXT)
    assert decided["precision"] == "fp32"
    assert decided["reason"].startswith("float32, since the space's default network fails in bfloat16 (RuntimeError: ")
    there = Training(Digits())
    there.adopt(decided)
    assert there.execution is not None
    assert there.execution.precision == "fp32"
    asked = TrialContext(0, 0, 1, precision="bf16")
    with pytest.raises(
        UserError, match="'bf16' is not possible: .* fails with RuntimeError: .*; give --precision fp32"
    ):
        Training(Digits()).decide(PICKY, PICKY.default(), asked)


@pytest.mark.parametrize(
    ("space", "way", "found"),
    [
        (PICKY, Execution("bf16"), Execution()),
        (LAYOUTS, Execution("bf16", "channels_last"), Execution("bf16")),
        (LAYOUTS, Execution("fp32", "channels_last"), Execution()),
    ],
)
def test_a_later_architecture_that_cannot_is_trained_in_the_nearest_way(
    space: Space, way: Execution, found: Execution, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator = Training(Digits(), execution=way)
    for architecture in space.enumerate():
        cannot = set(architecture.to_json().values()) <= {"picky", "contiguous"}
        evaluation = evaluator.start(space, architecture, CONTEXT)
        assert evaluation.execution == (found if cannot else way)
        said = capsys.readouterr().out
        assert (f"trained in {found.precision}, {found.layout}" in said) == cannot
        assert next(evaluation.measurements()).metrics["val_accuracy"] > 0.1
        assert "val_loss" in evaluator.check(space, architecture, CONTEXT).metrics  # as before a search
        capsys.readouterr()


def test_trying_it_changes_nothing() -> None:
    """The weights, the buffers and what is drawn are those of a training that was not tried first."""
    plain, tried = (Training(Digits(), execution=way) for way in (None, Execution("bf16")))
    networks = [one.start(LAYOUTS, LAYOUTS.default(), CONTEXT).model.state_dict() for one in (plain, tried)]
    assert all(torch.equal(tensor, networks[1][name]) for name, tensor in networks[0].items())


def test_what_is_far_slower_on_a_few_samples_is_not_timed_further() -> None:
    plain, last, half, both = candidates_of_a_new_processor = [
        Execution(precision, layout) for precision in ("fp32", "bf16") for layout in ("contiguous", "channels_last")
    ]
    calls: list[Execution] = []

    def steps(seconds: dict[Execution, float]) -> Any:
        def try_out(way: Execution) -> Any:
            return lambda: calls.append(way) or seconds[way]

        return try_out

    seconds = {plain: 1.0, last: 0.9, half: 47.0, both: 2.6}
    found, failures = usable(steps(seconds), candidates_of_a_new_processor)
    assert (found, failures) == ({plain: 1.0, last: 0.9, both: 2.6}, {})
    assert calls == [plain, plain, last, last, half, both, both], "what is hopeless is dropped at once"
    found, failures = usable(steps({plain: 9.0, last: 1.0}), candidates_of_a_new_processor)
    assert list(found) == [plain, last]  # the first is what others are compared with
    assert set(failures) == {half, both}


def test_a_step_that_is_timed_has_fewer_samples_where_they_take_long() -> None:
    two = dict.fromkeys([Execution(), Execution("fp32", "channels_last")], 0.1)
    assert rows_to_time(two, 4, 64, "cpu") == 16
    assert rows_to_time(two, 4, 8, "cpu") == 8
    assert rows_to_time(dict.fromkeys(two, 9.0), 4, 64, "cpu") == 4
    assert rows_to_time(dict.fromkeys(two, 9.0), 4, 64, "cuda") == 64


def test_without_instructions_it_is_tried_only_where_a_person_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability in ("DEFAULT", "AVX2"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        assert not has_bf16("cpu")
        assert {way.precision for way in candidates("cpu")} == {"fp32"}
        assert candidates("cpu", "bf16") == [Execution("bf16")]
        if capability == "AVX2":  # plain float32 is the only way: nothing is built or tried
            assert Training(Digits()).decide(PICKY, None, CONTEXT) == Execution().to_json()  # type: ignore[arg-type]
        asked = TrialContext(0, 0, 1, precision="bf16")
        decided = Training(Digits()).decide(LAYOUTS, LAYOUTS.default(), asked)
        assert decided["precision"] == "bf16"
        assert "this cpu has no instructions for it" in decided["reason"]
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert not has_bf16("cpu")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert has_bf16("cpu")
    assert not has_bf16("mps")
    with pytest.raises(UserError, match="'bf16' is for the devices cpu and cuda"):
        candidates("mps", "bf16")


def test_what_a_person_asks_for_is_what_the_journal_holds() -> None:
    parts: Any = SimpleNamespace(evaluator=Training(Digits()), space=LAYOUTS, decisions=None)
    history: Any = SimpleNamespace(sessions=[])
    slots: Any = SimpleNamespace(device="cpu", cpus=1)
    spec = ResolvedSpec(space="-", name="s", task="digits", metric="val_accuracy", mode="max", epochs=1, seed=0)
    for precision in ("fp32", "bf16"):
        decided = _decisions(history, replace(spec, precision=precision), parts, slots)
        assert decided["precision"] == precision
    elsewhere: Any = SimpleNamespace(device="cuda" if not torch.cuda.is_available() else "mps", cpus=1)
    decided = _decisions(history, replace(spec, precision="bf16"), parts, elsewhere)
    assert decided == {"precision": "bf16"}  # only workers have the device


def test_a_wish_that_cannot_be_met_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(["search", "mlp", "--precision", "fp16"]) == 2
    assert "precision 'fp16' is none of 'auto', 'fp32' or 'bf16'" in capsys.readouterr().err
    with pytest.raises(UserError, match="precision is a setting of training, and Synthetic decides it by itself"):
        api.plan("mlp", evaluator=Synthetic(), precision="bf16", home=tmp_path)
    with pytest.raises(UserError, match="'bf16' is not possible"):
        api.plan(PICKY, precision="bf16", trials=1, home=tmp_path)
    assert not list(tmp_path.iterdir())
