"""A template with what a walk finds: its holes in order, and which of them decide whether others are active."""

from __future__ import annotations

from functools import cached_property

from raynas.space.template.nodes import Hole
from raynas.space.template.template import Template
from raynas.space.walk.inventory import all_holes
from raynas.space.walk.plan import Plan, deciding_paths, plan_of


class WalkedTemplate(Template):
    """A template that knows its holes. Each attribute is found when it is first asked for."""

    @cached_property
    def hole_map(self) -> dict[str, Hole]:
        """Path → hole for every hole that can become active, in the order of the walk."""
        return all_holes(self)

    @cached_property
    def plan(self) -> Plan:
        """Which holes a filling asks for, in which order, and what each answer opens."""
        return plan_of(self)

    @cached_property
    def deciding(self) -> frozenset[str]:
        """The paths of the holes whose values decide which other holes are active."""
        return frozenset(deciding_paths(self.plan))
