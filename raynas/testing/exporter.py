"""The contract of an exporter: its files stand by themselves, give the network's outputs, and nothing else is touched.

Ray is not needed, and nothing is trained: the weights are random ones.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raynas.errors import UserError
from raynas.export.attempt import compare, write_files
from raynas.export.exporter import Exporter, TensorSpec, TrainedNetwork, Written
from raynas.export.folder import files_in
from raynas.export.formats import Format
from raynas.space import Architecture, Space
from raynas.tasks.digits import Digits
from raynas.tasks.samples import output_kind, sample_inputs
from raynas.tasks.task import Task
from raynas.testing.contract import Contract

if TYPE_CHECKING:
    from torch import Tensor


class ExporterContract(Contract):
    """What every exporter has to keep. Override ``exporter``, and ``spaces`` if it can write some networks only."""

    def exporter(self) -> Exporter:
        """A new exporter."""
        raise NotImplementedError(f"{type(self).__name__} gives exporter(self)")

    def task(self) -> Task:
        """What the networks are for."""
        return Digits()

    def spaces(self) -> Mapping[str, Space]:
        """The spaces whose networks are written: the default and a random one of each."""
        from search_spaces.mlp import mlp
        from search_spaces.resnet import resnet

        task = self.task()
        return {"mlp": mlp(task), "resnet": resnet(task)}

    def parameters(self) -> Mapping[str, Iterable[Any]]:
        return {"space": self.spaces()}

    def _networks(self, name: str) -> list[tuple[TrainedNetwork, dict[str, Tensor]]]:
        space, task = self.spaces()[name], self.task()
        return [_network(space, one, task) for one in (space.default(), space.sample(random.Random(0)))]

    # --- what it writes -------------------------------------------------------------------------------------------

    def test_it_writes_files_of_its_own(self, space: str, tmp_path: Path) -> None:
        network, weights = self._networks(space)[0]
        written = _write(self.exporter(), network, weights, tmp_path / "here")
        missing = sorted(set(written.files) - set(files_in(tmp_path / "here")))
        assert not missing, f"Written.files tells of {', '.join(missing)}, which was not written"
        for field, words in (("needs", written.needs), ("usage", written.usage)):
            assert isinstance(words, tuple), f"Written.{field} is a tuple of texts; it is {words!r}"
            assert all(isinstance(each, str) for each in words), f"Written.{field} is a tuple of texts; it is {words!r}"

    def test_it_touches_nothing_else(self, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        network, weights = self._networks(space)[0]
        before = {name: tensor.clone() for name, tensor in weights.items()}
        about = repr(network.about)
        samples = [batch.clone() for batch in network.samples]
        (tmp_path / "working").mkdir()
        monkeypatch.chdir(tmp_path / "working")
        _write(self.exporter(), network, weights, tmp_path / "here")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "working"], "it wrote beside its folder"
        assert not list(Path.cwd().iterdir()), (
            "it wrote into the working folder; write into the folder that it is given"
        )
        changed = [name for name in before if name not in weights or not torch.equal(weights[name], before[name])]
        assert not changed, f"write() changed the weights {', '.join(changed)}; change a copy of them"
        assert repr(network.about) == about, "write() changed network.about; make a copy of it"
        assert all(map(torch.equal, samples, network.samples)), "write() changed network.samples; clone() them first"

    # --- what can be done with it ---------------------------------------------------------------------------------

    def test_what_was_written_gives_the_outputs_of_the_network(self, space: str, tmp_path: Path) -> None:
        """From wherever the folder lies then, and for a batch of one as well."""
        network, weights = self._networks(space)[0]
        exporter = self.exporter()
        _write(exporter, network, weights, tmp_path / "here")
        shutil.move(tmp_path / "here", tmp_path / "there")
        _check_outputs(exporter, network, weights, tmp_path / "there")

    def test_one_exporter_writes_many_networks(self, space: str, tmp_path: Path) -> None:
        exporter, both = self.exporter(), self._networks(space)
        for number, (network, weights) in enumerate(both):
            _write(exporter, network, weights, tmp_path / str(number))
        for number, (network, weights) in enumerate(both):
            _check_outputs(self.exporter(), network, weights, tmp_path / str(number))


def _write(exporter: Exporter, network: TrainedNetwork, weights: dict[str, Tensor], folder: Path) -> Written:
    folder.mkdir()
    try:
        return write_files(_format(exporter), network, weights, folder)
    except UserError as error:
        raise AssertionError(str(error)) from error


def _check_outputs(exporter: Exporter, network: TrainedNetwork, weights: dict[str, Tensor], folder: Path) -> None:
    """Raises AssertionError where what lies in the folder gives other outputs, for some samples or for one."""
    from dataclasses import replace

    import torch

    for samples in (network.samples, tuple(batch[:1] for batch in network.samples)):
        with torch.no_grad():
            expected = network.build(weights)(*network.arguments([batch.clone() for batch in samples]))
        try:
            if compare(_format(exporter), replace(network, samples=samples), expected, folder) is None:
                pytest.skip("load() gives None: this format cannot be run here")
        except UserError as error:
            raise AssertionError(f"with a batch of {len(samples[0])}: {error}") from error


def _format(exporter: Exporter) -> Format:
    return Format(type(exporter).__name__, exporter)


def _network(space: Space, architecture: Architecture, task: Task) -> tuple[TrainedNetwork, dict[str, Tensor]]:
    """A network as if a search had found it, with random weights that are always the same."""
    import torch

    shape, dtype = task.input_shape, task.input_dtype
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        module = space.build(architecture, shape, dtype)
    kind = output_kind(task)
    preprocessing = task.preprocessing()
    network = TrainedNetwork(
        title=f"An example on task {task.name}.",
        network=space.network(architecture),
        inputs=(TensorSpec("input", tuple(shape), dtype),),
        outputs=TensorSpec("output", tuple(task.output_shape)),
        output_kind=kind,
        samples=(sample_inputs(task, 4, dtype),),
        preprocessing=None if preprocessing is None else {**preprocessing, "outputs": kind},
        about=_about(space, architecture, task, sum(parameter.numel() for parameter in module.parameters())),
    )
    return network, {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _about(space: Space, architecture: Architecture, task: Task, parameters: int) -> dict[str, Any]:
    """``architecture.json`` of a network that no search has found."""
    return {
        "format": 1,
        "architecture": architecture.to_json(),
        "name": "an example",
        "trial": 0,
        "trial_id": space.trial_id(architecture),
        "network_id": space.network_id(architecture),
        "input_shape": list(task.input_shape),
        "input_dtype": task.input_dtype,
        "parameters": parameters,
        "flops": 0,
        "weights": {"step": 1, "unit": "epoch", "partial": False},
        "measured": {"step": None, "metrics": {}, "state": "running", "reason": None},
        "recipe": {},
        "search": {"name": "example", "task": task.name},
        "needs": [],
        "versions": {},
        "exported": "2000-01-01T00:00:00+00:00",
        "outputs": output_kind(task),
    }
