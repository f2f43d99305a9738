"""A cost of your own, to start from. Try it:  raynas search mlp --cost cost.py:Activations --trials 4 --epochs 2

A cost is known before a network is trained: it follows from the layers, or is measured in milliseconds. A search writes
it down with every proposal. With --constraint "activation_bytes<=2k" a network that needs more is never trained.
"""

from math import prod

from raynas.costs import CostModel, layer_costs


class Activations(CostModel):
    """The memory that a network's activations need when it runs: of the layer where most is held at once.

    Args:
        bytes_per_value: 4 for float32, 1 for int8. A search that is given the class makes it without arguments, so each
            has a default; an object with other ones is named in the same way: cost.py:small.
    """

    metrics = ("activation_bytes",)  # what measure() gives; the name says the unit

    def __init__(self, bytes_per_value: int = 4):
        self.bytes_per_value = bytes_per_value

    def measure(self, network, input_shape, dtype=None):
        """One sample's figures. The same network must get the same ones every time, within milliseconds.

        ``layer_costs`` lists the network's layers in the order in which they run: path, kind, params, flops, in_shape,
        out_shape. Raise ``raynas.costs.CostError("why")`` where a network has no such figure; under a constraint on it,
        that network is then not proposed.
        """
        layers = layer_costs(network, input_shape, dtype)
        most = max(prod(layer.in_shape) + prod(layer.out_shape) for layer in layers)
        return {"activation_bytes": self.bytes_per_value * most}


small = Activations(bytes_per_value=1)
