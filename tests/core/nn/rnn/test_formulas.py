"""Quantized recurrent layers against their formulas in float64, forward and backward.

In the formulas, rounding passes its gradient, and clamping of learned grids stops it outside.
Thresholds, the largest magnitudes that grids reach, are leaves by the names of their quantizers.
"""

import pytest
import torch

from qat.nn import QuantLSTM, QuantRNN
from qat.quantizers import Int8BiasPerTensorFloatInternalScaling, Int8WeightPerChannelFloat

INPUT, HIDDEN, BATCH, STEPS = 2, 3, 2, 3

SUFFIX = ".tensor_quant.scaling_impl.value"
IO = {"io_scaling_impl_type": "parameter", "io_scaling_const": 0.75}
GATE_ACC = {"gate_acc_scaling_impl_type": "parameter", "gate_acc_scaling_const": 1.5}
#: Thresholds that are learned from here on; narrow enough that some values are clipped.
LEARNED_RNN = {**IO, **GATE_ACC}
LEARNED_LSTM = {
    **LEARNED_RNN,
    **{"sigmoid_scaling_impl_type": "parameter", "sigmoid_scaling_const": 0.7},
    **{"tanh_scaling_impl_type": "parameter", "tanh_scaling_const": 0.8},
    **{"cell_state_scaling_impl_type": "parameter", "cell_state_scaling_const": 0.6},
}


def leaves(layer):
    """Parameters and thresholds of ``layer`` by name, in float64."""
    return {
        name.removesuffix(SUFFIX): p.detach().double().requires_grad_()
        for name, p in layer.named_parameters()
    }


def rounded(x):
    return x + (torch.round(x) - x).detach()


def bounded(x, scale, low, high):
    """On the grid, with the gradient of ``x / scale`` inside and of the bound outside."""
    q = torch.round(x / scale)
    steps = torch.where((q >= low) & (q <= high), x / scale, q.detach())
    return (steps + (q.clamp(low, high) - steps).detach()) * scale


def signed(x, threshold):
    return bounded(x, threshold / 128, -128, 127)


def unsigned(x, threshold):
    return bounded(x, threshold / 255, 0, 255)


def gate_parameters(given, suffix, rows, bias_scale, per_channel=False, bits=8, hidden=None):
    """Weights [rows, in], [rows, H] and bias [rows] of a gate; ``hidden``: their names, own first.

    One scale for both weights, ``max / (2**(bits-1) - 1)``; the bias is an integer number of steps
    of input scale times weight scale.
    """
    names = [f"weight_hh_{suffix}"] if hidden is None else hidden
    own = given.get(f"weight_ih_{suffix}", given[f"weight_ih_{suffix.removesuffix('_reverse')}"])
    parts = [own[rows], *(given[name][rows] for name in names)]
    magnitudes = torch.cat(parts, 1).abs()
    largest = magnitudes.amax(1, keepdim=True) if per_channel else magnitudes.max()
    scale = largest / (2 ** (bits - 1) - 1)
    ih, hh = (rounded(part / scale) * scale for part in parts[:2])
    step = bias_scale * (scale[:, 0] if per_channel else scale)
    bias = given[f"bias_ih_{suffix}"][rows] + given[f"bias_hh_{suffix}"][rows]
    return ih, hh, rounded(bias / step) * step


def over_time(x, suffix, step, state):
    """``step(x_t, state) -> state`` over ``x`` [T, N, in]; hidden states, and the last state."""
    outputs = []
    backward = suffix.endswith("_reverse")
    for x_t in x.flip(0) if backward else x:
        state = step(x_t, state)
        outputs.append(state[0])
    hidden = torch.stack(outputs)
    return (hidden.flip(0) if backward else hidden), state


def rnn(given, x, suffix, nonlinearity, state):
    """One direction of ``QuantRNN``; ``x`` is quantized."""
    io = given["io_quant"]
    size = state[0].shape[1]
    ih, hh, bias = gate_parameters(given, suffix, slice(0, size), io / 128)
    acc = given[f"layers.{suffix}.cell.gate_acc_quant.hidden"]

    def step(x_t, state):
        total = signed(x_t @ ih.T + state[0] @ hh.T + bias, acc)
        return (signed(nonlinearity(total), io),)

    return over_time(x, suffix, step, state)


