"""torch's SGD and AdamW without torch's compiler.

A plain ``torch.optim`` optimizer imports ``torch._dynamo`` with its first parameter and at every step, only to tell a
compiler, which may be tracing it, to stay away. That import takes as long as torch's own, in every worker, and nothing
here compiles an optimizer: a compiled network's step runs outside of what is compiled. These classes call the same
functions without those wrappers, so they do the same arithmetic. Where a release of torch has no such wrapper, they are
torch's own.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


class SGD(torch.optim.SGD):
    """``torch.optim.SGD``, see above."""

    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)
    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class AdamW(torch.optim.AdamW):
    """``torch.optim.AdamW``, see above."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
