"""Kinds of tasks: losses and metrics against scikit-learn and closed forms, and what follows from a kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor, nn

from raynas.errors import SpecError, TaskError
from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.training import Training
from raynas.objectives.objective import Objective, mode_of
from raynas.space import Choice, Space, op
from raynas.spec.references import Source, make_task
from raynas.tasks.metrics import Accuracy, Errors, LabelScores, PixelScores, measured
from raynas.tasks.samples import output_kind
from raynas.tasks.task import Data, Task
from raynas.testing import TaskContract
from search_spaces.mlp import mlp


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Heights(Task):
    """Two numbers from five: a linear rule with noise."""

    name, kind, input_shape, output_shape = "heights", "regression", (5,), (2,)
    default_epochs = 3

    def load(self) -> Data:
        inputs = numbers(200, 5)
        targets = inputs[:, :2] + inputs[:, 3:] / 2 + 0.1 * numbers(200, 2, seed=1)
        return Data(inputs[:160], targets[:160], inputs[160:], targets[160:])


class Tags(Task):
    """Four labels at once, each there where its own number is above a threshold: the last one is rare."""

    name, kind, input_shape, num_classes = "tags", "multi_label", (4,), 4
    recipe = {"batch_size": 16}

    def load(self) -> Data:
        inputs = numbers(400, 4)
        targets = (inputs > torch.tensor([0.0, 0.0, 0.5, 1.5])).long()
        return Data(inputs[:300], targets[:300], inputs[300:], targets[300:])


class Rare(Task):
    """A class of two in a hundred that its inputs do not tell apart well."""

    name, input_shape, num_classes, class_weights = "rare", (2,), 2, "balanced"

    def load(self) -> Data:
        targets = (torch.arange(1_000) % 50 == 0).long()
        inputs = numbers(1_000, 2) + 1.5 * targets[:, None]
        return Data(inputs[:800], targets[:800], inputs[800:], targets[800:])


class TestTags(TaskContract):
    def task(self) -> Task:
        return Tags()


# --- metrics --------------------------------------------------------------------------------------------------------


def in_batches(metric: Any, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Of batches of unequal sizes."""
    return measured({"it": metric}, zip(outputs.split(7), targets.split(7), strict=True))


def test_errors_are_those_of_scikit_learn_also_far_from_zero() -> None:
    wanted = numbers(40, 3) * torch.tensor([1.0, 5.0, 0.5]) + 1e5
    got = wanted + numbers(40, 3, seed=1)
    exact = wanted.double().numpy(), got.double().numpy()
    expected = {
        "rmse": root_mean_squared_error(exact[0].ravel(), exact[1].ravel()),
        "mae": mean_absolute_error(*exact),
        "r2": r2_score(*exact),
    }
    assert in_batches(Errors(), got, wanted) == pytest.approx(expected, rel=1e-9)


def test_a_constant_target_is_met_or_missed() -> None:
    wanted = torch.ones(9)
    assert in_batches(Errors(), torch.ones(9, 1), wanted)["r2"] == 1.0
    assert in_batches(Errors(), torch.zeros(9, 1), wanted) == {"rmse": 1.0, "mae": 1.0, "r2": 0.0}


def test_label_scores_are_those_of_scikit_learn() -> None:
    outputs, there = numbers(50, 4), (numbers(50, 4, seed=1) > 0.3).float()
    predicted = outputs > 0
    assert in_batches(LabelScores(), outputs, there) == pytest.approx(
        {
            "f1_macro": f1_score(there, predicted, average="macro"),
            "f1_micro": f1_score(there, predicted, average="micro"),
            "exact_match": (predicted == there).all(1).float().mean().item(),
        }
    )


def test_a_label_that_never_comes_up_counts_nothing() -> None:
    outputs, there = numbers(50, 3), (numbers(50, 3, seed=1) > 0).float()
    with_another = torch.cat([outputs, -torch.ones(50, 1)], 1), torch.cat([there, torch.zeros(50, 1)], 1)
    alone, beside = in_batches(LabelScores(), outputs, there), in_batches(LabelScores(), *with_another)
    assert (alone["f1_macro"], alone["f1_micro"]) == (beside["f1_macro"], beside["f1_micro"])


def test_pixel_scores_are_those_of_scikit_learn_without_what_does_not_count() -> None:
    outputs, wanted = numbers(8, 3, 4, 4), torch.arange(8 * 16).reshape(8, 4, 4) % 3
    wanted[:, 0] = -100
    predicted, counted = outputs.argmax(1), wanted >= 0
    assert in_batches(PixelScores(), outputs, wanted) == pytest.approx(
        {
            "pixel_accuracy": (predicted == wanted)[counted].float().mean().item(),
            "mean_iou": jaccard_score(wanted[counted], predicted[counted], average="macro"),
        }
    )


def test_accuracy_in_batches_is_that_of_all() -> None:
    outputs, targets = numbers(50, 3), torch.arange(50) % 3
    assert in_batches(Accuracy(), outputs, targets)["it"] == (outputs.argmax(1) == targets).double().mean().item()


# --- losses ---------------------------------------------------------------------------------------------------------


def test_a_target_of_one_number_is_never_spread_over_a_batch() -> None:
    task, outputs, targets = Heights(), numbers(6, 1), numbers(6, seed=1)
    assert task.loss(outputs, targets).item() == pytest.approx((outputs[:, 0] - targets).square().mean().item())
    with pytest.raises(TaskError, match=r"targets of shape \(6,\) do not fit outputs of shape \(6, 2\)"):
        task.loss(numbers(6, 2), targets)


