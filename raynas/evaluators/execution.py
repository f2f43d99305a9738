"""How the arithmetic is done: number format, memory layout, compilation. Measured once a search, then kept.

What is fastest depends on the processor (bfloat16 units, cache lines) and on the networks, so it is timed rather than
looked up. It changes results in the last digits, so all trials of a search, also after a resume, do it in one way:
the decision is a value that travels with the search. Only a network that cannot do it so (a block without bfloat16,
one that wants its inputs contiguous) is trained in another way.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from raynas.errors import UserError
from raynas.tasks.data import Inputs, each

Precision = Literal["fp32", "bf16"]
Asked = Literal["auto", "fp32", "bf16"]
Layout = Literal["contiguous", "channels_last"]

#: So much faster must another way be than plain fp32, to be worth its rounding or its copies.
WORTH_IT = 1.1
#: A way that takes so many times the least time on a few samples is not timed any further.
HOPELESS = 3.0
#: A way that takes so many times the least time after two rounds is not timed any further.
BEHIND = 1.25
_ROUNDS = 4
_SECONDS = 4.0  # after so long each part ends with what it has
_ROUND_SECONDS = 0.8  # a step in each way takes about so long together


@dataclass(frozen=True)
class Execution:
    """A way of doing the arithmetic.

    Args:
        precision: ``"bf16"``: convolutions and matrix products in bfloat16 (autocast); weights, optimizer and losses
            stay in float32.
        layout: ``"channels_last"``: images as (N, H, W, C) in memory.
        compile: whether networks are compiled (``torch.compile``). It costs each architecture a minute or so, and pays
            for long trainings on a GPU only; it is never chosen by itself.

    Raises:
        UserError: a value that is not known.
    """

    precision: Precision = "fp32"
    layout: Layout = "contiguous"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, ("fp32", "bf16")),
            ("layout", self.layout, ("contiguous", "channels_last")),
            ("compile", self.compile, (False, True)),
        ):
            if value not in known:
                raise UserError(f"{name} {value!r} is not known; it is one of {', '.join(map(str, known))}")

    @staticmethod
    def of(values: Mapping[str, Any]) -> Execution:
        """From plain values, as :meth:`to_json` gave them.

        Raises:
            UserError: a name or a value that is not known.
        """
        known = [field.name for field in fields(Execution)]
        for name in values:
            if name not in known:
                raise UserError(f"{name!r} is no part of how arithmetic is done; there are: {', '.join(known)}")
        return Execution(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a journal."""
        return asdict(self)

    def place(self, model: nn.Module, device: str) -> nn.Module:
        """A network (changed in place) on its device, in the layout."""
        if self.layout == "channels_last":
            return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.to(device)

    def arrange(self, inputs: Inputs) -> Inputs:
        """A batch (one tensor, or several by their names) in the layout; what is no images stays as it is."""
        return inputs if self.layout == "contiguous" else each(_channels_last, inputs)

    def autocast(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks run forward."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(device).type, torch.bfloat16)


def _channels_last(inputs: Tensor) -> Tensor:
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs


def has_bf16(device: str) -> bool:
    """Whether a device has instructions for bfloat16. It is emulated on others, at up to 47 times float32's time."""
    kind = torch.device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False  # MPS: autocast and layouts differ from release to release
    if platform.machine().lower() in ("aarch64", "arm64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):  # also where the environment says so
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def candidates(device: str, precision: Asked = "auto") -> list[Execution]:
    """What may be tried on a device, plain float32 first.

    Args:
        precision: what the person asked for.

    Raises:
        UserError: the device has no such number format.
    """
    if torch.device(device).type not in ("cpu", "cuda"):
        if precision == "bf16":
            raise UserError(f"precision 'bf16' is for the devices cpu and cuda, and trials use {device}; give fp32")
        return [Execution()]
    if precision == "bf16" and not has_bf16(device):
        return [Execution("bf16")]
    precisions: list[Precision] = [precision] if precision != "auto" else ["fp32", "bf16"]
    if not has_bf16(device) and precision == "auto":
        precisions = ["fp32"]
    ways = [Execution(precision, layout) for precision in precisions for layout in ("contiguous", "channels_last")]
    if device == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        # There oneDNN writes past its memory in the backward pass of a strided 1x1 convolution of fewer than 8 float32
        # channels stored pixel by pixel (torch 2.13: "corrupted double-linked list").
        ways = [way for way in ways if way != Execution("fp32", "channels_last")]
    return ways


def usable(
    try_out: Callable[[Execution], Callable[[], float]], ways: Sequence[Execution]
) -> tuple[dict[Execution, float], dict[Execution, Exception]]:
    """The ways that are worth timing: those which work, and are not far slower than another on a few samples.

    Each does a small step twice, since the first one compiles kernels; a way whose first step is far slower than
    another's is dropped at once. No further way is tried once the time is up.

    Args:
        try_out: gives a function that does a small step in the given way, and gives its seconds.

    Returns:
        The ways and the seconds of their small step, the first way among them if it works; and of those that failed,
        with what.
    """
    firsts: list[float] = []
    seconds: dict[Execution, float] = {}
    failures: dict[Execution, Exception] = {}
    begun = time.perf_counter()
    for way in ways:
        if seconds and time.perf_counter() - begun > _SECONDS / 2:
            break
        try:
            step = try_out(way)
            first = step()
            if firsts and first > HOPELESS * min(firsts):
                continue
            seconds[way] = step()
            firsts.append(first)
        except Exception as error:
            failures[way] = error
    limit = HOPELESS * min(seconds.values(), default=0.0)
    return {way: spent for way, spent in seconds.items() if way == ways[0] or spent <= limit}, failures


def rows_to_time(seconds: Mapping[Execution, float], few: int, batch_size: int, device: str) -> int:
    """How many samples a step that is timed has: a whole batch where it is short, fewer where it is long.

    On a GPU it is always a whole batch: a small one says nothing there.

    Args:
        seconds: of a step of ``few`` samples in each way.
    """
    if device != "cpu":
        return batch_size
    return min(batch_size, max(few, int(few * _ROUND_SECONDS / max(1e-9, sum(seconds.values())))))


def fastest(
    step_of: Callable[[Execution], Callable[[], None]], device: str, ways: Sequence[Execution] | None = None
) -> Execution:
    """The way in which a training step takes the least time; the first unless another gains a tenth.

    The ways take turns, and the best time of each counts: what else runs on the machine hits all alike. After two
    rounds a way that lies behind clearly is dropped, and the timing ends as soon as one way is left.

    Args:
        step_of: gives a function that does one training step in the given way.
        device: what the steps run on.
        ways: what to choose from (default: ``candidates``, plain float32 first).
    """
    ways = candidates(device) if ways is None else ways
    if len(ways) == 1:
        return ways[0]
    steps = {way: step_of(way) for way in ways}
    best = dict.fromkeys(ways, float("inf"))
    begun = time.perf_counter()
    for round_ in range(_ROUNDS):
        for way, step in steps.items():
            before = time.perf_counter()
            step()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            best[way] = min(best[way], time.perf_counter() - before)
        if round_ == 0:
            continue  # it warms caches and compiles kernels
        limit = BEHIND * min(best.values())
        steps = {way: step for way, step in steps.items() if best[way] <= limit * (WORTH_IT if way == ways[0] else 1)}
        if len(steps) == 1 or time.perf_counter() - begun > _SECONDS:
            break
    winner = min(ways, key=best.__getitem__)
    return winner if best[ways[0]] >= WORTH_IT * best[winner] else ways[0]
