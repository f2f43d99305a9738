"""An exporter of your own, to start from. Try it:  raynas export NAME --format exporter.py:HalfPrecision --output half/

An exporter writes a trained network in one format. RayNAS finds the trial and its weights, adds architecture.json and
preprocessing.json, compares the outputs, and puts the folder in its place: whole, or not at all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from raynas.export import Exporter, TrainedNetwork, Written


class HalfPrecision(Exporter):
    """A torch.export program with 16-bit weights, which takes half the room, and the names of the classes beside it."""

    # So far may outputs be from those of the search's network: tolerance * (1 + |output|). Without this line they must
    # be equal, bit for bit.
    tolerance = 0.02

    def write(self, network: TrainedNetwork, weights: Mapping[str, torch.Tensor], folder: Path) -> Written:
        """Writes into ``folder``, which is empty and moves to its place afterwards.

        ``network`` also knows its inputs (shape and dtype), its outputs, what these mean (``output_kind``), how an
        image becomes an input (``preprocessing``), and all of architecture.json (``about``).
        """
        module = network.build(weights).half()  # a plain nn.Module in eval mode; build() makes a new one each time
        # Real inputs, more than one; arguments() makes of them what the network is called with.
        batches = network.arguments([torch.cat([half(batch), half(batch)]) for batch in network.samples])
        any_size = network.arguments([{0: torch.export.Dim.DYNAMIC} for _ in network.samples])
        program = torch.export.export(module, batches, dynamic_shapes=any_size)
        torch.export.save(program, folder / "half.pt2")
        if network.class_names is not None:
            (folder / "labels.txt").write_text("\n".join(network.class_names) + "\n", encoding="utf-8")
        # What people are told of the files, and what a reader of them has to install. All of it may be left out.
        return Written({"half.pt2": "the network, with 16-bit weights"}, needs=("torch",))

    def load(self, folder: Path) -> Callable[..., torch.Tensor]:
        """What was written, ready to run: every export compares it. Leave it out if the format cannot be run here."""
        program = torch.export.load(folder / "half.pt2").module()
        return lambda *batches: program(*map(half, batches)).float()


def half(batch: torch.Tensor) -> torch.Tensor:
    """Floats in 16 bits; token numbers stay as they are."""
    return batch.half() if batch.is_floating_point() else batch
