"""The template language: a search space is a template with holes; an architecture fills every hole.

A space is written with a few kinds of node (operations, chains, repeats, graphs) and of hole (``Choice``, ``Int``,
``Float``, the depth of a repeat). A hole can stand wherever a value or a part could:

>>> import random
>>> from torch import nn
>>> from raynas.space import Choice, Float, Repeat, Space, op
>>> space = Space(
...     flatten=op(nn.Flatten),
...     body=Repeat(op(nn.Linear, out_features=Choice(8, 16)), 1, 3),
...     act=Choice(nn.ReLU, nn.Tanh),
...     head=op(nn.Linear, out_features=10),
... )
>>> space.size()
28
>>> space.default()
Architecture({'body.depth': 1, 'body.0.out_features': 8, 'act': 'relu'})
>>> architecture = space.replay({"body.depth": 1, "body.0.out_features": 16, "act": "tanh"})
>>> space.short_name(architecture)
'body.0.out_features=16 act=tanh'
>>> space.build(architecture, input_shape=(1, 8, 8))
Sequential(
  (flatten): Flatten(start_dim=1, end_dim=-1)
  (body): Sequential(
    (0): Linear(in_features=64, out_features=16, bias=True)
  )
  (act): Tanh()
  (head): Linear(in_features=16, out_features=10, bias=True)
)

The language itself does not import torch. Only building a module and finding shapes do, when they are called.
"""

from raynas.space.space import Space
from raynas.space.template.choice import Choice
from raynas.space.template.graph import Concat, Graph, Sum
from raynas.space.template.holes import Float, Int
from raynas.space.template.operation import Op, Zero, op
from raynas.space.template.structure import Chain, Repeat
from raynas.space.walk.architecture import Architecture
from raynas.space.walk.fill import Network, fill

__all__ = [
    "Architecture",
    "Chain",
    "Choice",
    "Concat",
    "Float",
    "Graph",
    "Int",
    "Network",
    "Op",
    "Repeat",
    "Space",
    "Sum",
    "Zero",
    "fill",
    "op",
]
