"""A mixture of Gaussian processes over given distances, weighted by how well each explains what was observed.

Nothing is optimised: each member has a fixed kernel (the mean of ``exp(-distance)`` over some kinds of distance) and a
fixed share of noise, its scale is integrated out, and its weight is a power of its marginal likelihood: Bayesian model
averaging (Rasmussen & Williams 2006, sections 2.2 and 5.2), tempered because no member is the true model (Gruenwald &
van Ommen 2017, "Inconsistency of Bayesian inference for misspecified linear models", Bayesian Analysis 12(4)). So a
proposal costs milliseconds, and nothing can fail to converge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

Array = NDArray[np.float64]

#: Noise variances, as shares of the signal's.
NOISES = (0.01, 0.1, 1.0)
#: The power of the marginal likelihood in a member's weight. At 1 one member soon has it all, though none is true.
_TRUST = 0.5
#: Members of less weight are left out.
_LEAST_WEIGHT = 0.03
#: From so many observations on, members that half of them speak against by so much (in nats) are not fitted to all.
_MANY, _HOPELESS = 150, 10.0


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
    members = []
    for parts in kinds:
        kernel = _mean([near[kind] for kind in parts])
        prior = sum((log_priors or {}).get(kind, 0.0) for kind in parts)
        members += [_Member(parts, kernel, noise, prior, targets) for noise in noises]
    if n >= _MANY:
        for member in members:
            member.fit(n // 2)
        top = max(member.evidence for member in members)
        members = [member for member in members if member.evidence >= top - _HOPELESS]
    for member in members:
        member.fit(n)
    top = max(member.evidence for member in members)
    weights = np.array([math.exp(_TRUST * (member.evidence - top)) for member in members])
    weights /= weights.sum()
    names, means, deviations = [], [], []
    kept = weights >= _LEAST_WEIGHT
    used = {kind for member, keep in zip(members, kept, strict=True) if keep for kind in member.parts}
    far = {kind: np.exp(-across[kind]) for kind in sorted(used)}
    for member, keep in zip(members, kept, strict=True):
        if keep:
            reach = _mean([far[kind] for kind in member.parts])
            seen = solve_triangular(member.lower, reach, lower=True, check_finite=False)
            names.append(f"{'+'.join(member.parts)}, noise {member.noise:g}")
            means.append(member.half @ seen)
            left = np.maximum(1.0 - (seen * seen).sum(axis=0), 0.0)
            deviations.append(np.sqrt(member.variance * left))
    shares = weights[kept] / weights[kept].sum()
    return Posterior(tuple(names), shares, np.array(means), np.array(deviations))


class _Member:
    """One process: its kernel, and what it makes of the first observations.

    Attributes:
        lower: the Cholesky factor of the kernel with its noise; half: its inverse times the targets.
        variance: the signal's, integrated out; evidence: the logarithm of the marginal likelihood, up to a constant.
    """

    def __init__(self, parts: tuple[str, ...], kernel: Array, noise: float, prior: float, targets: Array) -> None:
        self.parts, self.kernel, self.noise, self.prior, self.targets = parts, kernel, noise, prior, targets
        self.lower, self.half = np.zeros((0, 0)), np.zeros(0)

    def fit(self, count: int) -> None:
        """Takes so many observations in all; what is known of the first ones is kept."""
        old = len(self.half)
        block = self.kernel[old:count, old:count].copy()
        block.flat[:: count - old + 1] += self.noise + 1e-8
        rest, across = self.targets[old:count], np.zeros((count - old, 0))
        if old:
            across = solve_triangular(self.lower, self.kernel[:old, old:count], lower=True, check_finite=False).T
            block -= across @ across.T
            rest = rest - across @ self.half
        # Symmetric, so its transpose is the same matrix in LAPACK's own order.
        corner = cholesky(block.T, lower=True, overwrite_a=True, check_finite=False)
        lower = np.zeros((count, count), order="F")
        lower[:old, :old], lower[old:, :old], lower[old:, old:] = self.lower, across, corner
        self.lower = lower
        self.half = np.append(self.half, solve_triangular(corner, rest, lower=True, check_finite=False))
        self.variance = (float(self.half @ self.half) + 1.0) / (count + 1)
        volume = float(np.log(np.diag(lower)).sum())
        self.evidence = self.prior - (count + 1) / 2 * math.log(self.variance) - volume


def _mean(matrices: Sequence[Array]) -> Array:
    """Without the copy that ``np.mean`` of a list makes."""
    return reduce(np.add, matrices) / len(matrices)


def normal_scores(ranks: Array, count: int) -> Array:
    """Ranks (from 1, ties at their mean) of ``count`` as quantiles of the normal distribution."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((rank - 0.5) / count) for rank in ranks])
