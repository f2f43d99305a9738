"""Shapes without declarations: the input, output and number of parameters of every operation of a network.

Each operation is built once on the ``meta`` device and run on a batch of two. The answer is remembered by (class,
arguments, input shape, dtype), so a second network that uses the operation costs microseconds per layer. Shapes are
those of one sample, without the batch dimension.

A network may have several inputs, by their names: the first operations then get a dictionary of tensors, of which
``raynas.blocks.Pick`` takes one. Within this module the shapes of such a dictionary are a tuple of pairs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from raynas.errors import SpaceError
from raynas.space.network.pruning import live_nodes
from raynas.space.template.graph import Concat, Graph
from raynas.space.template.nodes import Part
from raynas.space.template.operation import Op
from raynas.space.template.paths import below, edge_path
from raynas.space.template.signature import FROM_SHAPE, constructor
from raynas.space.template.structure import Chain
from raynas.space.walk.fill import Network

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]

#: A batch of two, since batch normalisation in training mode wants more than one value per channel.
BATCH = 2


@dataclass(frozen=True)
class Layer:
    """One operation in its place.

    Attributes:
        path: the module's path: the prefix of its parameters' names in the built network.
        op: the operation, with literal arguments as written.
        arguments: the constructor's arguments, with those filled from the shape.
        in_shape, out_shape: of one sample, without the batch dimension.
        in_dtype, out_dtype: of the tensors that reach and leave it.
        params: how many parameters it has (scalars).
    """

    path: str
    op: Op
    arguments: dict[str, Any]
    in_shape: Shape
    out_shape: Shape
    in_dtype: torch.dtype
    out_dtype: torch.dtype
    params: int


@dataclass(frozen=True)
class _Answer:
    arguments: dict[str, Any]
    shape: Shape
    dtype: Any
    params: int
    error: str | None = None


_MEMO: OrderedDict[Any, _Answer] = OrderedDict()  # a cache, and no more: oldest first
_MEMO_SIZE = 50_000
_limit: float | None = None  # state: see time_limit


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """While inside, an operation that is not built and run within ``seconds`` is refused (None: it has no limit).

    Such an operation is left to a thread that is not waited for: Python cannot end it.
    """
    global _limit
    before, _limit = _limit, seconds
    try:
        yield
    finally:
        _limit = before


def layers(network: Network, input_shape: Any, dtype: Any = None) -> list[Layer]:
    """The operations of a network in the order in which they run.

    Args:
        network: a filled template.
        input_shape: the shape of one sample, as (C, H, W); of several inputs, that of each by its name.
        dtype: of the input, a ``torch.dtype`` or its name; float32 unless given (token sequences: ``torch.int64``). Of
            several inputs, that of each by its name.

    Raises:
        SpaceError: an operation cannot be built or does not take its input; the message names its path, its arguments,
            the input's shape, and holds torch's words.
    """
    return trace(network, input_shape, dtype)[0]


def output_shape(network: Network, input_shape: Any, dtype: Any = None) -> Shape:
    """The shape of what the network yields for one sample. Arguments and errors as for :func:`layers`."""
    return trace(network, input_shape, dtype)[1]


def trace(network: Network, input_shape: Any, dtype: Any = None) -> tuple[list[Layer], Shape]:
    """Both: the layers, and the output's shape."""
    flow = _Flow()
    shape, _ = flow.part("", network.root, _signal(input_shape, dtype))
    return flow.layers, shape


def _signal(shape: Any, dtype: Any) -> tuple[Any, Any]:
    """What enters a network, hashable."""
    import torch

    def of(one: Any) -> torch.dtype:
        return getattr(torch, one) if isinstance(one, str) else one or torch.float32

    if not isinstance(shape, Mapping):
        return tuple(shape), of(dtype)
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(shape, dtype)
    return tuple((name, tuple(one)) for name, one in shape.items()), tuple(of(dtypes.get(name)) for name in shape)


