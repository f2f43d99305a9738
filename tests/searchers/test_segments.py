"""Walks and paths, counted part by part, against whole graphs read in the plainest way."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from raynas.searchers.predictor.features import Features
from raynas.searchers.predictor.outline import IN, OUT, LabelledGraph, Operation, Outline, _Growing
from raynas.searchers.predictor.segments import Composed, Segment
from raynas.testing.example_spaces import SPACES


def random_graph(rng: random.Random) -> LabelledGraph:
    """Up to six operations of three labels, with edges that count twice; now and then nothing reaches the output."""
    count = rng.randrange(7)
    sources = []
    for node in range(count + 1):
        least = 0 if node == count and rng.random() < 0.2 else 1
        read = rng.sample(range(-1, node), rng.randint(least, min(3, node + 1)))
        sources.append({source: rng.choice((1, 1, 2)) for source in read})
    operations = tuple(Operation(rng.choice("abc"), {"width": rng.randrange(3)}) for _ in range(count))
    return LabelledGraph(operations, tuple(sources))


def walks_of(graph: LabelledGraph) -> dict[tuple[str, ...], int]:
    """The cubic way: every walk of up to three nodes, one after the other."""
    labels = [*graph.labels, OUT, IN]  # the input is number -1
    counts: dict[tuple[str, ...], int] = {}

    def add(walk, times):
        counts[walk] = counts.get(walk, 0) + times

    for node, sources in enumerate(graph.sources):
        add((labels[node],), 1)
        for source, times in sources.items():
            add((labels[source], labels[node]), times)
            for first, more in graph.sources[source].items() if source >= 0 else ():
                add((labels[first], labels[source], labels[node]), times * more)
    return counts


def paths_of(graph: LabelledGraph, node: int | None = None) -> list[int]:
    """The lengths of all paths from the input."""
    if node == -1:
        return [0]
    read = graph.sources[len(graph.labels) if node is None else node]
    return [length + 1 for source, times in read.items() for length in paths_of(graph, source) * times]


def test_chains_of_random_graphs():
    rng = random.Random(1)
    chains = [[random_graph(rng) for _ in range(4)] for _ in range(150)]
    segments = [Segment.of(graph) for chain in chains for graph in chain]
    composed = Composed(segments, np.arange(len(segments)).reshape(150, 4))
    occurring = composed.occurrences()
    dead = 0
    for row, chain in enumerate(chains):
        growing, value = _Growing(), {-1: 1}
        for graph in chain:
            value = growing.append(graph, value)
        whole = growing.graph(value)
        expected = walks_of(whole)
        found = {walk: int(composed.counts[row, column]) for walk, column in composed.walks.items()}
        assert {walk: count for walk, count in found.items() if count} == expected
        lengths = paths_of(whole)
        dead += not lengths
        figures = {name: values[row] for (name,), values in composed.figures.items()}
        assert figures["connected"] == bool(lengths)
        assert figures["log paths"] == pytest.approx(math.log1p(len(lengths)))
        assert (figures["longest"], figures["shortest"]) == (max(lengths, default=0), min(lengths, default=0))
        assert figures["mean"] == pytest.approx(sum(lengths) / len(lengths) if lengths else 0)
        assert figures["operations"] == len(whole.operations)
        widths = [it.figures.get(("a", "width"), 0) for it in segments]
        assert np.dot(widths, occurring[row]) == sum(
            it.arguments["width"] for it in whole.operations if it.label == "a"
        )
    assert 5 < dead < 100


@pytest.mark.parametrize("kind", SPACES)
def test_architectures_of_spaces_of_every_kind(kind):
    """Conditional parts, repeats and cells, with what was read before and without."""
    space, rng = SPACES[kind](), random.Random(3)
    drawn = [space.sample(rng) for _ in range(40)]
    features, outline = Features(space), Outline(space)
    for architectures in (drawn, drawn[::-1], [space.mutate(one, rng) for one in drawn]):
        points = features.holes.points([features.holes.row(one) for one in architectures])
        composed, _ = features._segments.composed(architectures, points)
        for row, architecture in enumerate(architectures):
            found = {walk: int(composed.counts[row, column]) for walk, column in composed.walks.items()}
            whole = outline.graph(architecture)
            assert {walk: count for walk, count in found.items() if count} == walks_of(whole)
            lengths = paths_of(whole)
            assert composed.figures[("log paths",)][row] == pytest.approx(math.log1p(len(lengths)))
