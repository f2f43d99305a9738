"""The canonical form against independent judges: a count from brute force, a numeric twin, networkx, and time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from space_templates import WIDTH, Lin, Project, Scale, Shift, cell_space, golden
from torch import nn

from raynas.space import Architecture, Chain, Choice, Concat, Graph, Repeat, Space, Sum, Zero, op
from raynas.space.identity.labelling import Dag, text

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_ids.json"
EDGES = ["n1.input", "n2.input", "n2.n1", "n3.input", "n3.n1", "n3.n2"]


def test_golden_ids() -> None:
    assert json.loads(json.dumps(golden())) == json.loads(GOLDEN.read_text())


def test_golden_ids_in_another_process() -> None:
    code = "import json, space_templates; print(json.dumps(space_templates.golden()))"
    paths = os.pathsep.join([str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())


def test_nas_bench_201_has_5260_networks() -> None:
    """Dong and Yang's 15,625 cells; 5,260 different functions by brute force (random weights, all renamings)."""
    space = cell_space()
    assert space.size() == 15_625
    ids = {space.network_id(architecture) for architecture in space.enumerate()}
    assert len(ids) == 5_260


def functions(cell: dict[str, str], weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The cell's outputs for all ways of giving the six weight sets to its edges (720 renamings), float64.

    Written without the template language: ``weights[kind]`` has shape (6, WIDTH, WIDTH).
    """
    renamings = torch.tensor(list(itertools.permutations(range(6))))  # (720, 6)
    zeros = x.new_zeros(len(renamings), WIDTH)
    values = {"input": x.expand(len(renamings), WIDTH)}
    for number, edge in enumerate(EDGES):
        node, source = edge.split(".")
        value, kind = values[source], cell[edge]
        if kind == "none":
            value = zeros
        elif kind == "avg_pool_3x3":
            value = torch.tanh(value)
        elif kind != "skip_connect":
            chosen = weights[kind][renamings[:, number]]
            value = torch.einsum("rij,rj->ri", chosen, value)
            # Both yield zero for zero, as the benchmark's operations do.
            value = torch.sin(value) if kind == "nor_conv_3x3" else value + 0.3 * value**2
        values[node] = values.get(node, zeros) + value
    return values["n3"]


def test_equal_ids_are_equal_functions() -> None:
    """On a sample with many equals: two cells have one id if and only if some renaming makes their outputs equal."""
    generator = torch.Generator().manual_seed(0)
    kinds = ("nor_conv_1x1", "nor_conv_3x3")
    weights = {
        kind: torch.randn(6, WIDTH, WIDTH, generator=generator, dtype=torch.float64) / WIDTH**0.5 for kind in kinds
    }
    x = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
    space = cell_space()
    rng = random.Random(0)
    sampled = [space.sample(rng) for _ in range(250)]
    sampled += [neighbour for a in sampled[:25] for neighbour in space.neighbours(a)]
    by_id: dict[str, set[tuple[float, ...]]] = defaultdict(set)
    by_function: dict[tuple[float, ...], set[str]] = defaultdict(set)
    for architecture in set(sampled):
        outputs = functions({edge: architecture[f"cell.{edge}"] for edge in EDGES}, weights, x)
        # The least output over all renamings names the function; rounding hides the order of additions.
        function = min(tuple(row) for row in outputs.mul(1e9).round().add(0.0).tolist())
        network_id = space.network_id(architecture)
        by_id[network_id].add(function)
        by_function[function].add(network_id)
    assert len(by_id) < len(set(sampled)) - 50
    assert {len(found) for found in by_id.values()} == {1}
    assert {len(found) for found in by_function.values()} == {1}


def isomorphic(a: Dag, b: Dag, out_a: int, out_b: int) -> bool:
    def graph(dag: Dag, output: int) -> networkx.MultiDiGraph:
        g = networkx.DiGraph()
        for value, label in enumerate(dag.labels):
            g.add_node(value, label=(label, value == output))
            for position, child in enumerate(dag.children[value]):
                times = dag.times[value]
                how = ("sum", times[position]) if times else ("at", position)
                # A position of a concatenation is a node of its own: a value may stand at several.
                g.add_node((value, position), label=how)
                g.add_edge(child, (value, position))
                g.add_edge((value, position), value)
        return g.subgraph({output, *networkx.ancestors(g, output)})

    return networkx.is_isomorphic(graph(a, out_a), graph(b, out_b), node_match=lambda m, n: m["label"] == n["label"])


@st.composite
def dags(draw: st.DrawFn) -> Dag:
    dag = Dag()
    for _ in range(draw(st.integers(1, 7))):
        known = st.integers(0, len(dag.labels) - 1)
        kind = draw(st.sampled_from(["a", "a", "b", "sum", "concat"]))
        if kind in "ab":
            dag.add(kind, (draw(known),))
            continue
        children = draw(st.lists(known, min_size=1, max_size=3, unique=kind == "sum"))
        times = tuple(draw(st.sampled_from([1, 1, 2])) for _ in children) if kind == "sum" else ()
        dag.add(kind, tuple(children), times)
    # The output uses everything that nothing else uses, so that no value is dead.
    used = {child for children in dag.children for child in children}
    ends = [value for value in range(len(dag.labels)) if value not in used]
    dag.add("sum", tuple(ends), tuple(1 for _ in ends))
    return dag


def renumbered(dag: Dag, rng: random.Random) -> Dag:
    """The same graph with its values made in another order."""
    place, made = {0: 0}, Dag()
    while len(place) < len(dag.labels):
        ready = [v for v in range(len(dag.labels)) if v not in place and all(c in place for c in dag.children[v])]
        value = rng.choice(ready)
        pairs = list(zip(dag.children[value], dag.times[value] or dag.children[value], strict=True))
        if dag.times[value]:
            rng.shuffle(pairs)
        times = tuple(t for _, t in pairs) if dag.times[value] else ()
        place[value] = made.add(dag.labels[value], tuple(place[child] for child, _ in pairs), times)
    return made


@settings(max_examples=300, deadline=None)
@given(dags(), st.integers(0, 1000))
def test_text_does_not_depend_on_numbering(dag: Dag, seed: int) -> None:
    other = renumbered(dag, random.Random(seed))
    assert text(other, len(other.labels) - 1) == text(dag, len(dag.labels) - 1)


def test_text_against_networkx() -> None:
    """Graphs on which colour refinement alone is put to the test: layers of equal operations, wired at random."""
    rng = random.Random(3)
    made = []
    for _ in range(25):
        dag = Dag()
        first = [dag.add("a", (0,)) for _ in range(4)]
        second = [dag.add("sum", tuple(sorted(rng.sample(first, 2))), (1, 1)) for _ in range(4)]
        third = [dag.add("b", (value,)) for value in second]
        dag.add("sum", tuple(third), (1,) * 4)
        made.append(dag)
    agreed = set()
    for a, b in itertools.combinations(made, 2):
        out_a, out_b = len(a.labels) - 1, len(b.labels) - 1
        equal = text(a, out_a) == text(b, out_b)
        assert equal == isomorphic(a, b, out_a, out_b)
        agreed.add(equal)
    assert agreed == {True, False}


def test_mirror_images_are_not_all_tried() -> None:
    """Ten layers of three equal branches that are all used twice: 6^10 orders, one text."""
    dag, value = Dag(), 0
    for _ in range(10):
        branches = [dag.add("a", (value,)) for _ in range(3)]
        uses = [dag.add("b", (branch,)) for branch in branches]
        value = dag.add("sum", tuple(branches + uses), (1,) * 6)
    other = renumbered(dag, random.Random(1))
    assert text(dag, value) == text(other, len(other.labels) - 1)


def branches(count: int) -> Dag:
    """Equal branches, each used twice."""
    dag = Dag()
    first = [dag.add("a", (0,)) for _ in range(count)]
    ends = [dag.add("sum", (branch, dag.add("b", (branch,))), (1, 1)) for branch in first]
    dag.add("sum", tuple(ends), (1,) * count)
    return dag


def rings(count: int) -> Dag:
    """Two rings of equal values, in each of which every neighbouring pair is added: no two values can be exchanged."""
    dag = Dag()
    ends = []
    for _ in range(2):
        ring = [dag.add("a", (0,)) for _ in range(count)]
        pairs = [tuple(sorted((ring[at - 1], ring[at]))) for at in range(count)]
        ends += [dag.add("b", (dag.add("sum", pair, (1, 1)),)) for pair in pairs]
    dag.add("sum", tuple(ends), (1,) * len(ends))
    return dag


@pytest.mark.parametrize(
    ("dag", "digest"),
    [
        (branches(2), "094ac368c15aff8d"),
        (branches(8), "0e0882dae8c59946"),
        (rings(3), "3856a21e425144e3"),
        (rings(5), "78f8e93020927983"),
    ],
)
def test_texts_of_symmetrical_graphs_are_those_of_earlier_releases(dag: Dag, digest: str) -> None:
    found = text(dag, len(dag.labels) - 1)
    assert found.startswith("tied ")
    assert hashlib.sha256(found.encode()).hexdigest()[:16] == digest


def test_one_exchange_stands_for_all_orders_of_many_branches() -> None:
    """Without that, a text of 60 branches takes more than a minute; with it, a refinement for each branch."""
    dag = branches(60)
    other = renumbered(dag, random.Random(1))
    assert text(dag, len(dag.labels) - 1) == text(other, len(other.labels) - 1)


# -- one rule at a time -----------------------------------------------------------------------------------------------


def id_of(*parts: object, **named: object) -> str:
    space = Space(**{f"p{index}": part for index, part in enumerate(parts)}, **named)
    return space.network_id(Architecture())


def graph(**nodes: object) -> Graph:
    return Graph(nodes)  # type: ignore[arg-type]


def test_identities_and_names_do_not_count() -> None:
    plain = id_of(op(Lin))
    assert id_of(nn.Identity, op(Lin), nn.Identity) == plain
    assert id_of(Chain(x=Chain(y=op(Lin)))) == plain
    assert id_of(graph(n=Sum(("input", op(Lin))))) == plain
    assert id_of(graph(m=Sum("input"), n=Concat(("m", op(Lin))))) == plain
    assert id_of(Repeat(op(Lin), 1)) == plain
    assert id_of(op(Lin), op(Lin)) != plain


def test_an_argument_at_its_default_does_not_count_but_its_type_does() -> None:
    assert id_of(op(Shift, by=1.0)) == id_of(op(Shift))
    assert id_of(op(Shift, by=1)) != id_of(op(Shift))
    assert id_of(op(Shift, by=True)) != id_of(op(Shift, by=1))


def test_dead_ends_and_absent_edges_do_not_count() -> None:
    plain = id_of(op(Lin))
    dead = graph(
        nowhere=Sum(("input", op(Lin))),
        unreached=Sum(("input", Zero())),
        out=Sum(("input", op(Lin)), ("unreached", op(Lin)), ("nowhere", Chain(a=op(Lin), b=Zero()))),
    )
    assert id_of(dead) == plain
    module = Space(g=dead).build(Architecture(), (WIDTH,))
    assert [name for name, _ in module.named_parameters()] == [
        f"g.out.input.{layer}.{kind}" for layer in ("into", "out") for kind in ("weight", "bias")
    ]


def test_sums_are_multisets() -> None:
    a, b = ("input", op(Lin)), ("input", op(Scale))
    flat = id_of(graph(n=Sum(a, b, "input")))
    assert id_of(graph(n=Sum("input", b, a))) == flat
    assert id_of(graph(m=Sum(a, b), n=Sum("m", "input"))) == flat
    assert id_of(graph(m=Sum(b, "input"), n=Sum(a, ("m", nn.Identity)))) == flat
    assert id_of(graph(n=Sum(a, b, "input", "input"))) != flat
    assert id_of(graph(n=Concat(a, b, "input"))) != id_of(graph(n=Concat(b, a, "input")))


def test_operations_without_parameters_merge_and_others_do_not() -> None:
    twice = id_of(graph(n=Sum(("input", nn.Tanh), ("input", nn.Tanh))))
    assert id_of(graph(m=Sum(("input", nn.Tanh)), n=Sum("m", "m"))) == twice
    assert id_of(graph(m=Sum(("input", op(Lin))), n=Sum("m", "m"))) != id_of(
        graph(n=Sum(("input", op(Lin)), ("input", op(Lin))))
    )
    # Dropout draws anew in each place.
    assert id_of(graph(m=Sum(("input", nn.Dropout)), n=Sum("m", "m"))) != id_of(
        graph(n=Sum(("input", nn.Dropout), ("input", nn.Dropout)))
    )


def test_a_layer_used_twice_is_not_two_layers() -> None:
    def body(first: str, second: str) -> str:
        return id_of(
            graph(
                a=Sum(("input", op(Lin))),
                b=Sum(("input", op(Lin))),
                out=Sum((first, op(Project, WIDTH)), (second, op(Project, WIDTH)), ("a", nn.Tanh), ("b", nn.Tanh)),
            )
        )

    assert body("a", "b") == body("b", "a")
    assert body("a", "a") == body("b", "b")
    assert body("a", "a") != body("a", "b")


def test_a_graph_that_nothing_reaches_yields_zeros() -> None:
    space = Space(a=op(Lin), g=graph(n=Sum(("input", Choice({"none": Zero(), "lin": op(Lin)})))), b=op(Lin))
    none, lin = space.enumerate()
    assert space.network_id(none) != space.network_id(lin)
    module = space.build(none, (WIDTH,))
    assert torch.equal(module.g(torch.ones(2, WIDTH)), torch.zeros(2, WIDTH))
    assert id_of(graph(n=Sum("input", ("input", graph(m=Sum(("input", Zero()))))))) == id_of(nn.Identity)


def test_the_recipe_counts_for_the_trial_alone() -> None:
    space = Space(a=op(Lin), recipe={"lr": Choice(0.1, 0.2), "epochs": 1})
    one, two = space.enumerate()
    assert space.network_id(one) == space.network_id(two) != space.trial_id(one) != space.trial_id(two)
    fixed = Space(a=op(Lin), recipe={"lr": 0.1})
    assert fixed.trial_id(Architecture()) == fixed.network_id(Architecture()) == space.network_id(one)
