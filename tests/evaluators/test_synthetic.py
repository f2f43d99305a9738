"""The made-up evaluator: deterministic, resumable, rising, bounded."""

from torch import nn

from raynas.evaluators.evaluator import TrialContext
from raynas.evaluators.synthetic import Synthetic
from raynas.space import Int, Space, op
from raynas.testing import EvaluatorContract


class TestSynthetic(EvaluatorContract):
    def evaluator(self) -> Synthetic:
        return Synthetic(step_seconds=0.001)

    def space(self) -> Space:
        return space()


def space() -> Space:
    return Space(flatten=nn.Flatten, hidden=op(nn.Linear, out_features=Int(1, 100)))


def scores(number: int, steps: int = 5, seed: int = 0) -> list[float]:
    template = space()
    architecture = template.replay({"hidden.out_features": number})
    evaluation = Synthetic().start(template, architecture, TrialContext(0, seed, steps))
    return [measurement.metrics["score"] for measurement in evaluation.measurements()]


def test_curves_rise_follow_the_architecture_alone_and_differ() -> None:
    curves = [scores(number) for number in range(1, 30)]
    assert curves[0] == scores(1, seed=7)
    assert all(curve == sorted(curve) and curve[0] > 0 and curve[-1] < 1 for curve in curves)
    assert len({curve[-1] for curve in curves}) == 29
    order = [sorted(range(29), key=lambda i: curves[i][step]) for step in (0, 4)]
    assert order[0] != order[1]  # curves cross


def test_a_known_value() -> None:
    # A change here changes every test and benchmark that rests on these curves.
    assert scores(1, steps=1) == [0.26242654594320985]