def is_named(shape: Any) -> bool:
    """Whether a shape, as layers have it, is that of several inputs by their names."""
    return bool(shape) and isinstance(shape[0], tuple)


def example(make: Callable[..., torch.Tensor], batch: int, shape: Any, dtype: Any, device: str) -> Any:
    """A batch of a shape, as layers have it: a tensor, or several by their names.

    Args:
        make: ``torch.zeros`` or ``torch.ones``.
    """
    if not is_named(shape):
        return make((batch, *shape), dtype=dtype, device=device)
    return {
        name: make((batch, *one), dtype=kind, device=device) for (name, one), kind in zip(shape, dtype, strict=True)
    }


class _Flow:
    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def part(self, path: str, part: Part | None, signal: tuple[Shape, Any]) -> tuple[Shape, Any]:
        if isinstance(part, Op):
            answer = _look_up(path, part, *signal)
            self.layers.append(
                Layer(path, part, answer.arguments, signal[0], answer.shape, signal[1], answer.dtype, answer.params)
            )
            return answer.shape, answer.dtype
        if isinstance(part, Chain):
            for name, child in part.parts:
                signal = self.part(below(path, name), child, signal)
            return signal
        if isinstance(part, Graph):
            return self.graph(path, part, signal)
        return signal

    def graph(self, path: str, graph: Graph, signal: tuple[Shape, Any]) -> tuple[Shape, Any]:
        signals = {graph.input: signal}
        for name, merge, edges in live_nodes(graph):
            arrived = [self.part(edge_path(path, name, edge), edge.part, signals[edge.sources[0]]) for edge in edges]
            if any(is_named(shape) for shape, _ in arrived):
                raise SpaceError(
                    f"{below(path, name)}: several named inputs arrive where one tensor is needed; begin each edge "
                    "from them with op(Pick, NAME) (raynas.blocks)"
                )
            described = ", ".join(
                f"{edge.label}: {tuple(shape)}" for edge, (shape, _) in zip(edges, arrived, strict=True)
            )
            if isinstance(merge, Concat):
                signals[name] = _joined(below(path, name), merge.dim, arrived, described)
            elif any(shape != arrived[0][0] for shape, _ in arrived):
                raise SpaceError(
                    f"{below(path, name)}: cannot add edges of unequal shapes ({described}); "
                    "let the operations on the edges yield one shape"
                )
            else:
                signals[name] = arrived[0][0], _promote([kind for _, kind in arrived])
        return signals.get(graph.output, signal)


def _joined(path: str, dim: int, arrived: list[tuple[Shape, Any]], described: str) -> tuple[Shape, Any]:
    shapes = [shape for shape, _ in arrived]
    rank = len(shapes[0])
    index = dim - 1 if dim > 0 else dim + rank  # sample shapes have no batch dimension
    rests = {(len(shape), shape[:index], shape[index + 1 :]) for shape in shapes}
    if not 0 <= index < rank or len(rests) != 1:
        raise SpaceError(
            f"{path}: cannot join edges along dimension {dim} ({described}); all other dimensions must be equal"
        )
    joined = (*shapes[0][:index], sum(shape[index] for shape in shapes), *shapes[0][index + 1 :])
    return joined, _promote([kind for _, kind in arrived])


def _promote(kinds: list[Any]) -> Any:
    import torch

    kind = kinds[0]
    for other in kinds[1:]:
        kind = torch.promote_types(kind, other)
    return kind


def arguments_for(op: Op, shape: Shape) -> dict[str, Any]:
    """The constructor's arguments: those given, and those filled from the input's shape."""
    arguments = op.kwargs
    for name in constructor(op.cls).from_shape:
        if is_named(shape):
            if name not in arguments and FROM_SHAPE[name] == "whole":
                named: Any = shape
                arguments[name] = dict(named)
        elif name not in arguments and shape:
            rule = FROM_SHAPE[name]
            arguments[name] = tuple(shape) if rule == "whole" else shape[0] if rule == "first" else shape[-1]
    return arguments


