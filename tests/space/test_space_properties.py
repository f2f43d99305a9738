"""Properties of the template language over random templates."""

from __future__ import annotations

import doctest
import importlib
import itertools
import json
import math
import random

import cloudpickle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from space_templates import WIDTH, spaces
from torch import nn

from raynas.blocks.graph import Dag
from raynas.errors import SpaceError
from raynas.space import Architecture, Chain, Graph, Network, Space
from raynas.space.network.shapes import layers
from raynas.space.template.nodes import Hole, Node
from raynas.space.walk.fill import fill

SLOWLY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SEEDS = st.integers(0, 10_000)


def holds_holes(node: object) -> bool:
    if isinstance(node, Chain):
        return any(holds_holes(part) for _, part in node.parts)
    if isinstance(node, Graph):
        return any(edge.open or holds_holes(edge.part) for _, merge in node.nodes for edge in merge.edges)
    return isinstance(node, Node) and node.open


@SLOWLY
@given(spaces(), SEEDS)
def test_every_sample_builds_and_learns(space: Space, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        architecture = space.sample(rng)
        network = space.network(architecture)
        assert isinstance(network, Network)
        assert not holds_holes(network.root)
        module = space.build(architecture, (WIDTH,))
        assert space.check(architecture, (WIDTH,)) == (WIDTH,)
        x = torch.randn(3, WIDTH, requires_grad=True)
        output = module(x)
        assert output.shape == (3, WIDTH)
        (output + x).sum().backward()
        empty = any(isinstance(child, Dag) and not list(child.children()) for child in module.modules())
        # What is not computed is not built: so everything that is built learns (zeros let no gradient through).
        assert empty or all(parameter.grad is not None for parameter in module.parameters())
        found = layers(network, (WIDTH,))
        assert sum(layer.params for layer in found) == sum(p.numel() for p in module.parameters())
        prefixes = tuple(f"{layer.path}." for layer in found)
        assert all(name.startswith(prefixes) for name, _ in module.named_parameters())
        for layer in found:
            assert type(module.get_submodule(layer.path)) is layer.op.cls


@SLOWLY
@given(spaces(), SEEDS)
def test_json_pickle_and_replay(space: Space, seed: int) -> None:
    architecture = space.sample(random.Random(seed))
    text = json.dumps(architecture.to_json(), allow_nan=False)
    again = Architecture.from_json(json.loads(text))
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert space.replay(again) == architecture
    assert space.replay(again).paths == architecture.paths
    assert cloudpickle.loads(cloudpickle.dumps(architecture)) == architecture
    twin = cloudpickle.loads(cloudpickle.dumps(space))
    assert (twin.root, twin.fingerprint) == (space.root, space.fingerprint)
    assert twin.network_id(again) == space.network_id(architecture)
    assert twin.trial_id(again) == space.trial_id(architecture)
    assert space.differences(json.loads(json.dumps(space.description()))) == []
    assert len(space.short_name(architecture)) <= 60
    assert len(space.pretty(architecture).splitlines()) >= len(space.root.parts)
    repr(space)


@SLOWLY
@given(spaces(), SEEDS)
def test_mutants_and_children_stay_inside(space: Space, seed: int) -> None:
    rng = random.Random(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.crossover(a, b, rng)
    assert space.replay(child) == child
    for path in child:
        givers = [parent for parent in (a, b) if path in parent]
        assert not givers or any(type(g[path]) is type(child[path]) and g[path] == child[path] for g in givers)
    if all(space.hole_map[path].size == 1 for path in a):
        with pytest.raises(SpaceError, match="cannot be mutated"):
            space.mutate(a, rng)
        return
    mutant = space.mutate(a, rng)
    assert space.replay(mutant) == mutant
    assert mutant != a
    assert len(changed(a, mutant)) == 1


@SLOWLY
@given(spaces(), SEEDS)
def test_neighbours_differ_in_one_hole(space: Space, seed: int) -> None:
    a = space.sample(random.Random(seed))
    found = list(itertools.islice(space.neighbours(a), 60))
    assert len(set(found)) == len(found)
    for neighbour in found:
        assert space.replay(neighbour) == neighbour
        assert len(changed(a, neighbour)) == 1


def changed(a: Architecture, b: Architecture) -> list[str]:
    return [path for path in a if path in b and (type(a[path]), a[path]) != (type(b[path]), b[path])]


@SLOWLY
@given(spaces(infinite=False))
def test_size_is_what_enumerate_counts(space: Space) -> None:
    size = space.size()
    assert isinstance(size, int)
    limit = 400
    found = list(itertools.islice(space.enumerate(), limit))
    assert len(set(found)) == len(found)
    assert len(found) == min(size, limit)
    assert found[0] == Architecture({path: space.hole_map[path].at(0) for path in found[0]})
    reached = {path for architecture in found for path in architecture}
    assert reached <= set(space.hole_map)
    if size <= limit:
        assert reached == set(space.hole_map)


@SLOWLY
@given(spaces())
def test_the_walk_asks_each_hole_once_in_the_order_of_holes(space: Space) -> None:
    asked: list[str] = []

    def choose(path: str, hole: object) -> object:
        asked.append(path)
        return hole.default  # type: ignore[attr-defined]

    fill(space, choose)
    # A named hole is asked for where it is reached first, which depends on the filling; all others have one order.
    unnamed = [path for path in asked if space.hole_map[path].name is None]
    assert unnamed == [path for path, _ in space.holes() if path in unnamed]
    assert len(set(asked)) == len(asked)
    assert space.default().paths == asked
    assert space.size() == math.inf or space.size() >= 1


@SLOWLY
@given(spaces(), SEEDS)
def test_drawing_without_a_network_asks_as_the_walk_does(space: Space, seed: int) -> None:
    rng, asked = random.Random(seed), {}

    def choose(path: str, hole: Hole) -> object:
        asked[path] = hole.draw(rng)
        return asked[path]

    fill(space, choose)
    drawn = space.sample(random.Random(seed))
    assert drawn == Architecture(asked)
    assert drawn.paths == list(asked)


def test_a_plain_module_bears_no_trace_of_the_language() -> None:
    from space_templates import golden_spaces

    for space in golden_spaces().values():
        module = space.build(space.sample(random.Random(1)), (WIDTH,))
        assert isinstance(module, nn.Sequential)
        assert all(not type(child).__module__.startswith("raynas.space") for child in module.modules())
        module.load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    "module",
    ["", ".template.operation", ".template.holes", ".template.choice", ".template.graph", ".walk.architecture"],
)
def test_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"raynas.space{module}"))
    assert found.attempted
    assert not found.failed