def lstm(
    given, x, suffix, state, coupled=False, together=False, one_acc=False, hidden=None, **weights
):
    """One direction of ``QuantLSTM``; ``x`` is quantized."""
    io, cell_state = given["io_quant"], given["cell_state_quant"]
    size = state[0].shape[1]
    names = ["input", "cell", "output"] if coupled else ["input", "forget", "cell", "output"]
    cell = f"layers.{suffix}.cell"
    if together:
        everything = slice(0, len(names) * size)
        ih, hh, bias = gate_parameters(given, suffix, everything, io / 128, **weights)
        of_gate = {
            name: [part[i * size : (i + 1) * size] for part in (ih, hh, bias)]
            for i, name in enumerate(names)
        }
    else:
        of_gate = {
            name: gate_parameters(
                given, suffix, slice(i * size, (i + 1) * size), io / 128, hidden=hidden, **weights
            )
            for i, name in enumerate(names)
        }

    def step(x_t, state):
        h, c = state
        total = {}
        for name, (ih, hh, bias) in of_gate.items():
            acc = given[f"{cell}.gate_acc_quant.{'all' if one_acc else name}"]
            total[name] = signed(x_t @ ih.T + h @ hh.T + bias, acc)
        of_input = given[f"{cell}.input_sigmoid_quant"]
        i = unsigned(torch.sigmoid(total["input"]), of_input)
        if coupled:
            f = unsigned(torch.ones_like(i), of_input) - i
        else:
            f = unsigned(torch.sigmoid(total["forget"]), given[f"{cell}.forget_sigmoid_quant"])
        g = signed(torch.tanh(total["cell"]), given[f"{cell}.cell_tanh_quant"])
        o = unsigned(torch.sigmoid(total["output"]), given[f"{cell}.output_sigmoid_quant"])
        c = signed(signed(f * c, cell_state) + signed(i * g, cell_state), cell_state)
        tanh = signed(torch.tanh(c), given[f"{cell}.hidden_state_tanh_quant"])
        return signed(o * tanh, io), c

    return over_time(x, suffix, step, state)


# The layers


def zeros(states):
    return tuple(torch.zeros(BATCH, HIDDEN).double() for _ in range(states))


def compare_gradients(layer, given, out, expected):
    """The gradients of a weighted sum of all outputs, for every parameter and scale."""
    weights = torch.randn(out.shape)
    layer.zero_grad()
    (out * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    for name, parameter in layer.named_parameters():
        gradient = given[name.removesuffix(SUFFIX)].grad
        assert gradient is not None and gradient.abs().sum() > 0, name
        torch.testing.assert_close(
            parameter.grad.double(), gradient, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}{m}"
        )


def compare_integers(out, expected, threshold):
    """All outputs are the same integers of an 8 bit grid."""
    q = torch.round(expected.detach() / (threshold.detach() / 128))
    assert torch.equal(out.int().double(), q)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_follows_its_formula(nonlinearity, backend):
    layer = QuantRNN(
        INPUT, HIDDEN, nonlinearity=nonlinearity, return_quant_tensor=True, **LEARNED_RNN
    )
    given = leaves(layer)
    x = torch.randn(STEPS, BATCH, INPUT)
    out, hidden = layer(x)
    of_x = signed(x.double(), given["io_quant"])
    expected, (last,) = rnn(given, of_x, "l0", getattr(torch, nonlinearity), zeros(1))
    compare_integers(out, expected, given["io_quant"])
    compare_integers(hidden[0], last, given["io_quant"])
    compare_gradients(layer, given, out.value, expected)


