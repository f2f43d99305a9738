"""What a task stores is the same after any training, whatever the task's own functions do to what they are given."""

import copy
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from brightness import make_folder
from torch import Generator, Tensor, nn

from raynas.evaluators.evaluate import OtherImages, judge
from raynas.evaluators.fit import fit
from raynas.tasks.images import ImageClassification
from raynas.tasks.task import Data, Task


class Careful(Task):
    """A regression on float32 inputs whose functions work on copies."""

    name = "careful"
    input_shape = (6,)
    num_classes = 1
    recipe = MappingProxyType({"batch_size": 32, "ema": 0.9})

    def load(self) -> Data:
        inputs = torch.randn(160, 6, generator=torch.Generator().manual_seed(0))
        targets = inputs[:, :1] * 2 - inputs[:, 1:2]
        return Data(inputs[:128], targets[:128], inputs[128:], targets[128:])

    def prepare(self, inputs: Tensor) -> Tensor:
        return inputs / 2

    def augment(self, inputs: Tensor, generator: Generator) -> Tensor:
        return inputs + 0.01

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        return (outputs - targets * 3).pow(2).mean()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {"mae": (outputs - targets).abs().mean().item(), "range": targets.max().item() + 1}


class Careless(Careful):
    """The same functions in place, one of them through a NumPy view."""

    def prepare(self, inputs: Tensor) -> Tensor:
        return inputs.div_(2)

    def augment(self, inputs: Tensor, generator: Generator) -> Tensor:
        return inputs.add_(0.01)

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        return (outputs - targets.mul_(3)).pow(2).mean()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        error = outputs.sub_(targets).abs_().mean().item()
        seen = targets.numpy()
        seen += 1
        return {"mae": error, "range": float(seen.max())}


def network() -> nn.Module:
    """One that changes its input in place as well, and has statistics to renew."""
    torch.manual_seed(0)
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def test_functions_that_work_in_place_change_no_figure_and_no_data() -> None:
    careful, careless = Careful(), Careless()
    before = copy.deepcopy(careless.data)
    expected, got = (fit(network(), task, epochs=3).measurements for task in (careful, careless))
    for name in ("val_mae", "val_range", "val_loss", "train_loss"):
        assert [one.metrics[name] for one in got] == pytest.approx([one.metrics[name] for one in expected]), name
    for field in fields(Data):
        assert torch.equal(getattr(careless.data, field.name), getattr(before, field.name)), field.name


def test_by_default_bytes_are_scaled_and_other_types_keep_their_values() -> None:
    prepare = Task.prepare
    pixels = torch.tensor([[0, 255]], dtype=torch.uint8)
    assert prepare(Careful(), pixels).tolist() == [[-1.0, 1.0]]
    for dtype in (torch.float32, torch.float64):
        floats = torch.tensor([[0.25, -3.0]], dtype=dtype)
        assert prepare(Careful(), floats).dtype == torch.float32
        assert prepare(Careful(), floats).tolist() == [[0.25, -3.0]]
    tokens = torch.tensor([[5, 900]])
    assert torch.equal(prepare(Careful(), tokens), tokens)


def test_an_export_is_told_of_pixels_only_where_bytes_are_stored() -> None:
    class Floats(Careful):
        input_shape = (1, 2, 3)
        prepare = Task.prepare

        def load(self) -> Data:
            data = super().load()
            return Data(data.train_inputs.view(-1, 1, 2, 3), data.train_targets, data.valid_inputs, data.valid_targets)

    assert Floats().preprocessing() is None


def test_other_images_are_as_they_were_after_each_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYNAS_CACHE", str(tmp_path / "cache"))

    class InPlace(ImageClassification):
        def prepare(self, inputs: Tensor) -> Tensor:
            return super().prepare(inputs.bitwise_not_())

        def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
            return super().loss(outputs, targets.clamp_(max=0))

    task = InPlace(make_folder(tmp_path / "mine", {"a-dark": 60, "b-bright": 190}, 20, seed=0))
    images = OtherImages.read(task, make_folder(tmp_path / "other", {"a-dark": 60, "b-bright": 190}, 5, seed=1))
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    first = judge(model, task, images)
    assert judge(model, task, images) == first
    assert sorted(images.targets.tolist()) == [0] * 5 + [1] * 5
