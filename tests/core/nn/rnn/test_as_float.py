"""Recurrent layers without quantizers beside those of torch."""

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantGRU, QuantLSTM, QuantRNN
from qat.quantizers import Int8WeightPerTensorFloatMSE

IN_FLOAT = dict.fromkeys(("weight_quant", "bias_quant", "io_quant", "gate_acc_quant"))
CELL_IN_FLOAT = dict.fromkeys(("sigmoid_quant", "tanh_quant", "cell_state_quant"))
CASES = {
    "lstm": (QuantLSTM, {}),
    "lstm_two_layers_both_ways": (QuantLSTM, {"num_layers": 2, "bidirectional": True}),
    "lstm_batch_first_no_bias": (QuantLSTM, {"batch_first": True, "bias": False}),
    "gru": (QuantGRU, {}),
    "gru_two_layers_both_ways": (QuantGRU, {"num_layers": 2, "bidirectional": True}),
    "gru_batch_first_no_bias": (QuantGRU, {"batch_first": True, "bias": False}),
    "rnn": (QuantRNN, {}),
    "rnn_relu_two_layers_both_ways": (
        QuantRNN,
        {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True, "batch_first": True},
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def in_float(kind):
    if kind is QuantLSTM:
        return {**IN_FLOAT, **CELL_IN_FLOAT}
    return (
        {**IN_FLOAT, **dict.fromkeys(("sigmoid_quant", "tanh_quant"))}
        if kind is QuantGRU
        else IN_FLOAT
    )


def states(out):
    return out[1] if isinstance(out[1], tuple) else (out[1],)


def assert_same(a, b):
    torch.testing.assert_close(a[0], b[0])
    for first, second in zip(states(a), states(b), strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("shape", [(5, 2, 3), (4, 1, 3), (1, 2, 3), (5, 3)])
def test_without_quantizers_it_computes_what_the_float_layer_does(case, shape):
    kind, arguments = case
    floats = kind.float_class(3, 4, **arguments)
    layer = kind.from_float(floats, **in_float(kind))
    x = torch.randn(shape)
    assert_same(layer(x), floats(x))


@pytest.mark.parametrize("batched", [True, False])
def test_initial_states_are_those_of_the_float_layer(case, batched):
    kind, arguments = case
    floats = kind.float_class(3, 4, **arguments)
    layer = kind.from_float(floats, **in_float(kind))
    batch = (2,) if batched else ()
    first = arguments.get("batch_first", False) and batched
    x = torch.randn(*((2, 5, 3) if first else (5, *batch, 3)))
    directions = 2 if arguments.get("bidirectional") else 1
    count = arguments.get("num_layers", 1) * directions
    given = [torch.randn(count, *batch, 4) for _ in range(2)]
    hx = tuple(given) if kind is QuantLSTM else given[0]
    assert_same(layer(x, hx), floats(x, hx))
    if kind is QuantLSTM:
        assert_same(layer(x, *given), floats(x, hx))


def test_an_empty_batch_gives_an_empty_output(case):
    kind, arguments = case
    layer = kind(3, 4, **arguments)
    x = torch.randn(*((0, 5, 3) if arguments.get("batch_first") else (5, 0, 3)))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    out = layer(x)
    width = 8 if arguments.get("bidirectional") else 4
    assert out[0].shape == (*x.shape[:2], width)
    out[0].sum().backward()
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_gradients_are_those_of_the_float_layer(case):
    kind, arguments = case
    floats = kind.float_class(3, 4, **arguments)
    layer = kind(3, 4, **arguments, **in_float(kind))
    layer.load_state_dict(floats.state_dict())
    x = torch.randn(5, 2, 3)
    for each in (floats, layer):
        each(x)[0].square().sum().backward()
    for (name, a), (other, b) in zip(
        layer.named_parameters(), floats.named_parameters(), strict=True
    ):
        assert name == other
        torch.testing.assert_close(a.grad, b.grad)


def test_parameters_start_as_those_of_the_float_layer(case):
    kind, arguments = case
    torch.manual_seed(3)
    floats = kind.float_class(3, 4, **arguments)
    torch.manual_seed(3)
    layer = kind(3, 4, **arguments)
    assert list(dict(layer.named_parameters()))[: len(floats.state_dict())] == list(
        floats.state_dict()
    )
    for name, parameter in floats.named_parameters():
        assert torch.equal(getattr(layer, name), parameter)


@pytest.mark.parametrize("case", ["rnn", "lstm_batch_first_no_bias"], indirect=True)
def test_float_state_dict_loads_with_missing_quantizers_forgiven(case, monkeypatch):
    kind, arguments = case
    floats = kind.float_class(3, 4, **arguments)
    layer = kind(3, 4, **arguments, weight_quant=Int8WeightPerTensorFloatMSE)
    with pytest.raises(RuntimeError, match="Missing key.*io_quant.tensor_quant"):
        layer.load_state_dict(floats.state_dict())
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    layer.load_state_dict(floats.state_dict())
    fresh = kind.from_float(floats, weight_quant=Int8WeightPerTensorFloatMSE)
    for name, direction in layer.layers.items():
        for gate, weight in direction.weights.items():
            other = fresh.layers[name].weights[gate]
            assert torch.equal(weight.weight, other.weight)
            assert torch.equal(weight.weight_quant.scale(), other.weight_quant.scale())
    without = {k: v for k, v in floats.state_dict().items() if k != "weight_hh_l0"}
    with pytest.raises(RuntimeError, match="weight_hh_l0"):
        layer.load_state_dict(without)


def test_without_quantizers_the_state_dict_has_the_keys_of_the_float_layer(case):
    kind, arguments = case
    layer = kind(3, 4, **arguments, **in_float(kind))
    assert list(layer.state_dict()) == list(kind.float_class(3, 4, **arguments).state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_from_float_shares_parameters_and_mode(case, training):
    kind, arguments = case
    floats = kind.float_class(3, 4, **arguments).train(training)
    layer = kind.from_float(floats, io_bit_width=4)
    assert all(getattr(layer, name) is p for name, p in floats.named_parameters())
    assert all(module.training is training for module in layer.modules())
    assert layer.io_quant.bit_width() == 4


def test_dropout_falls_between_layers_in_training_alone():
    layer = QuantRNN(3, 4, 2, dropout=1.0, bias=False, **IN_FLOAT)
    x = torch.randn(5, 2, 3)
    assert torch.equal(layer(x)[0], torch.zeros(5, 2, 4))
    assert layer(x)[1][0].abs().sum() > 0
    floats = nn.RNN(3, 4, 2, bias=False)
    floats.load_state_dict(layer.state_dict())
    assert_same(layer.eval()(x), floats(x))


def test_dropout_keeps_the_scale_that_biases_follow():
    layer = QuantRNN(3, 4, 2, dropout=0.5, bidirectional=True)
    out, _ = layer(torch.randn(3, 2, 3))
    out.sum().backward()
    assert torch.isfinite(out).all()


# Coupled gates and shared weights, which torch does not have


def test_coupled_gates_leave_out_the_rows_of_the_forget_gate():
    floats = nn.LSTM(3, 4)
    loaded = QuantLSTM(3, 4, coupled_input_forget_gates=True, **in_float(QuantLSTM))
    loaded.load_state_dict(floats.state_dict())
    made = QuantLSTM.from_float(floats, coupled_input_forget_gates=True, **in_float(QuantLSTM))
    for name, parameter in floats.named_parameters():
        rows = torch.cat([parameter[:4], parameter[8:]])
        assert torch.equal(getattr(loaded, name), rows)
        assert torch.equal(getattr(made, name), rows)
    again = QuantLSTM(3, 4, coupled_input_forget_gates=True, **in_float(QuantLSTM))
    again.load_state_dict(loaded.state_dict())
    x = torch.randn(5, 2, 3)
    assert_same(again(x), loaded(x))


def test_coupled_gates_equal_a_float_layer_with_the_opposite_forget_gate():
    # 1 - sigmoid(z) = sigmoid(-z)
    layer = QuantLSTM(3, 4, coupled_input_forget_gates=True, **in_float(QuantLSTM))
    floats = nn.LSTM(3, 4)
    with torch.no_grad():
        for name, parameter in floats.named_parameters():
            own = getattr(layer, name)
            parameter.copy_(torch.cat([own[:4], -own[:4], own[4:]]))
    x = torch.randn(5, 2, 3)
    assert_same(layer(x), floats(x))


def test_shared_input_weights_load_from_equal_ones_and_from_no_others():
    floats = nn.LSTM(3, 4, bidirectional=True)
    arguments = {"bidirectional": True, "shared_input_hidden_weights": True, **in_float(QuantLSTM)}
    layer = QuantLSTM(3, 4, **arguments)
    with pytest.raises(RuntimeError, match="weight_ih_l0 and weight_ih_l0_reverse differ"):
        layer.load_state_dict(floats.state_dict())
    with pytest.raises(ValueError, match="QuantLSTM: weight_ih_l0 and weight_ih_l0_reverse differ"):
        QuantLSTM.from_float(floats, shared_input_hidden_weights=True)
    with torch.no_grad():
        floats.weight_ih_l0_reverse.copy_(floats.weight_ih_l0)
    layer.load_state_dict(floats.state_dict())
    x = torch.randn(5, 2, 3)
    assert_same(layer(x), floats(x))
    assert "weight_ih_l0_reverse" not in layer.state_dict()
    again = QuantLSTM(3, 4, **arguments)
    again.load_state_dict(layer.state_dict())
    assert_same(again(x), floats(x))
