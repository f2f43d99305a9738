"""The format ``torch_export``: one file that PyTorch runs without the network's source, with batches of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.export.errors import ExportError
from raynas.export.exporter import Exporter, TrainedNetwork, Written

if TYPE_CHECKING:
    from torch import Tensor

PROGRAM = "model.pt2"


class TorchExporter(Exporter):
    """Writes ``model.pt2``, a ``torch.export`` program that holds the weights, in eval mode.

    Only the first dimension of inputs and outputs, the batch, is left open.
    """

    #: Another machine may order sums in another way; here the difference is usually 0.
    tolerance = 1e-5

    def write(self, network: TrainedNetwork, weights: Mapping[str, Tensor], folder: Path) -> Written:
        import torch

        batches = network.arguments([torch.cat([one, one]) for one in network.samples])  # of one it would be fixed
        open_batch = network.arguments([{0: torch.export.Dim.DYNAMIC} for _ in network.samples])
        try:
            program = torch.export.export(network.build(weights), batches, dynamic_shapes=open_batch)
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "")
            raise ExportError(
                f"torch.export cannot follow this network ({type(error).__name__}: {first[:300]}); its blocks must do "
                "without Python that depends on the values of tensors; --format source has no such limit"
            ) from error
        torch.export.save(program, folder / PROGRAM)
        usage = f"""python -c "import torch; print(torch.export.load('{{folder}}/{PROGRAM}').module())\""""
        return Written({PROGRAM: "the network and its weights, as a torch.export program"}, ("torch",), (usage,))

    def load(self, folder: Path) -> Callable[..., Tensor]:
        import torch

        network: Callable[..., Tensor] = torch.export.load(folder / PROGRAM).module()
        return network
