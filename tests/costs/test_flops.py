"""FLOPs against closed forms; multiply-adds count as two."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

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
