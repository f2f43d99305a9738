"""``Space``: a template with holes, and everything that is derived from it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.identity import canonical, description, naming
from raynas.space.template.nodes import Hole
from raynas.space.template.operation import has_holes
from raynas.space.walk import operators
from raynas.space.walk.architecture import Architecture
from raynas.space.walk.fill import Network
from raynas.space.walk.size import Size, size
from raynas.space.walk.walked import WalkedTemplate

if TYPE_CHECKING:
    from torch import nn

#: How many architectures' ids a space remembers.
_REMEMBERED = 100_000


class Space(WalkedTemplate):
    """A chain of named parts with holes, and a training recipe that may have holes too.

    Args:
        recipe: training settings (``lr``, ``batch_size``, …) as literals or holes; their paths are ``recipe.<key>``.
        name: the space's name, for people.
        parts: the network's parts in order.

    Raises:
        SpaceError: the template cannot be; the message names the place.

    Attributes:
        root, recipe, name: as given.
        id_rule: which rule its ids follow: this release's, unless :meth:`with_id_rule` says otherwise.

    Frozen; it may be pickled (classes and literals only). Paths, ids and the walk's order do not depend on the process.
    """

    id_rule: int

    def __init__(self, *, recipe: Mapping[str, Any] | None = None, name: str | None = None, **parts: Any) -> None:
        super().__init__(recipe=recipe, name=name, **parts)
        _ = self.hole_map  # checks the template as a whole

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "id_rule": self.id_rule}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"id_rule": canonical.RULE, **state})
        self.__dict__["_ids"] = {}  # a cache: architecture -> (network id, trial id)

    # -- what it holds -------------------------------------------------------------------------------------------

    def holes(self) -> list[tuple[str, Hole]]:
        """``(path, hole)`` of every hole that can become active, in the order of the walk."""
        return list(self.hole_map.items())

    @cached_property
    def _size(self) -> Size:
        return size(self)

    def size(self) -> int | float:
        """How many fillings there are: an int, or ``math.inf`` where there is a ``Float``.

        At least so many, where :attr:`size_exact` says no: names bind too many parts to each other for a count.
        """
        return self._size.fillings

    @property
    def size_exact(self) -> bool:
        """Whether :meth:`size` is the number of fillings, rather than a bound from below."""
        return self._size.exact

    @cached_property
    def _description(self) -> dict[str, Any]:
        return description.describe(self)

    def description(self) -> dict[str, Any]:
        """The template as JSON-able data."""
        return self._description

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when the template does."""
        return description.fingerprint(self._description)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Readable lines: what changed from an older description (of :meth:`description`) to this template."""
        return description.differences(other, self._description)

    # -- architectures -------------------------------------------------------------------------------------------

    def sample(self, rng: random.Random) -> Architecture:
        """A random architecture, every hole that is reached drawn independently."""
        return operators.sample(self, rng)

    def default(self) -> Architecture:
        """The architecture with every hole at its default."""
        return operators.default(self)

    def replay(self, values: Mapping[str, Any]) -> Architecture:
        """The values as an architecture of this space, checked.

        Raises:
            SpaceError: a value outside its domain, a missing or a superfluous path.
        """
        return operators.replay(self, values)[1]

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """One hole changed. Raises SpaceError where no hole has a second value."""
        return operators.mutate(self, architecture, rng)

    def crossover(self, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
        """Every hole's value from one of two parents."""
        return operators.crossover(self, a, b, rng)

    def neighbours(self, architecture: Architecture) -> Sequence[Architecture]:
        """All architectures with one hole changed (of a ``Float`` or a large ``Int``, a few steps).

        Each is made when it is asked for.
        """
        return operators.Neighbours(self, architecture)

    def enumerate(self) -> Iterator[Architecture]:
        """Every filling once. Raises SpaceError for an infinite space."""
        return operators.enumerate_all(self)

    # -- networks ------------------------------------------------------------------------------------------------

    def network(self, architecture: Mapping[str, Any]) -> Network:
        """The template filled by the architecture. Raises SpaceError as :meth:`replay` does."""
        return operators.replay(self, architecture)[0]

    def with_id_rule(self, rule: int) -> Space:
        """The same space with the ids of an earlier release (see :mod:`raynas.space.identity.canonical`).

        Raises:
            SpaceError: no such rule is known here.
        """
        if not 1 <= rule <= canonical.RULE:
            raise SpaceError(
                f"ids by rule {rule!r} are of another release of RayNAS; this one knows rules 1 to {canonical.RULE}"
            )
        if rule == self.id_rule:
            return self
        twin = type(self).__new__(type(self))
        twin.__setstate__({**self.__getstate__(), "id_rule": rule})
        return twin

    def network_id(self, architecture: Architecture) -> str:
        """16 hexadecimal digits: equal for architectures that build the same network."""
        return self._both_ids(architecture)[0]

    def trial_id(self, architecture: Architecture) -> str:
        """16 hexadecimal digits for network and recipe; the network's id where the recipe has no holes."""
        return self._both_ids(architecture)[1]

    def _both_ids(self, architecture: Architecture) -> tuple[str, str]:
        ids: dict[Architecture, tuple[str, str]] = self.__dict__["_ids"]
        if not isinstance(architecture, Architecture):
            architecture = Architecture(architecture)
        known = ids.get(architecture)
        if known is None:
            network = self.network(architecture)
            network_id = canonical.network_id(network, self.id_rule)
            known = network_id, canonical.trial_id(network, self._recipe_has_holes, network_id)
            if len(ids) >= _REMEMBERED:
                ids.clear()
            ids[architecture] = known
        return known

    @cached_property
    def _recipe_has_holes(self) -> bool:
        return any(has_holes(value) for _, value in self.recipe)

    def build(self, architecture: Architecture, input_shape: Any, dtype: Any = None) -> nn.Module:
        """The plain module, freshly initialised.

        Args:
            architecture: a filling of this space.
            input_shape: the shape of one sample, without the batch; of several inputs, that of each by its name.
            dtype: of the input (a ``torch.dtype`` or its name); float32 unless given. Of several inputs likewise.

        Raises:
            SpaceError: the architecture is not of this space, or an operation does not take what reaches it.
        """
        from raynas.space.network.build import build

        return build(self.network(architecture), input_shape, dtype)

    def check(self, architecture: Architecture, input_shape: Any, dtype: Any = None) -> tuple[int, ...]:
        """The shape of what the network yields for one sample, found without building it. Errors as :meth:`build`."""
        from raynas.space.network.shapes import output_shape

        return output_shape(self.network(architecture), input_shape, dtype)

    # -- for people ----------------------------------------------------------------------------------------------

    def short_name(self, architecture: Architecture) -> str:
        """At most 60 characters: what differs from the default."""
        return naming.short_name(self, architecture)

    def pretty(self, architecture: Architecture) -> str:
        """The architecture's network and recipe, one line a module."""
        return naming.pretty(self.network(architecture))

    def __repr__(self) -> str:
        lines = [f"  {name}={part!r}," for name, part in self.root.parts]
        if self.recipe:
            lines.append(f"  recipe={{{', '.join(f'{key!r}: {value!r}' for key, value in self.recipe)}}},")
        if self.name is not None:
            lines.append(f"  name={self.name!r},")
        return "\n".join(["Space(", *lines, ")"])
