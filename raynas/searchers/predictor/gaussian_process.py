"""A mixture of Gaussian processes over given distances, weighted by how well each explains what was observed.

Nothing is optimised. Each member has a fixed kernel (the mean of ``exp(-distance)`` over some kinds of distance) and a
fixed share of noise; its scale is integrated out. Its weight is a power of its marginal likelihood. This is Bayesian
model averaging (Rasmussen & Williams 2006, sections 2.2 and 5.2), tempered because no member is the true model
(Gruenwald & van Ommen 2017, "Inconsistency of Bayesian inference for misspecified linear models", Bayesian Analysis
12(4)). So a proposal costs milliseconds, and nothing can fail to converge.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtrsm, dtrsv
from scipy.linalg.lapack import dpotrf

Array = NDArray[np.float64]

#: Noise variances, as shares of the signal's.
NOISES = (0.01, 0.1, 1.0)
#: The power of the marginal likelihood in a member's weight. At 1 one member soon has it all, though none is true.
_TRUST = 0.5
#: Members of less weight are left out.
_LEAST_WEIGHT = 0.03
#: From so many observations on, members that half of them speak against by so much (in nats) are not fitted to all.
_MANY, _HOPELESS = 150, 10.0
#: Candidates whose deviations are made at a time.
_AT_ONCE = 48


class Posterior:
    """The expected value of each candidate and its standard deviation, by member, in the units of the targets.

    Deviations cost most, so they are computed only for the candidates that are asked about.

    Attributes:
        members: names of the members that count, such as ``holes+walks, noise 0.1``.
        weights: the weight of each; they sum to 1.
        means: shape ``(members, candidates)``.
    """

    def __init__(self, members: Sequence[_Member], weights: Array, reach: Sequence[Array]) -> None:
        self.members = tuple(f"{'+'.join(member.parts)}, noise {member.noise:g}" for member in members)
        self.weights = weights
        self.means = np.array([member.means(each) for member, each in zip(members, reach, strict=True)])
        self._fitted, self._reach = members, reach

    @property
    def mean(self) -> Array:
        return self.weights @ self.means

    def deviations(self, places: Sequence[int] | None = None) -> Array:
        """Of these candidates (default: all), shape ``(members, candidates)``."""
        asked = slice(None) if places is None else list(places)
        pairs = zip(self._fitted, self._reach, strict=True)
        return np.array([member.deviations(reach[:, asked]) for member, reach in pairs])

    def bound(self, kappa: float) -> Array:
        """The upper confidence bound: the weighted mean of mean + kappa deviations."""
        return self.weights @ (self.means + kappa * self.deviations())

    def best_first(self, kappa: float, lots: Sequence[float]) -> Iterator[tuple[int, float, float]]:
        """Places of candidates, their means and deviations, by the upper confidence bound, the greatest first.

        Equal ones come by their ``lots``. (Rounded to 6 digits: no last bit decides.) A deviation is at most what one
        observation alone leaves, so most candidates are out of the question before their deviations are made.
        """
        pairs = zip(self._fitted, self._reach, strict=True)
        most = np.array([member.most_deviation(reach) for member, reach in pairs])
        limits = np.round(self.weights @ (self.means + kappa * most), 6) + 2e-6
        waiting = np.argsort(-limits, kind="stable").tolist()
        mean = self.mean
        ready: list[tuple[float, float, int, float]] = []
        while waiting or ready:
            while waiting and (not ready or -ready[0][0] <= limits[waiting[0]]):
                # At first some; then all that can still come before the best of those.
                bar = -math.inf if not ready else -ready[0][0]
                now = [place for place in waiting[:_AT_ONCE] if limits[place] >= bar]
                del waiting[: len(now)]
                for place, doubt in zip(now, (self.weights @ self.deviations(now)).tolist(), strict=True):
                    promise = round(float(mean[place]) + kappa * doubt, 6)
                    heapq.heappush(ready, (-promise, lots[place], place, doubt))
            _, _, place, doubt = heapq.heappop(ready)
            yield place, float(mean[place]), doubt


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
    kept = [member for member, weight in zip(members, weights, strict=True) if weight >= _LEAST_WEIGHT]
    shares = weights[weights >= _LEAST_WEIGHT]
    far = {kind: np.exp(-across[kind]) for kind in sorted({kind for member in kept for kind in member.parts})}
    reach = {parts: _mean([far[kind] for kind in parts]) for parts in {member.parts for member in kept}}
    return Posterior(kept, shares / shares.sum(), [reach[member.parts] for member in kept])


class _Member:
    """One process: its kernel, and what follows from the first observations.

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
        rest = self.targets[old:count]
        # Fortran's order, and nothing but the lower triangle is ever read.
        lower = np.empty((count, count), order="F")
        if old:
            across = dtrsm(1.0, self.lower, self.kernel[:old, old:count], lower=1).T
            block -= across @ across.T
            rest = rest - across @ self.half
            lower[:old, :old], lower[old:, :old] = self.lower, across
        # Symmetric, so its transpose is the same matrix in LAPACK's own order.
        corner, failed = dpotrf(block.T, lower=1, clean=0, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError(f"a kernel of {count} observations is not positive definite")
        lower[old:, old:] = corner
        self.lower = lower
        self.half = np.append(self.half, dtrsv(corner, rest, lower=1))
        self.variance = (float(self.half @ self.half) + 1.0) / (count + 1)
        volume = float(np.log(np.diag(lower)).sum())
        self.evidence = self.prior - (count + 1) / 2 * math.log(self.variance) - volume

    def means(self, reach: Array) -> Array:
        """Of candidates, whose kernel with the observations is ``reach``."""
        return dtrsv(self.lower, self.half, lower=1, trans=1) @ reach

    def deviations(self, reach: Array) -> Array:
        seen = dtrsm(1.0, self.lower, reach, lower=1)
        return np.sqrt(self.variance * np.maximum(1.0 - np.einsum("ij,ij->j", seen, seen), 0.0))

    def most_deviation(self, reach: Array) -> Array:
        """What the nearest observation alone would leave: all of them leave no more."""
        return np.sqrt(self.variance * (1.0 - reach.max(axis=0) ** 2 / (1.0 + self.noise)))


def _mean(matrices: Sequence[Array]) -> Array:
    """Without the copy that ``np.mean`` of a list makes."""
    return reduce(np.add, matrices) / len(matrices)


def normal_scores(ranks: Array, count: int) -> Array:
    """Ranks (from 1, ties at their mean) of ``count`` as quantiles of the normal distribution."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((rank - 0.5) / count) for rank in ranks])
