"""The one file of an export: the network, the blocks that it is made of, and a ``main`` that predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raynas.export.collect import Collection
from raynas.export.network import NetworkSource
from raynas.space.walk.fill import Network

_RUNTIME = "raynas.export.runtime"
NETWORK = "Network"

_LOAD = '''
def load(folder: str | {Path} = {HERE}) -> Network:
    """The network with its trained weights, in eval mode."""
    network = Network()
    network.load_state_dict({load_file}({Path}(folder) / "model.safetensors"))
    return network.eval()
'''

_MAIN = """
if __name__ == "__main__":
    sys.exit({main}(load()))
"""

_MAIN_WITHOUT_IMAGES = """
if __name__ == "__main__":
    print(load())
"""


@dataclass(frozen=True)
class Program:
    """An exported file's text, and the installed packages that it needs besides torch, Pillow and safetensors."""

    text: str
    needs: Mapping[str, str]


def write_program(
    network: Network,
    input_shape: Any,
    title: str,
    about: list[str],
    images: bool,
    input_dtype: Any = None,
) -> Program:
    """The text of ``model.py``.

    Args:
        network: the filled template.
        input_shape: of one sample, without the batch; of several inputs, that of each by its name.
        title: the file's first line.
        about: lines that follow it.
        images: whether the network takes images, so that the file can predict on image files.
        input_dtype: of an input, as torch names it (None: float32).

    Raises:
        ExportError: the source of a module cannot be copied.
    """
    collection = Collection(frozenset({NETWORK, "load", "network", "folder"}))
    future = "from __future__ import annotations"
    path = collection.add_import("pathlib", "Path")
    load_file = collection.add_import("safetensors.torch", "load_file")
    here = collection.add(_RUNTIME, "HERE")
    main: Any = None
    if images:
        main = collection.add(_RUNTIME, "main")
        collection.add_import("sys")
    source = NetworkSource(collection, network, input_shape, input_dtype)
    collection.settle()
    load = _LOAD.format(Path=path, HERE=here, load_file=load_file)
    ends = _MAIN.format(main=main) if images else _MAIN_WITHOUT_IMAGES
    outputs = ", ".join(map(str, ("N", *source.output_shape)))
    needs = "".join(f" and {package}" for package in collection.needs)
    usage = ["", "    python model.py image.png", "", f"It needs torch, safetensors and Pillow{needs}, nothing else."]
    words = [title, "", *about, *(usage if images else ["", f"It needs torch and safetensors{needs}, nothing else."])]
    pieces = [
        '"""' + "\n".join(words) + '\n"""\n',
        future + "\n\n" + "\n".join(collection.imports()) + "\n",
        "\n" + source.text(NETWORK, f"From {_inputs(input_shape, input_dtype)} to outputs of shape ({outputs})."),
    ]
    blocks = collection.definitions(without=frozenset({_RUNTIME}))
    if blocks:
        pieces.append("\n" + blocks)
    head = "# How it is loaded and used" if images else "# How it is loaded"
    pieces += ["\n" + head + "\n\n" + collection.definitions(only=frozenset({_RUNTIME})), load, ends]
    return Program("\n".join(piece.rstrip("\n") + "\n" for piece in pieces), collection.needs)


def _inputs(shape: Any, dtype: Any) -> str:
    """What goes in, in words."""
    if isinstance(shape, Mapping):
        return "a dictionary with " + " and ".join(
            f'"{name}": {_inputs(one, (dtype or {}).get(name))}' for name, one in shape.items()
        )
    words = "inputs" if dtype in (None, "float32") else f"{dtype} inputs"
    return f"{words} of shape ({', '.join(map(str, ('N', *shape)))})"
