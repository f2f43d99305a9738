"""Taking a network home: written as a folder that needs neither RayNAS nor the search, and loaded from it.

``names`` and ``modules`` read source, ``collect`` gathers what classes need, ``expression`` and ``network`` write a
network as constructor calls, ``program`` puts the file together with ``runtime``; ``write`` makes and tries the folder,
``read`` loads it.
"""

from raynas.export.errors import ExportError
from raynas.export.read import load, load_model
from raynas.export.write import Export, export_model

__all__ = ["Export", "ExportError", "export_model", "load", "load_model"]
