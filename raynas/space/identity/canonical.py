"""The canonical form: what a network computes, however its template is written.

A filled template is flattened into a graph of values, bottom up from the input:

- identities are contracted; a sum within a sum becomes one sum (a multiset), and so does a concatenation within a
  concatenation;
- absent edges, parts that no input reaches and parts that reach no output are left out;
- operations without parameters on equal inputs are one value, unless they are random; operations *with* parameters are
  kept apart (a layer used twice is not two layers);
- an argument equal to the constructor's default counts as not given, unless not given means "from the input's shape".

``labelling`` then turns the graph into text that is equal for equal graphs. Two networks with the same text compute the
same function if their parameters are renamed suitably. The names of parts do not matter.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from raynas.space.identity.labelling import Dag, text
from raynas.space.identity.repeatable import is_repeatable
from raynas.space.identity.spelling import drops_nothing, spelled
from raynas.space.network.pruning import is_identity, live_nodes
from raynas.space.template.graph import Concat, Graph
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.structure import Chain
from raynas.space.template.values import to_json
from raynas.space.walk.fill import Network

#: Raise this when the canonical form changes its meaning for all networks: all ids then differ.
VERSION = 1

#: The rule of ids. Raise it when the form of some networks changes, and keep the earlier rules: a search goes on with
#: the rule that it was begun with (docs/journal.md, ``id_rule``), so that its ids stay comparable.
#:
#: 1. An argument equal to a default always counts as not given. Random modules are known by their names.
#: 2. Not so where a shape fills the argument. A person's random modules are found by trying them. ``3`` and ``(3, 3)``
#:    are one kernel, and a dropout of probability 0 is nothing.
RULE = 2


def canonical_form(network: Network, rule: int = RULE) -> str:
    """Text that is equal for networks that compute the same (see the module's first lines)."""
    flat = _Flat(rule)
    output = flat.part(network.root, 0)
    return f"v{VERSION} {text(flat.dag, output)}"


def network_id(network: Network, rule: int = RULE) -> str:
    """16 hexadecimal digits: a hash of the canonical form."""
    return _digest(canonical_form(network, rule))


def trial_id(network: Network, recipe_has_holes: bool, network_id: str) -> str:
    """16 hexadecimal digits for network and recipe together; the network's id where the recipe has no holes."""
    if not recipe_has_holes:
        return network_id
    recipe = {key: to_json(value) for key, value in network.recipe.items()}
    return _digest(f"{network_id} {json.dumps(recipe, sort_keys=True)}")


def _digest(form: str) -> str:
    return hashlib.sha256(form.encode()).hexdigest()[:16]


class _Flat:
    """The values computed so far. Each has a number; the input is 0."""

    def __init__(self, rule: int) -> None:
        self.rule = rule
        self.dag = Dag()
        self.made: dict[Any, int] = {}  # values that need not be computed twice

    def part(self, part: Part | None, value: int) -> int:
        if is_identity(part):
            return value
        if isinstance(part, Op):
            return value if self.rule > 1 and drops_nothing(part) else self.op(part, value)
        if isinstance(part, Chain):
            for _, child in part.parts:
                value = self.part(child, value)
            return value
        assert isinstance(part, Graph)
        return self.graph(part, value)

    def op(self, op: Op, value: int) -> int:
        label = op_label(op, self.rule)
        key = (label, value)
        known = self.made.get(key)
        if known is not None and is_repeatable(op, self.rule):
            return known
        made = self.dag.add(label, (value,))
        self.made.setdefault(key, made)
        return made

    def graph(self, graph: Graph, value: int) -> int:
        values = {graph.input: value}
        for name, merge, edges in live_nodes(graph):
            arrived = [self.part(edge.part, values[edge.sources[0]]) for edge in edges]
            if isinstance(merge, Concat):
                values[name] = self.concat(arrived, merge.dim)
            else:
                values[name] = self.sum(arrived)
        if graph.output not in values:
            return self.once("zeros", (value,))
        return values[graph.output]

    def sum(self, arrived: list[int]) -> int:
        counts: dict[int, int] = {}
        for value in arrived:
            if self.dag.labels[value] == "sum":
                for child, times in zip(self.dag.children[value], self.dag.times[value], strict=True):
                    counts[child] = counts.get(child, 0) + times
            elif self.dag.labels[value] != "zeros":
                counts[value] = counts.get(value, 0) + 1
        if not counts:
            return arrived[0]
        if len(counts) == 1 and next(iter(counts.values())) == 1:
            return next(iter(counts))
        children = tuple(sorted(counts))
        return self.once("sum", children, tuple(counts[child] for child in children))

    def concat(self, arrived: list[int], dim: int) -> int:
        label = f"concat {dim}"
        children: list[int] = []
        for value in arrived:
            children.extend(self.dag.children[value] if self.dag.labels[value] == label else (value,))
        return children[0] if len(children) == 1 else self.once(label, tuple(children))

    def once(self, label: str, children: tuple[int, ...], times: tuple[int, ...] = ()) -> int:
        key = (label, children, times)
        if key not in self.made:
            self.made[key] = self.dag.add(label, children, times)
        return self.made[key]


@lru_cache(maxsize=20_000)
def op_label(op: Op, rule: int) -> str:
    """An operation in canonical words: its class, and the arguments that tell it from others of the class."""
    given = {name: to_json(value) for name, value in spelled(op, rule).items()}
    return f"{op.class_name} {json.dumps(given, sort_keys=True)}"
