"""The contract of a search space: every architecture builds, fits its task and learns; ids are the same everywhere.

Ray is not needed.
"""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from raynas.space import Architecture, Space
from raynas.tasks.digits import Digits
from raynas.testing.contract import Contract, as_json

if TYPE_CHECKING:
    from torch import Tensor, nn

#: So many neighbours of the default are looked at.
_NEIGHBOURS = 500


class SpaceContract(Contract):
    """What every space has to keep. Override ``space``, and ``tasks`` where it is not for images of 8 x 8 pixels.

    Attributes:
        tasks: the tasks that the space is made for, by a name for messages. A ``Task``, or anything with
            ``input_shape`` and ``num_classes`` (``raynas.simulate.spaces.TableTask`` has no more than that).
        samples: so many random architectures of each are looked at, besides the default.
    """

    tasks: ClassVar[Mapping[str, Any]] = {"digits": Digits()}
    samples: ClassVar[int] = 25

    def space(self, task: Any) -> Space:
        """The space for a task; made anew in each call."""
        raise NotImplementedError(f"{type(self).__name__} gives space(self, task)")

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        return {"task_name": self.tasks}

    def _drawn(self, space: Space) -> list[Architecture]:
        rng = random.Random(0)
        return [space.default(), *(space.sample(rng) for _ in range(self.samples))]

    # --- the template ---------------------------------------------------------------------------------------------

    def test_it_is_made_without_chance(self, task_name: str) -> None:
        first, second = (self.space(self.tasks[task_name]) for _ in range(2))
        assert isinstance(first, Space), f"space() gave a {type(first).__name__}, not a raynas.space.Space"
        assert first.fingerprint == second.fingerprint, (
            "two calls of space() give different templates, so no search in it could be resumed:\n"
            + "\n".join(second.differences(first.description()))
        )

    def test_it_survives_pickling(self, task_name: str) -> None:
        space = self.space(self.tasks[task_name])
        try:
            again = pickle.loads(pickle.dumps(space))
        except Exception as error:
            raise AssertionError(
                f"the space cannot be pickled, which a worker needs ({type(error).__name__}: {error}); "
                "operations are classes at the top level of a file"
            ) from error
        assert again.fingerprint == space.fingerprint
        assert _ids(again, self._drawn(again)) == _ids(space, self._drawn(space))

    def identities(self) -> dict[str, Any]:
        """Fingerprint, and ids of some architectures, for each task."""
        spaces = {name: self.space(task) for name, task in self.tasks.items()}
        return {name: [space.fingerprint, _ids(space, self._drawn(space))] for name, space in spaces.items()}

    def test_it_is_the_same_in_another_process(self) -> None:
        here, there = as_json(self.identities()), self.in_another_process("identities")
        different = [name for name in here if here[name] != there[name]]
        assert not different, (
            f"for {', '.join(different)} the space, or the ids of its architectures, differ in another process, where "
            "strings have other hashes; do not make holes or options from a set"
        )

    # --- its architectures ----------------------------------------------------------------------------------------

    def test_every_architecture_survives_json_and_keeps_its_ids(self, task_name: str) -> None:
        space, again = (self.space(self.tasks[task_name]) for _ in range(2))
        for architecture in self._drawn(space):
            back = Architecture.from_json(as_json(architecture.to_json()))
            assert back == architecture
            assert again.replay(back) == architecture
            assert _ids(again, [back]) == _ids(space, [architecture])

    def test_mutants_children_and_neighbours_are_of_the_space(self, task_name: str) -> None:
        space, rng = self.space(self.tasks[task_name]), random.Random(1)
        if space.size() == 1:
            pytest.skip("a space with one architecture")
        drawn = self._drawn(space)
        for a, b in itertools.pairwise(drawn):
            mutant, child = space.mutate(a, rng), space.crossover(a, b, rng)
            assert space.replay(mutant) == mutant != a
            assert space.replay(child) == child
        default = space.default()
        near = list(itertools.islice(space.neighbours(default), _NEIGHBOURS))
        assert near, "the default has no neighbour: no hole of it has a second value"
        assert len(near) == len(set(near))
        assert default not in near
        assert all(space.replay(one) == one for one in near)

    # --- its networks ---------------------------------------------------------------------------------------------

    def test_every_architecture_fits_its_task_and_learns(self, task_name: str) -> None:
        from raynas.costs import layer_costs, totals
        from raynas.tasks.data import samples_of

        task = self.tasks[task_name]
        space, inputs, dtype = self.space(task), _inputs(task), getattr(task, "input_dtype", None)
        count = samples_of(inputs)
        wanted = tuple(getattr(task, "output_shape", (task.num_classes,)))
        for architecture in self._drawn(space):
            said = dict(architecture)
            module = space.build(architecture, task.input_shape, dtype)
            outputs = module(inputs)
            assert tuple(outputs.shape) == (count, *wanted), (
                f"outputs of {said} have shape {tuple(outputs.shape)}; of {count} samples this task needs "
                f"{(count, *wanted)}: end the space with a head of its own"
            )
            assert tuple(space.check(architecture, task.input_shape, dtype)) == wanted
            assert outputs.isfinite().all(), f"outputs of {said} are not finite before any training"
            _check_gradients(module, outputs, said)
            parameters = dict(module.named_parameters())
            layers = layer_costs(space.network(architecture), task.input_shape, dtype)
            assert totals(layers).params == sum(parameter.numel() for parameter in parameters.values())
            for layer in layers:
                below = sum(p.numel() for name, p in parameters.items() if name.startswith(f"{layer.path}."))
                assert layer.params == below

    def test_a_seed_gives_the_same_weights(self, task_name: str) -> None:
        import torch

        task = self.tasks[task_name]
        space, dtype = self.space(task), getattr(task, "input_dtype", None)
        for architecture in self._drawn(space)[:3]:
            weights = []
            for _ in range(2):
                torch.manual_seed(0)
                weights.append(space.build(architecture, task.input_shape, dtype).state_dict())
            for name, tensor in weights[0].items():
                assert torch.equal(tensor, weights[1][name]), (
                    f"{name} of {dict(architecture)} differs between two networks that were built after "
                    "torch.manual_seed(0); draw initial weights from torch's generator alone"
                )


def _ids(space: Space, architectures: Iterable[Architecture]) -> list[list[str]]:
    return [[space.network_id(one), space.trial_id(one)] for one in architectures]


def _inputs(task: Any) -> Tensor:
    from raynas.tasks.samples import facts, sample_inputs

    known = facts(task)
    return sample_inputs(task, 2, known.get("input_dtype"), known.get("input_range"))


def _check_gradients(module: nn.Module, outputs: Tensor, said: Mapping[str, Any]) -> None:
    from raynas.blocks.graph import Dag

    if any(isinstance(part, Dag) and not list(part.children()) for part in module.modules()):
        return  # nothing but absent edges: no gradient passes them
    if outputs.requires_grad:
        outputs.square().sum().backward()
    idle = [name for name, one in module.named_parameters() if one.requires_grad and one.grad is None]
    assert not idle, (
        f"{', '.join(idle[:3])} of {said} get no gradient: forward() does not use them. Leave out what is not used"
    )
