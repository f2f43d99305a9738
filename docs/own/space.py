"""A search space of your own, to start from. Try it:  raynas describe space.py:convnet

A space is a template with holes. A hole (Choice, Int, Float, Repeat) can stand wherever a value, an operation or a
whole part could. Its path says where it stands (``stages.0.conv.out_channels``). It has a default: the first option,
unless you say otherwise. All defaults together are the hand-made network that every search tries first.
"""

from torch import nn

from raynas.space import Chain, Choice, Float, Graph, Int, Repeat, Space, Sum, Zero, op


class Gate(nn.Module):
    """You can use any module at the top level of a file, with named arguments, one tensor in and one out.

    ``in_channels`` (also ``in_features``, ``num_features``, …, or ``in_shape``) is filled from the tensor that arrives.
    """

    def __init__(self, in_channels: int, reduction: int = 4):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, max(1, in_channels // reduction), 1)
        self.excite = nn.Conv2d(max(1, in_channels // reduction), in_channels, 1)

    def forward(self, x):
        scale = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu())
        return x * scale.sigmoid()


def convnet(task) -> Space:
    """The first sentence of the docstring is what ``raynas spaces`` shows. ``task``: its input_shape, num_classes."""
    # task.affordable_flops is what a trial can afford, if a search with a limit on time has measured it (else None).
    # A space may choose its default and its widths by it, as resnet does.
    #
    # A hole with a name is one hole wherever it is used, so the whole network has one activation.
    act = Choice(op(nn.ReLU), op(nn.SiLU), op(nn.GELU), name="activation")

    # Parts in order. Each has a name, with which its parameters' names begin in the built network.
    stage = Chain(
        conv=op(nn.Conv2d, out_channels=Choice(16, 24, 32), kernel_size=Choice(3, 5), padding="same", bias=False),
        norm=op(nn.BatchNorm2d),
        act=act,
        # A choice between whole parts is possible, too.
        gate=Choice({"none": op(nn.Identity), "gate": op(Gate, reduction=Choice(2, 4, 8))}),
    )
    # A graph: each node merges what arrives on its edges. Zero is an absent edge.
    mix = Graph(
        {
            "a": Sum(("input", Choice({"conv": op(nn.Conv2d, out_channels=16, kernel_size=1), "pool": pool()}))),
            "out": Sum(("input", Choice({"skip": op(nn.Identity), "none": Zero()})), "a"),
        }
    )
    return Space(
        stages=Repeat(stage, 1, 3, default=2),  # copies are stages.0, stages.1, …, each with holes of its own
        narrow=op(nn.Conv2d, out_channels=16, kernel_size=1),
        mix=mix,
        pool=op(nn.AdaptiveAvgPool2d, output_size=Int(1, 2)),
        flatten=op(nn.Flatten),
        head=op(nn.Linear, out_features=task.num_classes),
        # The training recipe can be searched together with the network.
        recipe={"lr": Float(1e-3, 1e-1, log=True, default=1e-2)},
        name="convnet",
    )


def pool():
    """Templates are plain values: functions may make them."""
    return op(nn.AvgPool2d, kernel_size=3, stride=1, padding=1)
