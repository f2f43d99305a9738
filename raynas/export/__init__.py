"""Taking a network home: written as a folder that needs neither RayNAS nor the search, and loaded from it.

``exporter`` is the contract of a format, and ``formats`` finds one by its name. ``write`` makes the folder: ``attempt``
runs the exporter and tries its files, ``folder`` keeps others' files safe. ``read`` loads the folder.

The format ``source``: ``names`` and ``modules`` read source, ``collect`` gathers what classes need, ``expression`` and
``network`` write a network as constructor calls, ``program`` puts the file together with ``runtime``.
``torch_export`` is a program for PyTorch alone.
"""

from raynas.export.errors import ExportError
from raynas.export.exporter import Exporter, TensorSpec, TrainedNetwork, Written
from raynas.export.read import load, load_model
from raynas.export.write import Export, export_model

__all__ = [
    "Export",
    "ExportError",
    "Exporter",
    "TensorSpec",
    "TrainedNetwork",
    "Written",
    "export_model",
    "load",
    "load_model",
]
