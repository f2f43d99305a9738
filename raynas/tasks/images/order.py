"""An order of samples in which every tail is a stratified sample."""

from __future__ import annotations

import numpy as np

_SEED = 0  # one order, the same on every machine


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """A permutation of ``range(N)`` of which each head, and so each tail, holds every class in its own proportion.

    The members of each class are shuffled and spread evenly over [0, 1): the r-th of n stands at ``(r + u) / n``,
    with one u in [0, 1) a class. A cut anywhere is then within one image a class of the exact share, so one file
    serves every validation share, and a part of the data for quick looks, without moving anything.

    Args:
        labels: ``(N,)`` class numbers.
    """
    generator = np.random.default_rng(_SEED)
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        # u below 0.5 puts the first image of a rare class into the head: it is better trained on than only looked at.
        places[members] = (np.arange(len(members)) + generator.uniform(0, 0.5)) / len(members)
    return np.argsort(places, kind="stable")
