"""Quantized linear and convolution layers against torch's float layers.

The reference quantizes the weight in float64 by the formula in the quantizer's docstring, and runs
torch's own layer on it in float64.
"""

import pytest
import torch
from torch import nn

from qat.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantConv3d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantLinear,
    QuantScaleBias,
    ScaleBias,
)
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFloat,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
)


def conv_case(dims, shape, **arguments):
    """Quantized class, float class, arguments, input shape."""
    quantized = {1: QuantConv1d, 2: QuantConv2d, 3: QuantConv3d}[dims]
    return quantized, quantized.float_class, arguments, shape


def transpose_case(dims, shape, **arguments):
    """The same of a transposed convolution."""
    quantized = {1: QuantConvTranspose1d, 2: QuantConvTranspose2d, 3: QuantConvTranspose3d}[dims]
    return quantized, quantized.float_class, arguments, shape


def linear_case(shape, **arguments):
    return QuantLinear, nn.Linear, {"in_features": 6, "out_features": 4, **arguments}, shape


CHANNELS = {"in_channels": 3, "out_channels": 4}
REFLECT = {"padding": (2, 0), "padding_mode": "reflect"}
CIRCULAR = {"padding": "same", "padding_mode": "circular"}
DEPTHWISE = {"in_channels": 4, "out_channels": 8, "groups": 4}
GROUPED = {"in_channels": 4, "out_channels": 6, "groups": 2}

LAYERS = {
    "linear": linear_case((3, 6)),
    "linear_sequence": linear_case((2, 5, 6)),
    "linear_no_bias": linear_case((3, 6), bias=False),
    "conv1d": conv_case(1, (2, 4, 9), **GROUPED, kernel_size=3, stride=2, padding=1),
    "conv2d": conv_case(2, (2, 3, 6, 6), **CHANNELS, kernel_size=3, padding=1),
    "conv2d_reflect": conv_case(
        2, (2, 3, 6, 6), **CHANNELS, kernel_size=(3, 1), dilation=2, bias=False, **REFLECT
    ),
    "conv2d_same": conv_case(2, (2, 3, 6, 6), **CHANNELS, kernel_size=3, **CIRCULAR),
    "conv2d_depthwise": conv_case(2, (2, 4, 5, 5), **DEPTHWISE, kernel_size=3),
    "conv3d": conv_case(3, (1, 3, 4, 4, 4), **CHANNELS, kernel_size=2, stride=(1, 2, 1)),
    "transpose1d": transpose_case(1, (2, 4, 5), **GROUPED, kernel_size=3, stride=2, padding=1),
    "transpose2d": transpose_case(
        2, (2, 3, 4, 4), **CHANNELS, kernel_size=(3, 2), stride=2, output_padding=1, dilation=2
    ),
    "transpose2d_depthwise": transpose_case(
        2, (2, 4, 3, 3), **DEPTHWISE, kernel_size=3, bias=False
    ),
    "transpose3d": transpose_case(3, (1, 3, 2, 3, 2), **CHANNELS, kernel_size=2, stride=(1, 2, 1)),
    "scale_bias": (QuantScaleBias, ScaleBias, {"num_features": 3, "bias": True}, (2, 3, 4, 4)),
}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def per_tensor(w, qmax=127, dim=0):
    scale = w.abs().max() / qmax
    return torch.round(w / scale).clamp(-qmax, qmax), scale


def per_channel(w, dim=0):
    others = [d for d in range(w.dim()) if d != dim]
    scale = (w.abs().amax(others, keepdim=True) if others else w.abs()) / 127
    return torch.round(w / scale).clamp(-127, 127), scale


def fixed_point(w):
    scale = 2 ** torch.ceil(torch.log2(w.abs().max())) / 128
    return torch.round(w / scale).clamp(-127, 127), scale


def binary(w):
    return torch.where(w >= 0, 1.0, -1.0).double(), torch.tensor(0.1).double()


