"""Arguments that quantized recurrent layers refuse, and what they say."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from qat.nn import QuantLinear, QuantLSTM, QuantRNN, QuantSigmoid, QuantTanh
from qat.quantizers import Int8ActPerTensorFloat, SignedBinaryActPerTensorConst

BOTH = pytest.mark.parametrize("kind", [QuantRNN, QuantLSTM])


@BOTH
@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
def test_a_size_below_one_is_refused(kind, name):
    sizes = {"input_size": 3, "hidden_size": 4, "num_layers": 1, name: 0}
    with pytest.raises(ValueError, match=f"{kind.__name__}: {name} is 0; it must be at least 1"):
        kind(**sizes)


@BOTH
def test_projected_states_are_not_implemented(kind):
    with pytest.raises(NotImplementedError, match="proj_size is 2.*use proj_size=0"):
        kind(3, 4, proj_size=2)


def test_projected_states_of_a_float_layer_are_not_implemented():
    with pytest.raises(NotImplementedError, match="proj_size is 2"):
        QuantLSTM.from_float(nn.LSTM(3, 4, proj_size=2))


@BOTH
def test_dropout_is_a_probability_and_needs_two_layers(kind):
    with pytest.raises(ValueError, match="dropout is 1.5, a probability"):
        kind(3, 4, 2, dropout=1.5)
    with pytest.warns(UserWarning, match="between layers, and num_layers is 1"):
        kind(3, 4, dropout=0.5)


def test_unknown_nonlinearity_lists_the_known_ones():
    with pytest.raises(ValueError, match="nonlinearity is 'gelu'; choose 'tanh' or 'relu'"):
        QuantRNN(3, 4, nonlinearity="gelu")


@BOTH
@pytest.mark.parametrize("name", ["bit_width", "input_bit_width", "iobit_width"])
def test_keyword_without_a_role_in_front_is_refused(kind, name):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no argument {name}; .* with weight_"):
        kind(3, 4, **{name: 4})


def test_a_simple_layer_has_no_cell_state():
    with pytest.raises(TypeError, match="QuantRNN has no argument cell_state_bit_width"):
        QuantRNN(3, 4, cell_state_bit_width=4)


@BOTH
@pytest.mark.parametrize("role", ["weight", "bias", "io", "gate_acc"])
def test_what_is_no_quantizer_is_refused_by_the_name_of_the_layer(kind, role):
    with pytest.raises(TypeError, match=f"{kind.__name__}: .*{role}_quant is 8; give a quantizer"):
        kind(3, 4, **{f"{role}_quant": 8})


@BOTH
@pytest.mark.parametrize("role", ["weight", "bias", "io"])
def test_override_without_a_quantizer_is_refused(kind, role):
    quantizers = {"bias_quant": None, f"{role}_quant": None, f"{role}_bit_width": 4}
    with pytest.raises(ValueError, match=f"bit_width would change a quantizer, but {role}_quant"):
        kind(3, 4, **quantizers)


@BOTH
@pytest.mark.parametrize("role", ["weight", "io"])
def test_bias_needs_the_scales_that_it_is_in(kind, role):
    with pytest.raises(
        ValueError,
        match=f"{kind.__name__}: bias_quant takes its scale .* {role}_quant is None; give one",
    ):
        kind(3, 4, **{f"{role}_quant": None})
    kind(3, 4, bias=False, **{f"{role}_quant": None})


@BOTH
def test_quantized_outputs_need_the_quantizer_of_the_states(kind):
    with pytest.raises(ValueError, match="return_quant_tensor needs io_quant"):
        kind(3, 4, bias_quant=None, io_quant=None, return_quant_tensor=True)


def test_quantized_cell_states_need_one_grid():
    with pytest.raises(ValueError, match="return_quant_tensor needs cell_state_quant"):
        QuantLSTM(3, 4, cell_state_quant=None, return_quant_tensor=True)
    with pytest.raises(ValueError, match="set cat_output_cell_states=False"):
        QuantLSTM(3, 4, shared_cell_state_quant=False, return_quant_tensor=True)


@BOTH
def test_shared_weights_need_two_directions(kind):
    with pytest.raises(ValueError, match="shares between two directions; set bidirectional=True"):
        kind(3, 4, shared_input_hidden_weights=True)


@BOTH
def test_proxies_of_weights_are_not_shared_with_gates(kind):
    other = QuantLinear(3, 4)
    with pytest.raises(NotImplementedError, match="weight_quant is a proxy .* quantizer class"):
        kind(3, 4, weight_quant=other.weight_quant)
    assert other.weight_quant.tracked_modules == [other]


def test_proxies_of_activations_are_shared_between_functions_of_one_kind():
    sigmoid, tanh = QuantSigmoid(), QuantTanh()
    with pytest.raises(ValueError, match="shared sigmoid_quant applies Tanh, not Sigmoid"):
        QuantLSTM(3, 4, sigmoid_quant=tanh.act_quant)
    layer = QuantLSTM(3, 4, sigmoid_quant=sigmoid.act_quant, tanh_quant=tanh.act_quant)
    cell = layer.layers["l0"].cell
    assert cell.input_sigmoid_quant is cell.forget_sigmoid_quant is sigmoid.act_quant
    assert cell.cell_tanh_quant is cell.hidden_state_tanh_quant is tanh.act_quant


def test_coupled_gates_take_integer_sigmoids():
    with pytest.raises(NotImplementedError, match="coupled_input_forget_gates .* 'binary'"):
        QuantLSTM(
            3,
            4,
            coupled_input_forget_gates=True,
            sigmoid_quant=SignedBinaryActPerTensorConst,
            sigmoid_quant_type="binary",
        )
    QuantLSTM(3, 4, coupled_input_forget_gates=True, sigmoid_quant=Int8ActPerTensorFloat)


@BOTH
def test_from_float_takes_its_float_class(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__}.from_float takes a .*, not a GRU"):
        kind.from_float(nn.GRU(3, 4))


@BOTH
def test_packed_sequences_are_not_implemented(kind):
    packed = pack_sequence([torch.randn(3, 3), torch.randn(2, 3)])
    with pytest.raises(NotImplementedError, match="pad it with .*pad_packed_sequence"):
        kind(3, 4)(packed)


@BOTH
@pytest.mark.parametrize("shape", [(3,), (2, 2, 5, 3), (5, 2, 4)])
def test_input_of_another_shape_is_refused(kind, shape):
    with pytest.raises(ValueError, match="the last of length input_size 3"):
        kind(3, 4)(torch.randn(shape))


@BOTH
def test_a_sequence_without_steps_is_refused(kind):
    with pytest.raises(ValueError, match="no time step"):
        kind(3, 4)(torch.randn(0, 2, 3))


@BOTH
def test_an_initial_state_of_another_shape_is_refused(kind):
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4\); for this input it must be \(1, 2, 4"):
        kind(3, 4)(torch.randn(5, 2, 3), torch.randn(1, 3, 4))


def test_cell_states_are_given_once():
    h = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match="tuple of both states, and cx is given too"):
        QuantLSTM(3, 4)(torch.randn(5, 2, 3), (h, h), h)
