"""A mixture of Gaussian processes over given distances, weighted by how well each explains what was observed.

Nothing is optimised: each member has a fixed kernel (the mean of ``exp(-distance)`` over some kinds of distance) and a
fixed share of noise, its scale is integrated out, and its weight is its marginal likelihood (Bayesian model averaging;
Rasmussen & Williams 2006, sections 2.2 and 5.2). So a proposal costs milliseconds, and nothing can fail to converge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

Array = NDArray[np.float64]

#: Noise variances, as shares of the signal's.
NOISES = (0.01, 0.1, 1.0)
#: Members of less weight are left out.
_LEAST_WEIGHT = 0.03


@dataclass(frozen=True)
class Posterior:
    """What is expected of each candidate, in the targets' units: mean and standard deviation, by member.

    Attributes:
        members: names of the members that count, as ``holes+walks, noise 0.1``.
        weights: of each, summing to 1.
        means, deviations: shape ``(members, candidates)``.
    """

    members: tuple[str, ...]
    weights: Array
    means: Array
    deviations: Array

    @property
    def mean(self) -> Array:
        return self.weights @ self.means

    def bound(self, kappa: float) -> Array:
        """The upper confidence bound: the weighted mean of mean + kappa deviations."""
        return self.weights @ (self.means + kappa * self.deviations)


def posterior(
    kinds: Sequence[tuple[str, ...]],
    among: Mapping[str, Array],
    across: Mapping[str, Array],
    targets: Array,
    noises: Sequence[float] = NOISES,
    log_priors: Mapping[str, float] | None = None,
) -> Posterior:
    """What the observations say of the candidates.

    Args:
        kinds: per kernel, the kinds of distance that it averages over.
        among: kind to the distances among the n observations, shape ``(n, n)``.
        across: kind to the distances from observations to candidates, shape ``(n, m)``.
        targets: n figures, standardised; more is better.
        log_priors: of kinds of distance that were themselves learned: how unlikely they were, so that what was fitted
            does not outweigh what was not for that reason alone.
    """
    n = len(targets)
    near = {kind: np.exp(-matrix) for kind, matrix in among.items()}
    far = {kind: np.exp(-matrix) for kind, matrix in across.items()}
    fitted = []
    for parts in kinds:
        kernel = sum(near[kind] for kind in parts) / len(parts)
        prior = sum((log_priors or {}).get(kind, 0.0) for kind in parts)
        for noise in noises:
            lower = cholesky(kernel + (noise + 1e-8) * np.eye(n), lower=True, check_finite=False)
            half = solve_triangular(lower, targets, lower=True, check_finite=False)
            variance = (float(half @ half) + 1.0) / (n + 1)
            evidence = prior - (n + 1) / 2 * math.log(variance) - float(np.log(np.diag(lower)).sum())
            fitted.append((evidence, f"{'+'.join(parts)}, noise {noise:g}", parts, lower, half, variance))
    top = max(member[0] for member in fitted)
    weights = np.array([math.exp(member[0] - top) for member in fitted])
    weights /= weights.sum()
    names, means, deviations = [], [], []
    kept = weights >= _LEAST_WEIGHT
    for (_, name, parts, lower, half, variance), keep in zip(fitted, kept, strict=True):
        if keep:
            reach = sum(far[kind] for kind in parts) / len(parts)
            seen = solve_triangular(lower, reach, lower=True, check_finite=False)
            names.append(name)
            means.append(half @ seen)
            left = np.maximum(1.0 - (seen * seen).sum(axis=0), 0.0)
            deviations.append(np.sqrt(variance * left))
    shares = weights[kept] / weights[kept].sum()
    return Posterior(tuple(names), shares, np.array(means), np.array(deviations))


def normal_scores(ranks: Array, count: int) -> Array:
    """Ranks (from 1, ties at their mean) of ``count`` as quantiles of the normal distribution."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((rank - 0.5) / count) for rank in ranks])