def ternary(w):
    scale = torch.tensor(0.1).double()
    return torch.round(w / scale).clamp(-1, 1), scale


WEIGHTS = {
    "per_tensor": (Int8WeightPerTensorFloat, {}, per_tensor),
    "three_bits": (Int8WeightPerTensorFloat, {"weight_bit_width": 3}, lambda w: per_tensor(w, 3)),
    "per_channel": (Int8WeightPerChannelFloat, {}, per_channel),
    "per_channel_by_keyword": (
        Int8WeightPerTensorFloat,
        {"weight_scaling_per_output_channel": True},
        per_channel,
    ),
    "fixed_point": (Int8WeightPerTensorFixedPoint, {}, fixed_point),
    "binary": (SignedBinaryWeightPerTensorConst, {}, binary),
    "ternary": (SignedTernaryWeightPerTensorConst, {}, ternary),
}


def float_layer(quantized, float_class, arguments):
    """The float layer with the parameters of ``quantized``."""
    floats = float_class(**arguments)
    floats.weight, floats.bias = quantized.weight, quantized.bias
    return floats


def reference(quantized, float_class, arguments, weight, x):
    floats = float_class(**arguments).double()
    with torch.no_grad():
        floats.weight.copy_(weight)
        if floats.bias is not None:
            floats.bias.copy_(quantized.bias)
        return floats(x.double())


@pytest.mark.parametrize("weight", WEIGHTS)
def test_quantized_weight_follows_the_formula_of_its_quantizer(weight, backend):
    quantizer, keywords, formula = WEIGHTS[weight]
    conv = QuantConv2d(3, 4, 3, weight_quant=quantizer, **keywords)
    quantized = conv.quant_weight()
    q, scale = formula(conv.weight.detach().double())
    torch.testing.assert_close(quantized.scale.detach().double(), scale, rtol=1e-6, atol=0)
    torch.testing.assert_close(conv.quant_weight_scale(), quantized.scale)
    assert torch.equal(quantized.int().double(), q)
    assert quantized.zero_point == 0 and quantized.signed is True


@pytest.mark.parametrize("weight", ["per_tensor", "per_channel"])
def test_output_is_the_float_operation_on_the_quantized_weight(case, weight):
    quantized_class, float_class, arguments, shape = case
    quantizer, keywords, formula = WEIGHTS[weight]
    layer = quantized_class(**arguments, weight_quant=quantizer, **keywords)
    x = torch.randn(shape)
    q, scale = formula(layer.weight.detach().double(), dim=layer.output_channel_dim)
    expected = reference(layer, float_class, arguments, q * scale, x)
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-4, atol=1e-5)


def test_default_weight_quantizer_has_eight_bits_per_tensor(case):
    quantized_class, _, arguments, _ = case
    layer = quantized_class(**arguments)
    assert layer.quant_weight().bit_width == 8
    assert layer.quant_weight_scale().shape == ()
    assert layer.bias is None or torch.equal(layer.quant_bias().value, layer.bias)


def test_without_weight_quantizer_it_is_the_float_layer(case):
    quantized_class, float_class, arguments, shape = case
    layer = quantized_class(**arguments, weight_quant=None)
    floats = float_layer(layer, float_class, arguments)
    x = torch.randn(shape)
    assert torch.equal(layer(x), floats(x))
    assert list(layer.state_dict()) == list(floats.state_dict())
    assert layer.quant_weight_scale() is None


def test_default_quantizer_adds_no_key_to_the_state_dict(case):
    quantized_class, float_class, arguments, _ = case
    layer = quantized_class(**arguments)
    floats = float_class(**arguments)
    layer.load_state_dict(floats.state_dict())
    assert list(layer.state_dict()) == list(floats.state_dict())


def test_quantized_layer_is_an_instance_of_the_float_class(case):
    quantized_class, float_class, arguments, _ = case
    assert isinstance(quantized_class(**arguments), float_class)


