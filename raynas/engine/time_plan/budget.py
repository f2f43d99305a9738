"""How a search's time is shared out among its trials: plain arithmetic, on what was measured beforehand.

More time is given to both, more trials and longer ones: ten times the time gives 2.5 times as many trials, each four
times as long. A trial's budget is in epochs where the task's own number of them fits, else in time.
"""

from __future__ import annotations

import math
from typing import Literal

Effort = Literal["normal", "wide", "deep"]

#: Trials of a search of ten minutes; and a search has at least so many where its time allows it.
_TRIALS: dict[str, int] = {"wide": 60, "normal": 30, "deep": 24}
LEAST_TRIALS = 24
_TEN_MINUTES = 600.0
_GROWTH = 0.4
#: On many workers there are at least so many trials one after another: later ones are to learn from earlier ones.
_ROUNDS = 4
#: Of the time of a search so much, at most so many seconds, goes by while its workers start and end.
_START_SHARE, _START_SECONDS = 0.1, 10.0

#: A network has seen enough for others to be compared with it after so many passes over the data and so many steps of
#: the optimizer, whichever is more: what a space may use to fit its networks into a trial.
LEAST_PASSES, LEAST_UPDATES = 3.0, 400
#: So many there must be at a picture size larger than the smallest one, for the space's default as it is.
ENOUGH_PASSES, ENOUGH_UPDATES = 6.0, 500
#: The least that makes a trial: one pass, or so many steps of the optimizer, whichever is less.
_ANY_UPDATES = 100

#: A trial with a budget of time has so many steps; with many trials and long ones, more rungs.
FEW_STEPS, STEPS, MANY_STEPS = 3, 9, 27
_MANY_TRIALS, _LONG_STEP, _SHORT_STEP = 60, 5.0, 0.5
#: A larger batch must train images so many times as fast as half of it, to be worth its fewer steps.
LARGER_BATCH_GAIN = 1.25
LARGEST_BATCH, SMALLEST_BATCH = 1024, 32
_BATCH_UPDATES = 1_000


def wanted_trials(seconds: float, effort: Effort = "normal") -> int:
    """How many trials a search of so many seconds should have."""
    return max(LEAST_TRIALS, round(_TRIALS[effort] * (seconds / _TEN_MINUTES) ** _GROWTH))


def time_for_trials(seconds: float) -> float:
    """What is left of a search's time for its trials."""
    return seconds - min(_START_SHARE * seconds, _START_SECONDS)


def trial_budget(seconds: float, workers: int, trials: int, share: float) -> float:
    """Seconds of a trial's full budget.

    Args:
        seconds: of the search, for its trials.
        workers: trials at the same time.
        trials: how many there should be.
        share: of its full budget that a trial has on average.
    """
    rounds = min(_ROUNDS, math.ceil(trials / workers))
    return min(seconds * workers / (trials * share), seconds / rounds)


def is_capped(seconds: float, workers: int, trials: int, share: float) -> bool:
    """Whether there are so many workers that a trial's budget is limited by the search's time alone."""
    return trial_budget(seconds, workers, trials, share) < seconds * workers / (trials * share)


def rounded(seconds: float) -> float:
    """A trial's budget as a person would write it; never more."""
    unit = 0.1 if seconds < 10 else 1.0 if seconds < 60 else 5.0 if seconds < 600 else 30.0
    return round(math.floor(seconds / unit + 1e-9) * unit, 1)


def mean_share(expected_steps: float, steps: int) -> float:
    """Of its full budget, what a trial has on average under a stopping rule.

    A strategy that learns proposes trials that are seldom worth stopping: half of what the rule expects to save is.
    """
    return (expected_steps / steps + 1) / 2


def steps_of(trial_seconds: float, trials: int) -> int:
    """Into how many steps a budget of time is divided."""
    if trials >= _MANY_TRIALS and trial_seconds >= MANY_STEPS * _LONG_STEP:
        return MANY_STEPS
    return FEW_STEPS if trial_seconds < STEPS * _SHORT_STEP else STEPS


def epochs_that_fit(epoch_seconds: float, budget: float, own: int, most: int | None) -> int | None:
    """A trial's budget in epochs: the task's own number, or 3, 9 … times that up to ``most``; None: none fits."""
    if own * epoch_seconds > budget:
        return None
    epochs = own
    while 3 * epochs <= (most or own) and 3 * epochs * epoch_seconds <= budget:
        epochs *= 3
    return epochs


def least_samples(train_size: int, batch_size: int, epochs: int) -> float:
    """Samples that a trial must see at least, for its network to be worth comparing.

    Args:
        epochs: that the task itself would give a trial; more passes are not asked for, however small the data.
    """
    return max(LEAST_PASSES * train_size, min(LEAST_UPDATES * batch_size, epochs * train_size))


def enough_samples(train_size: int, batch_size: int, epochs: int) -> float:
    """Samples that the space's default must see in a trial at a larger picture size; ``epochs`` as above."""
    return max(ENOUGH_PASSES * train_size, min(ENOUGH_UPDATES * batch_size, epochs * train_size))


def any_samples(train_size: int, batch_size: int) -> float:
    """Samples without which there is no trial."""
    return min(train_size, _ANY_UPDATES * batch_size)


def smaller_batch(batch_size: int, samples: float) -> bool:
    """Whether a trial of so many samples has too few steps of the optimizer for its batch."""
    return batch_size > SMALLEST_BATCH and samples < ENOUGH_UPDATES * batch_size


def larger_batch(batch_size: int, samples: float, train_size: int) -> bool:
    """Whether a trial of so many samples could do with batches of twice the size."""
    return 2 * batch_size <= min(LARGEST_BATCH, train_size // 10) and samples / (2 * batch_size) >= _BATCH_UPDATES