LSTMS = {
    "default": ({}, {}),
    "per_channel_four_bits": (
        {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": 4},
        {"per_channel": True, "bits": 4},
    ),
    "coupled": ({"coupled_input_forget_gates": True}, {"coupled": True}),
    "one_weight_quantizer": ({"shared_intra_layer_weight_quant": True}, {"together": True}),
    "one_quantizer_per_channel": (
        {
            "shared_intra_layer_weight_quant": True,
            "weight_quant": Int8WeightPerChannelFloat,
        },
        {"together": True, "per_channel": True},
    ),
    "one_accumulator": ({"shared_intra_layer_gate_acc_quant": True}, {"one_acc": True}),
}


@pytest.mark.parametrize(
    ("case", "backend"),
    [*((case, "python") for case in LSTMS), ("default", "native"), ("default", "jit")],
    indirect=["backend"],
)
def test_lstm_follows_its_formula(case, backend):
    arguments, formula = LSTMS[case]
    layer = QuantLSTM(INPUT, HIDDEN, return_quant_tensor=True, **arguments, **LEARNED_LSTM)
    given = leaves(layer)
    x = torch.randn(STEPS, BATCH, INPUT)
    out, (hidden, cell) = layer(x)
    of_x = signed(x.double(), given["io_quant"])
    expected, (h, c) = lstm(given, of_x, "l0", zeros(2), **formula)
    compare_integers(out, expected, given["io_quant"])
    compare_integers(hidden[0], h, given["io_quant"])
    compare_integers(cell[0], c, given["cell_state_quant"])
    compare_gradients(layer, given, out.value + cell.value, expected + c)


def test_initial_states_are_quantized_as_the_later_ones(without_jit):
    layer = QuantLSTM(INPUT, HIDDEN, return_quant_tensor=True, **LEARNED_LSTM)
    given = leaves(layer)
    x, h, c = torch.randn(STEPS, BATCH, INPUT), torch.randn(BATCH, HIDDEN), torch.randn(BATCH, 3)
    out, _ = layer(x, (h[None], c[None]))
    of_h = signed(h.double(), given["io_quant"])
    of_c = signed(c.double(), given["cell_state_quant"])
    of_x = signed(x.double(), given["io_quant"])
    expected, _ = lstm(given, of_x, "l0", (of_h, of_c))
    compare_integers(out, expected, given["io_quant"])
    compare_gradients(layer, given, out.value, expected)


def test_layers_and_directions_follow_each_other(without_jit):
    layer = QuantLSTM(
        INPUT, HIDDEN, 2, bidirectional=True, return_quant_tensor=True, **LEARNED_LSTM
    )
    given = leaves(layer)
    x = torch.randn(STEPS, BATCH, INPUT)
    out, (hidden, cell) = layer(x)
    flow = signed(x.double(), given["io_quant"])
    last = []
    for number in range(2):
        suffixes = f"l{number}", f"l{number}_reverse"
        results = [lstm(given, flow, suffix, zeros(2)) for suffix in suffixes]
        flow = torch.cat([output for output, _ in results], 2)
        last += [state for _, state in results]
    compare_integers(out, flow, given["io_quant"])
    compare_integers(hidden, torch.stack([h for h, _ in last]), given["io_quant"])
    compare_integers(cell, torch.stack([c for _, c in last]), given["cell_state_quant"])
    compare_gradients(layer, given, out.value, flow)


@pytest.mark.parametrize("coupled", [False, True])
def test_both_directions_use_one_input_weight(coupled, without_jit):
    arguments = {"shared_input_hidden_weights": True, "coupled_input_forget_gates": coupled}
    layer = QuantLSTM(
        INPUT, HIDDEN, bidirectional=True, return_quant_tensor=True, **arguments, **LEARNED_LSTM
    )
    given = leaves(layer)
    assert "weight_ih_l0_reverse" not in given
    x = torch.randn(STEPS, BATCH, INPUT)
    out, _ = layer(x)
    of_x = signed(x.double(), given["io_quant"])
    weights = ["weight_hh_l0", "weight_hh_l0_reverse"]
    ahead, _ = lstm(given, of_x, "l0", zeros(2), coupled, hidden=weights)
    back, _ = lstm(given, of_x, "l0_reverse", zeros(2), coupled, hidden=weights[::-1])
    expected = torch.cat([ahead, back], 2)
    compare_integers(out, expected, given["io_quant"])
    compare_gradients(layer, given, out.value, expected)


def test_cell_states_may_have_a_scale_per_direction(without_jit):
    layer = QuantLSTM(
        INPUT,
        HIDDEN,
        bidirectional=True,
        shared_cell_state_quant=False,
        cat_output_cell_states=False,
        return_quant_tensor=True,
        **LEARNED_LSTM,
    )
    with torch.no_grad():
        layer.cell_state_quant["l0_reverse"].tensor_quant.scaling_impl.value.fill_(1.0)
    _, (_, cells) = layer(torch.randn(STEPS, BATCH, INPUT))
    assert [cell.shape for cell in cells] == [(1, BATCH, HIDDEN)] * 2
    assert all(cell.is_valid for cell in cells)
    scales = torch.stack([cell.scale for cell in cells])
    torch.testing.assert_close(scales, torch.tensor([0.6, 1.0]) / 128)
    again, _ = layer(torch.randn(STEPS, BATCH, INPUT), layer(torch.zeros(1, 2, 2))[1][0], cells)
    assert again.is_valid


def test_bias_with_a_scale_of_its_own_has_one_per_gate(without_jit):
    layer = QuantRNN(INPUT, HIDDEN, bias_quant=Int8BiasPerTensorFloatInternalScaling, io_quant=None)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    quantized = layer.layers["l0"].biases["hidden"].bias_quant(bias)
    torch.testing.assert_close(quantized.scale.detach(), bias.abs().max() / 128)
    assert torch.isfinite(layer(torch.randn(STEPS, BATCH, INPUT))[0]).all()


def test_weights_are_quantized_once_per_sequence(monkeypatch):
    layer = QuantLSTM(INPUT, HIDDEN, **LEARNED_LSTM)
    calls = []
    for gate in layer.layers["l0"].weights.values():
        gate.weight_quant.register_forward_hook(lambda *_: calls.append(1))
    layer(torch.randn(5, BATCH, INPUT))
    assert len(calls) == 4
