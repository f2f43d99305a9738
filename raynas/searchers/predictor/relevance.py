"""Which holes matter: a weight for each, learned from the measurements (automatic relevance determination).

These are the weights of ``exp(-sum of weight x distance by hole)`` that best explain the observations, with a prior
that keeps each weight near the common one. They are found as the maximum a posteriori, by L-BFGS with exact gradients
(Rasmussen & Williams 2006, section 5.4.1; the scale is integrated out as in ``gaussian_process``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]

#: Standard deviations of the logarithms: of a hole's weight around the common one, and of the noise around 0.1.
_SPREAD, _NOISE_SPREAD, _NOISE = 1.0, 1.5, 0.1
_STEPS = 40


def relevance(distances: Array, targets: Array, common: float) -> Array:
    """A weight for each hole.

    Args:
        distances: distances by each hole among n observations, shape ``(holes, n, n)``.
        targets: n figures, standardised.
        common: the weight of every hole when nothing is known.
    """
    holes = len(distances)
    spreads = np.array([_SPREAD] * holes + [_NOISE_SPREAD])

    def loss(logs: Array) -> tuple[float, Array]:
        value, slopes = log_loss(distances, targets, common * np.exp(logs[:holes]), _NOISE * math.exp(logs[holes]))
        return value + float(((logs / spreads) ** 2).sum()) / 2, slopes + logs / spreads**2

    found = minimize(loss, np.zeros(holes + 1), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return common * np.exp(np.round(found.x[:holes], 3))  # rounded: no last bit decides


def log_prior(weights: Array, common: float) -> float:
    """How likely such weights are before anything is known, up to a constant: 0 where they are all alike."""
    return -float((np.log(weights / common) ** 2).sum()) / (2 * _SPREAD**2)


def log_loss(distances: Array, targets: Array, weights: Array, noise: float) -> tuple[float, Array]:
    """The negative log marginal likelihood, and its slopes by the logarithms of the weights and of the noise."""
    n = len(targets)
    kernel = np.exp(-np.tensordot(weights, distances, 1))
    factor = cho_factor(kernel + noise * np.eye(n), lower=True, check_finite=False)
    solved = cho_solve(factor, targets, check_finite=False)
    variance = (float(targets @ solved) + 1) / (n + 1)
    value = (n + 1) / 2 * math.log(variance) + float(np.log(np.diag(factor[0])).sum())
    inverse = cho_solve(factor, np.eye(n), check_finite=False)
    by_kernel = 0.5 * (inverse - np.outer(solved, solved) / variance)
    slopes = np.empty(len(weights) + 1)
    slopes[:-1] = -weights * np.tensordot(distances, by_kernel * kernel, 2)
    slopes[-1] = noise * float(np.trace(by_kernel))
    return value, slopes
