"""FLOPs against closed forms; multiply-adds count as two."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

from raynas.costs import products
from raynas.costs.flops import forward_flops

DEVICES = ["meta", "cpu"]


def count(module: nn.Module, *shapes: tuple[int, ...], device: str) -> int:
    return forward_flops(module.to(device).eval(), *(torch.zeros(shape, device=device) for shape in shapes))


@pytest.mark.parametrize("device", DEVICES)
def test_linear_and_convolutions(device: str) -> None:
    assert count(nn.Linear(7, 5), (3, 7), device=device) == 2 * 3 * 7 * 5
    assert count(nn.Conv2d(4, 6, 3, padding=1), (1, 4, 8, 9), device=device) == 2 * (8 * 9) * 6 * 4 * 9
    assert count(nn.Conv2d(4, 8, 5, stride=2, groups=4), (1, 4, 9, 9), device=device) == 2 * (3 * 3) * 8 * 1 * 25
    assert count(nn.Conv1d(2, 3, 4), (1, 2, 10), device=device) == 2 * 7 * 3 * 2 * 4


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_not_a_product_costs_nothing(device: str) -> None:
    module = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten())
    assert count(module, (1, 4, 8, 8), device=device) == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("cls", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers(cls: type[nn.RNNBase], gates: int, batch_first: bool, device: str) -> None:
    one = cls(6, 10, batch_first=batch_first)
    shape = (2, 7, 6) if batch_first else (7, 2, 6)
    assert count(one, shape, device=device) == 2 * 2 * 7 * gates * 10 * (6 + 10)
    # Two layers in two directions: the second sees both directions' outputs.
    deep = cls(6, 10, num_layers=2, bidirectional=True, batch_first=batch_first)
    a_step = 2 * gates * 10 * (6 + 10) + 2 * gates * 10 * (20 + 10)
    assert count(deep, shape, device=device) == 2 * 2 * 7 * a_step


@pytest.mark.parametrize("device", DEVICES)
def test_an_lstm_with_projection(device: str) -> None:
    lstm = nn.LSTM(6, 10, proj_size=3, batch_first=True)
    assert count(lstm, (1, 7, 6), device=device) == 2 * 7 * (4 * 10 * (6 + 3) + 10 * 3)


class Recurrent(nn.Module):
    """Uses all that a recurrent layer returns, as a user's module may."""

    def __init__(self, cls: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn = cls(6, 10, num_layers=2, bidirectional=True)
        self.head = nn.Linear(20, 4)

    def forward(self, x: Tensor) -> Tensor:
        output, state = self.rnn(x)
        hidden = state[0] if isinstance(state, tuple) else state
        assert hidden.shape == (4, x.shape[1], 10)
        return self.head(output[-1])


@pytest.mark.parametrize("cls", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_module_around_a_recurrent_layer_and_that_it_is_left_as_it_was(cls: type[nn.RNNBase]) -> None:
    module = Recurrent(cls)
    x = torch.randn(5, 1, 6)
    before = module(x)
    alone = count(module.rnn, (5, 1, 6), device="cpu")
    assert count(module, (5, 1, 6), device="cpu") == alone + 2 * 20 * 4
    assert torch.equal(module(x), before)


class Shapes(nn.Module):
    """Notes the shapes of all that an LSTM returns."""

    def __init__(self, inner: nn.LSTM) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[tuple[torch.Size, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        output, (hidden, cell) = self.inner(x)
        self.seen.append((output.shape, hidden.shape, cell.shape))
        return output


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("shape", [(3, 7, 6), (7, 6)])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("arguments", [{}, {"num_layers": 2, "bidirectional": True}, {"proj_size": 4}])
def test_stand_ins_return_what_they_stand_in_for(
    arguments: dict[str, int], batch_first: bool, shape: tuple[int, ...]
) -> None:
    module = Shapes(nn.LSTM(6, 10, batch_first=batch_first, **arguments))
    module(torch.zeros(shape))
    count(module, shape, device="cpu")
    count(module, shape, device="meta")
    real, on_cpu, on_meta = module.seen
    assert real == on_cpu == on_meta


@pytest.mark.parametrize(("cls", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
@pytest.mark.parametrize("device", DEVICES)
def test_recurrent_cells(cls: type[nn.RNNCellBase], gates: int, device: str) -> None:
    assert count(cls(6, 10), (2, 6), device=device) == 2 * 2 * gates * 10 * (6 + 10)


class Attention(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("device", DEVICES)
def test_fused_attention(device: str) -> None:
    q, k, v = (2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)
    heads = 2 * 3
    assert count(Attention(), q, k, v, device=device) == 2 * heads * (5 * 7 * 8 + 5 * 7 * 4)


class SelfAttention(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention(device: str, need_weights: bool) -> None:
    batch, length, width = 3, 5, 16
    projections = 4 * batch * length * width * width  # q, k, v, output
    products = 2 * batch * length * length * width  # all heads together: scores, and the weighted sum
    with torch.no_grad():  # a caller's no_grad must not open the uncounted path
        assert count(SelfAttention(need_weights), (batch, length, width), device=device) == 2 * (projections + products)


@pytest.mark.parametrize("device", DEVICES)
def test_a_transformer_layer(device: str) -> None:
    batch, length, width, inner = 2, 6, 16, 32
    layer = nn.TransformerEncoderLayer(width, 4, inner, batch_first=True)
    attention = 4 * batch * length * width * width + 2 * batch * length * length * width
    feed_forward = 2 * batch * length * width * inner
    assert count(layer, (batch, length, width), device=device) == 2 * (attention + feed_forward)


@pytest.mark.parametrize("device", DEVICES)
def test_a_transformer_layer_that_is_not_trained(device: str) -> None:
    """Without a parameter that needs a gradient, a layer in eval mode takes torch's fused path."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    trained = count(layer, (2, 6, 16), device=device)
    assert count(layer.requires_grad_(False), (2, 6, 16), device=device) == trained > 0
    assert torch.backends.mha.get_fastpath_enabled()


class Calls(nn.Module):
    """A function of the input and of parameters."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(shape)) for shape in shapes])

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs, *self.weights)


#: What is called, shapes of the inputs and of the parameters, and multiply-adds.
PRODUCTS: dict[str, tuple[Any, list[tuple[int, ...]], list[tuple[int, ...]], int]] = {
    "matrix and vector": (torch.matmul, [(3, 5, 8)], [(8,)], 3 * 5 * 8),
    "vector and matrix": (lambda x, w: w @ x, [(8, 5)], [(8,)], 8 * 5),
    "two vectors": (lambda x, w: torch.dot(x[0], w), [(1, 8)], [(8,)], 8),
    "addmv": (lambda x, b, w: torch.addmv(b, x, w), [(5, 8)], [(5,), (8,)], 5 * 8),
    "addbmm": (lambda x, b, w: torch.addbmm(b, x, w), [(3, 5, 8)], [(5, 4), (3, 8, 4)], 3 * 5 * 8 * 4),
    "addmm, in place": (lambda x, w: x.new_zeros(5, 4).addmm_(x, w), [(5, 8)], [(8, 4)], 5 * 8 * 4),
    "matrix and vector, into one": (
        lambda x, w: torch.mv(x, w.detach(), out=x.new_zeros(5)), [(5, 8)], [(8,)], 5 * 8,
    ),
    "bilinear": (functional.bilinear, [(3, 4), (3, 5)], [(6, 4, 5), (6,)], 3 * (6 * 4 * 5 + 6 * 5)),
    "bilinear, sequences": (functional.bilinear, [(3, 7, 4), (3, 7, 5)], [(6, 4, 5)], 21 * (6 * 4 * 5 + 6 * 5)),
    "einsum of three": (
        lambda x, w, v: torch.einsum("bi,ij,bj->b", x, w, v), [(5, 8)], [(8, 6), (5, 6)], 5 * 8 * 6 + 5 * 6,
    ),
    "distances": (torch.cdist, [(5, 8)], [(7, 8)], 5 * 7 * 8),
    "many distances": (torch.cdist, [(50, 8)], [(40, 8)], 50 * 40 * 8),
    "other distances": (lambda x, w: torch.cdist(x, w, p=1.0), [(3, 5, 8)], [(7, 8)], 3 * 5 * 7 * 8),
    "distances of all pairs": (functional.pdist, [(5, 8)], [], 10 * 8),
    "convolution, time first": (lambda x, w, b: torch.conv_tbc(x, w, b, 1), [(9, 2, 4)], [(3, 4, 6), (6,)], 9 * 2 * 72),
    "complex numbers": (lambda x, w: (torch.complex(x, x) @ torch.complex(w, w)).real, [(5, 8)], [(8, 4)], 4 * 160),
    "complex vectors": (lambda x, w: (torch.complex(x, x) @ torch.complex(w, w)).real, [(5, 8)], [(8,)], 4 * 40),
    "outer product": (lambda x, w: torch.einsum("bi,bj->bij", x, w), [(5, 8)], [(5, 6)], 0),
}  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("function", "inputs", "weights", "expected"), PRODUCTS.values(), ids=PRODUCTS.keys())
def test_products_against_closed_forms(
    function: Any, inputs: list[tuple[int, ...]], weights: list[tuple[int, ...]], expected: int, device: str
) -> None:
    assert count(Calls(function, *weights), *inputs, device=device) == 2 * expected


@pytest.mark.parametrize("device", DEVICES)
def test_weighted_bags_of_embeddings(device: str) -> None:
    bag, indices = nn.EmbeddingBag(10, 6, mode="sum").to(device), torch.zeros(4, 3, dtype=torch.int64, device=device)
    assert forward_flops(bag, indices) == 0, "sums are not counted"
    weighted = Calls(lambda at, by: bag(at, per_sample_weights=by))
    assert forward_flops(weighted, indices, torch.zeros(4, 3, device=device)) == 2 * 4 * 3 * 6


class Spectrum(nn.Module):
    """(N, n) → (N, n): an operation whose cost has no formula here, and one that is a person's own."""

    def forward(self, x: Tensor) -> Tensor:
        return own_double(torch.fft.fft(x).real)


@torch.library.custom_op("raynas_tests::double", mutates_args=())
def own_double(x: Tensor) -> Tensor:
    return 2 * x


@own_double.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def test_operations_of_unknown_cost_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(products, "_told", set())
    with caplog.at_level(logging.WARNING, logger="raynas"):
        for _ in range(2):
            assert count(Spectrum(), (2, 8), device="meta") == 0
    assert [record.getMessage() for record in caplog.records] == [
        "FLOPs of Spectrum are too low: the cost of aten::_fft_r2c, raynas_tests::double is not known and counts as 0"
    ]


def test_no_word_on_what_multiplies_no_matrices(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pooling, norms, padding, resampling, sorting, scatter and gather, losses' parts: torch has no tag for these."""
    monkeypatch.setattr(products, "_told", set())

    def mixed(x: Tensor) -> Tensor:
        x = functional.local_response_norm(functional.group_norm(functional.instance_norm(x), 2), 2)
        x = functional.pad(functional.pixel_unshuffle(functional.adaptive_max_pool2d(x, 4), 2), (1, 1, 1, 1), "reflect")
        x = functional.interpolate(functional.interpolate(x, scale_factor=2.0, mode="bilinear"), size=(6, 6))
        x = functional.fold(functional.unfold(x, 3, padding=1), (6, 6), 3, padding=1).cumsum(1).sort(-1)[0]
        x = functional.grid_sample(x, x.new_zeros(1, 4, 4, 2), align_corners=False).flip(1).roll(1).repeat(1, 2, 1, 1)
        x = (
            torch.scatter_add(x, 1, torch.zeros_like(x, dtype=torch.int64), x)
            .tril()
            .index_select(1, x.new_ones(2).long())
        )
        x = functional.glu(functional.embedding(x.new_ones(3).long(), x.reshape(-1, 4)))
        return torch.linalg.norm(x) + functional.rrelu(functional.softmax(x, -1), training=True).topk(1)[0].norm()

    with caplog.at_level(logging.WARNING, logger="raynas"):
        assert count(Calls(mixed), (1, 4, 8, 8), device="meta") == 0
    assert not caplog.records
