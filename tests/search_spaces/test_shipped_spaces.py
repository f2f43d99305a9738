"""The shipped spaces: the contract of a space, and what each of them promises besides."""

import itertools
import random
from collections.abc import Callable

import pytest
import torch

from raynas.costs import cost, layer_costs
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.training import Training
from raynas.space import Space
from raynas.tasks.digits import Digits
from raynas.tasks.task import Data, Task
from raynas.testing import SpaceContract
from search_spaces.mlp import mlp
from search_spaces.resnet import default_plan, resnet


class Images(Task):
    """Images of any size, with nothing in them: spaces look at a task's shapes alone."""

    name = "images"

    def __init__(self, channels: int, size: int, classes: int = 7) -> None:
        self.input_shape = (channels, size, size)
        self.num_classes = classes

    def load(self) -> Data:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (12, *self.input_shape), generator=generator, dtype=torch.uint8)
        targets = torch.arange(12) % self.num_classes
        return Data(inputs, targets, inputs, targets)


class TestResNet(SpaceContract):
    tasks = {"digits": Digits(), "32x32x3": Images(3, 32), "3x3x2": Images(2, 3)}

    def space(self, task: Task) -> Space:
        return resnet(task)


class TestResNetOnLargeImages(TestResNet):
    tasks = {"224x224x3": Images(3, 224)}
    samples = 2


class TestMLP(SpaceContract):
    tasks = {"digits": Digits(), "32x32x3": Images(3, 32)}

    def space(self, task: Task) -> Space:
        return mlp(task)


@pytest.mark.parametrize("make", [resnet, mlp])
def test_samples_differ_and_the_default_has_neighbours(make: Callable[[Task], Space]) -> None:
    space, rng = make(Digits()), random.Random(0)
    drawn = [space.default(), *(space.sample(rng) for _ in range(25))]
    assert len({space.trial_id(architecture) for architecture in drawn}) == len(drawn)
    assert len(space.neighbours(space.default())) > 5


def test_halving_stops_where_maps_get_small() -> None:
    def sizes(channels: int, size: int) -> list[int]:
        task = Images(channels, size)
        space = resnet(task)
        layers = layer_costs(space.network(space.default()), task.input_shape)
        return [layer.out_shape[-1] for layer in layers if layer.path.endswith(".0") or layer.path == "stem"]

    assert sizes(1, 8) == [8, 8, 4]
    assert sizes(1, 28) == [28, 28, 14, 7]
    assert sizes(3, 32) == [32, 32, 16, 8, 4]
    assert sizes(3, 64) == [32, 32, 16, 8, 4]
    assert sizes(3, 224) == [56, 56, 28, 14, 7]
    assert sizes(3, 3) == [3, 3]


@pytest.mark.parametrize("size", [3, 8, 28, 32, 48, 64, 96, 224])
def test_the_default_fits_what_a_trial_can_afford(size: int) -> None:
    found = []
    for tenths in range(50, 101, 2):
        task = Images(3, size)
        task.affordable_flops = 10 ** (tenths / 10)
        space = resnet(task)
        found.append((task.affordable_flops, cost(space.network(space.default()), task.input_shape).flops))
        assert default_plan(task).flops(task) == found[-1][1]
    assert all(before[1] <= after[1] for before, after in itertools.pairwise(found))
    assert all(flops <= affordable or flops == found[0][1] for affordable, flops in found)
    usual = resnet(Images(3, size))
    assert space.fingerprint == usual.fingerprint  # where it can afford ten thousand million
    assert {flops for _, flops in found} > {found[-1][1]} or size == 3


def test_a_shrunk_space_has_room_to_both_sides_and_its_parts_fit() -> None:
    task = Images(3, 32)
    task.affordable_flops = 3e6
    space, rng = resnet(task), random.Random(0)
    plan, default = default_plan(task), cost(resnet(task).network(space.default()), task.input_shape).flops
    assert (plan.width, plan.depth, plan.stem_stride, plan.stages) == (24, 1, 4, 2)
    drawn = [cost(space.network(space.sample(rng)), task.input_shape).flops for _ in range(20)]
    assert min(drawn) < default * 0.7
    assert max(drawn) > default * 2
    for _ in range(3):
        space.build(space.sample(rng), task.input_shape)(torch.randn(2, 3, 32, 32))


# Where nobody knows what a trial can afford the space is what it was: searches begun with it go on.
@pytest.mark.parametrize(
    ("channels", "size", "fingerprint"),
    [
        (1, 8, "edbd6ae6d0a6bc9e"),
        (3, 32, "da05fb73169062e5"),
        (3, 64, "f270ed0a6e3eba05"),
        (3, 224, "461a84e98c976eb7"),
    ],
)
def test_without_a_limit_the_space_stays_what_it_was(channels: int, size: int, fingerprint: str) -> None:
    assert resnet(Images(channels, size)).fingerprint == fingerprint


# Worked out by hand below, not printed by the code under test.
def test_the_defaults_cost_what_a_hand_count_says() -> None:
    def conv(cin: int, cout: int, kernel: int, pixels: int) -> tuple[int, int]:
        return cin * cout * kernel**2 + 2 * cout, 2 * cin * cout * kernel**2 * pixels  # batch norm: two a channel

    layers = [conv(1, 16, 3, 64)]  # stem
    layers += [conv(16, 16, 3, 64)] * 4  # stage 1: two blocks of two convolutions
    layers += [conv(16, 32, 3, 16), conv(32, 32, 3, 16), conv(16, 32, 1, 16)]  # stage 2, halving, with its shortcut
    layers += [conv(32, 32, 3, 16)] * 2
    layers += [(32 * 10 + 10, 2 * 32 * 10)]
    space = resnet(Digits())
    found = cost(space.network(space.default()), (1, 8, 8))
    assert found.params == sum(params for params, _ in layers)
    assert found.flops == sum(flops for _, flops in layers)

    space = mlp(Digits())
    found = cost(space.network(space.default()), (1, 8, 8))
    weights = 64 * 128 + 128 * 128 + 128 * 10
    assert found.params == weights + 2 * 128 + 2 * 128 + 10
    assert found.flops == 2 * weights


@pytest.mark.parametrize("make", [resnet, mlp])
def test_training_accepts_the_defaults_in_its_preflight(make: Callable[[Task], Space]) -> None:
    space = make(Digits())
    training = Training(Digits())
    names = training.preflight(space, space.default())
    assert set(names) == set(training.check(space, space.default(), TrialContext(0, 0, 1)).metrics)
    assert set(names) == {"val_accuracy", "val_loss", "train_loss", "lr", "images_per_second"}