@pytest.mark.parametrize("training", [True, False])
def test_from_float_shares_parameters_and_mode(case, training):
    quantized_class, float_class, arguments, shape = case
    floats = float_class(**arguments).train(training)
    layer = quantized_class.from_float(floats, weight_bit_width=4)
    assert layer.weight is floats.weight and layer.bias is floats.bias
    assert all(module.training is training for module in layer.modules())
    q, scale = per_tensor(floats.weight.detach().double(), 7)
    x = torch.randn(shape)
    expected = reference(layer, float_class, arguments, q * scale, x)
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-4, atol=1e-5)


def test_from_float_without_quantizers_computes_what_the_float_layer_does(case):
    quantized_class, float_class, arguments, shape = case
    floats = float_class(**arguments)
    x = torch.randn(shape)
    assert torch.equal(quantized_class.from_float(floats, weight_quant=None)(x), floats(x))


def test_positional_arguments_are_those_of_the_float_layer():
    conv = QuantConv2d(4, 6, 3, 2, 1, 1, 2, False, "zeros")
    assert (conv.stride, conv.padding, conv.groups, conv.bias) == ((2, 2), (1, 1), 2, None)


def test_all_zero_channel_gives_zeros_and_finite_gradients(backend):
    layer = QuantLinear(4, 3, weight_quant=Int8WeightPerChannelFloat)
    with torch.no_grad():
        layer.weight[1].zero_()
    out = layer(torch.randn(2, 4))
    out.sum().backward()
    assert torch.equal(out[:, 1], layer.bias[1].expand(2))
    assert torch.isfinite(layer.weight.grad).all()


def test_backends_agree_on_forward_and_gradient(backend):
    layer = QuantLinear(6, 4, weight_bit_width=3)
    x = torch.randn(5, 6, requires_grad=True)
    layer(x).square().sum().backward()
    # y = x W^T + b; with g = dL/dy, dL/dx = g W and dL/dW passes straight through inside the grid;
    # the largest weight also gets the gradient of the scale max|w| / 3.
    w = layer.weight.detach().double()
    q, scale = per_tensor(w, 3)
    xd = x.detach().double()
    g = 2 * (xd @ (q * scale).T + layer.bias.detach().double())
    torch.testing.assert_close(x.grad.double(), g @ (q * scale), rtol=1e-4, atol=1e-4)
    to_weight = g.T @ xd
    to_scale = (to_weight * (q - w / scale)).sum()
    largest = w.abs().argmax()
    to_weight.view(-1)[largest] += to_scale * torch.sign(w.view(-1)[largest]) / 3
    torch.testing.assert_close(layer.weight.grad.double(), to_weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("disabled", ["weight_quant", "input_quant"])
def test_disable_quant_lets_values_pass_and_can_be_undone(disabled):
    layer = QuantLinear(
        4,
        3,
        input_quant=Int8ActPerTensorFloatMinMaxInit,
        input_min_val=-1.0,
        input_max_val=1.0,
    )
    x = torch.randn(2, 4)
    quantized = layer(x)
    for proxy in (layer.weight_quant, layer.input_quant):
        proxy.disable_quant = True
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    assert layer.weight_quant.scale() is None and layer.input_quant.scale() is None
    getattr(layer, disabled).disable_quant = False
    assert not torch.equal(layer(x), quantized)
    layer.weight_quant.disable_quant = layer.input_quant.disable_quant = False
    assert torch.equal(layer(x), quantized)


def test_binary_weights_train_without_being_clipped():
    layer = QuantLinear(2, 1, bias=False, weight_quant=SignedBinaryWeightPerTensorConst)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -3.0]]))
    before = layer.weight.detach().clone()
    assert torch.equal(layer(torch.ones(1, 2)), torch.zeros(1, 1))
    assert torch.equal(layer.weight, before)