def _look_up(path: str, op: Op, shape: Shape, dtype: Any) -> _Answer:
    key = (op, shape, dtype)
    answer = _MEMO.get(key)
    if answer is None:
        answer = _MEMO[key] = _measure(op, shape, dtype)
        if len(_MEMO) > _MEMO_SIZE:
            _MEMO.popitem(last=False)
    if answer.error is not None:
        raise SpaceError(f"{path}: {_describe(op, answer.arguments)} {answer.error}")
    return answer


def _describe(op: Op, arguments: dict[str, Any]) -> str:
    return f"{op.cls.__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _measure(op: Op, shape: Shape, dtype: Any) -> _Answer:
    import torch

    arguments = arguments_for(op, shape)
    try:
        try:
            return _timed(op, arguments, shape, dtype, "meta")
        except Exception as error:
            # What looks at values (``.item()``, a mask) cannot run on meta tensors; it can on real ones.
            if not isinstance(error, NotImplementedError) and "meta" not in str(error).lower():
                raise
            with torch.random.fork_rng(devices=[]):
                return _timed(op, arguments, shape, dtype, "cpu")
    except _Refused as refusal:
        return _Answer(arguments, shape, dtype, 0, error=str(refusal))
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        return _Answer(arguments, shape, dtype, 0, error=f"cannot take {_inputs_of(shape)}: {words[:400]}")


def _inputs_of(shape: Any) -> str:
    if not is_named(shape):
        return f"an input of shape {shape}"
    return f"the inputs {', '.join(f'{name} {one}' for name, one in shape)} (op(Pick, NAME) takes one of them)"


def _on_zeros_or_ones(module: torch.nn.Module, shape: Shape, dtype: Any, device: str) -> Any:
    """What a module yields, without gradients, for an input of zeros; of ones where it does not take zeros.

    A network that looks at values may refuse zeros: a sequence of nothing but padding has no length.
    """
    import torch

    with torch.no_grad():
        try:
            return module(example(torch.zeros, BATCH, shape, dtype, device))
        except Exception:
            if device == "meta":
                raise
            try:
                return module(example(torch.ones, BATCH, shape, dtype, device))
            except Exception:
                pass
            raise


class _Refused(Exception):
    """An operation that runs, but does not behave as an operation of a network must."""


def _timed(op: Op, arguments: dict[str, Any], shape: Shape, dtype: Any, device: str) -> _Answer:
    """``_run``, within the time limit where there is one."""
    if _limit is None:
        return _run(op, arguments, shape, dtype, device)
    ended: Queue[_Answer | BaseException] = Queue()

    def run() -> None:
        try:
            ended.put(_run(op, arguments, shape, dtype, device))
        except BaseException as error:
            ended.put(error)

    Thread(target=run, daemon=True).start()
    try:
        answer = ended.get(timeout=_limit)
    except Empty:
        raise _Refused(
            f"was not built and run on an input of shape {shape} within the limit of {_limit:g} s; "
            "raise --trial-timeout if it should have longer"
        ) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _run(op: Op, arguments: dict[str, Any], shape: Shape, dtype: Any, device: str) -> _Answer:
    import torch

    with torch.device(device):
        module = op.cls(**arguments)
    module = module.to(device).eval()  # eval: no running statistics are touched
    params = sum(parameter.numel() for parameter in module.parameters())
    output = _on_zeros_or_ones(module, shape, dtype, device)
    if not isinstance(output, torch.Tensor):
        raise _Refused(
            f"yields a {type(output).__name__} for an input of shape {shape}; an operation yields one tensor: "
            "wrap it in a module that picks it"
        )
    if output.dim() == 0 or output.shape[0] != BATCH:
        raise _Refused(
            f"turns an input of shape {(BATCH, *shape)} into {tuple(output.shape)}; the first dimension is the batch "
            "and must stay"
        )
    return _Answer(arguments, tuple(output.shape[1:]), output.dtype, params)