def test_balanced_weights_make_all_classes_count_alike() -> None:
    task = Rare()
    outputs, targets = numbers(800, 2), task.data.train_targets
    each = nn.functional.cross_entropy(outputs, targets, reduction="none")
    expected = (each[targets == 0].mean() + each[targets == 1].mean()) / 2
    assert task.loss(outputs, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_labels_count_as_much_there_as_not() -> None:
    class Balanced(Tags):
        class_weights = "balanced"

    task = Balanced()
    targets, outputs = task.data.train_targets, torch.zeros(300, 4)
    there = targets.double().sum(0)
    expected = ((300 - there) / there * there + (300 - there)).sum() / (300 * 4) * torch.log(torch.tensor(2.0))
    assert task.loss(outputs, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_have_to_be_one_for_each_class() -> None:
    class Wrong(Rare):
        class_weights = [1.0, 2.0, 3.0]

    with pytest.raises(TaskError, match="task 'rare': class_weights has 3 weights for 2 classes"):
        Wrong().loss(numbers(4, 2), torch.zeros(4).long())


# --- what follows from a kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "objective", "outputs", "shape"),
    [
        (Heights(), Objective("val_rmse", "min"), "values", (2,)),
        (Tags(), Objective("val_f1_macro", "max"), "labels", (4,)),
        (Rare(), Objective("val_accuracy", "max"), "classes", (2,)),
    ],
)
def test_a_search_knows_what_to_make_good(
    task: Task, objective: Objective, outputs: str, shape: tuple[int, ...]
) -> None:
    training, space = Training(task), mlp(task)
    assert training.objective == objective
    assert output_kind(task) == outputs
    assert task.output_shape == shape
    foretold = training.preflight(space, space.default())
    found = training.check(space, space.default(), TrialContext(0, 0, 1))
    assert found.metrics.keys() == set(foretold)
    for metric in set(foretold) - {"lr"}:
        assert mode_of(metric, training.objective, training.directions) in ("min", "max")


def test_metrics_of_ones_own_take_the_place_of_the_kinds() -> None:
    class Own(Heights):
        objective = Objective("val_median", "min")

        def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
            return {"median": (outputs - targets).abs().median().item()}

    training, space = Training(Own()), mlp(Own())
    assert training.preflight(space, space.default()) == ()
    assert set(training.check(space, space.default(), TrialContext(0, 0, 1)).metrics) >= {"val_median", "val_loss"}
    with pytest.raises(SpecError, match="val_rmse"):
        mode_of("val_rmse", training.objective, training.directions)


def test_a_regression_learns() -> None:
    training, space = Training(Heights(), lr=0.01, batch_size=8), mlp(Heights())
    first, *_, last = training.start(space, space.default(), TrialContext(0, 0, 12)).measurements()
    assert last.metrics["val_rmse"] < 0.5 * first.metrics["val_rmse"]


def test_a_rare_label_is_found_where_classes_are_balanced() -> None:
    class Plain(Rare):
        class_weights = None

    space = Space(head=op(nn.Linear, out_features=2, bias=Choice(True, False)))
    recalls = []
    for task in (Rare(), Plain()):
        evaluation = Training(task).start(space, space.default(), TrialContext(0, 0, 3))
        list(evaluation.measurements())
        rare = task.data.valid_targets == 1
        with torch.no_grad():
            recalls.append((evaluation.model(task.data.valid_inputs[rare]).argmax(1) == 1).float().mean().item())
    assert recalls[0] > recalls[1] + 0.2


def test_a_segmentation_has_an_output_for_each_pixel() -> None:
    class Halves(Task):
        name, kind, input_shape, num_classes = "halves", "segmentation", (1, 4, 4), 2

        def load(self) -> Data:
            inputs = numbers(40, 1, 4, 4)
            return Data(inputs, (inputs[:, 0] > 0).long(), inputs, (inputs[:, 0] > 0).long())

    space = Space(conv=op(nn.Conv2d, out_channels=2, kernel_size=Choice(1, 3), padding="same"))
    training = Training(Halves())
    evaluation = training.start(space, space.default(), TrialContext(0, 0, 20))
    training.preflight(space, space.default())
    *_, last = evaluation.measurements()
    assert last.metrics["val_mean_iou"] > 0.9


def test_what_a_kind_changes_a_task_may_change_again() -> None:
    class OwnLoss(Tags):
        def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
            return (outputs - targets).square().mean()

    class OtherData(Tags):
        def load(self) -> Data:
            return super().load()

    assert (output_kind(OwnLoss()), output_kind(OtherData())) == ("values", "labels")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"kind": "regresion", "num_classes": 1}, "kind 'regresion' is not known; did you mean 'regression'"),
        ({}, "is a classification and does not say its num_classes"),
    ],
)
def test_what_a_kind_needs_is_said_in_a_line(attributes: dict[str, Any], words: str) -> None:
    made = type("Mine", (Task,), {"name": "mine", "input_shape": (2,), "load": lambda self: None, **attributes})
    with pytest.raises(TaskError, match=words):
        make_task(Source("raynas.tasks", "", obj=made))


def test_data_of_no_kind_is_said_in_a_line() -> None:
    made = type("Mine", (Heights,), {"load": lambda self: [1, 2]})
    with pytest.raises(TaskError, match=r"task 'heights': load\(\) gave a list; it gives Data"):
        _ = made().data
