"""The grid of a layer's output, and quantized biases."""

import pytest
import torch
from torch.nn import functional as F

from qat import QuantTensor
from qat.formats import FloatFormat
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8Bias,
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int16Bias,
    Int32Bias,
    ShiftedUint8ActPerTensorFloatHQO,
    ShiftedUint8WeightPerTensorFloatHQO,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
    Uint8ActPerTensorFloatMaxInit,
)


def signed_input(**keywords):
    keywords = {"min_val": -1.0, "max_val": 1.0, **keywords}
    return QuantIdentity(Int8ActPerTensorFloatMinMaxInit, return_quant_tensor=True, **keywords)


def unsigned_input():
    return QuantIdentity(Uint8ActPerTensorFloatMaxInit, return_quant_tensor=True, max_val=2.0)


WEIGHT_QUANTIZERS = [
    Int8WeightPerTensorFloat,
    Int8WeightPerChannelFloat,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
]


@pytest.mark.parametrize("make_input", [signed_input, unsigned_input])
@pytest.mark.parametrize("weight_quant", WEIGHT_QUANTIZERS)
def test_integers_of_a_convolution_are_the_convolution_of_the_integers(weight_quant, make_input):
    conv = QuantConv2d(
        3, 4, 3, padding=1, bias=False, weight_quant=weight_quant, return_quant_tensor=True
    )
    x = make_input()(torch.randn(2, 3, 5, 5))
    out = conv(x)
    weight = conv.quant_weight()
    expected = F.conv2d(x.int().double(), weight.int().double(), padding=1)
    assert torch.equal(out.int().double(), expected)
    expected_scale = (x.scale * weight.scale).reshape(-1)
    torch.testing.assert_close(out.scale.reshape(-1), expected_scale)
    assert out.scale.dim() == 0 or out.scale.shape == (4, 1, 1)
    assert out.zero_point == 0 and out.signed is True and out.is_valid


@pytest.mark.parametrize("weight_quant", [Int8WeightPerTensorFloat, Int8WeightPerChannelFloat])
def test_integers_of_a_linear_layer_include_those_of_the_bias(weight_quant, backend):
    layer = QuantLinear(
        6, 4, weight_quant=weight_quant, bias_quant=Int32Bias, return_quant_tensor=True
    )
    x = signed_input()(torch.randn(2, 5, 6))
    out = layer(x)
    weight = layer.quant_weight()
    accumulator_scale = x.scale.double() * weight.scale.double().reshape(-1)
    bias = torch.round(layer.bias.double() / accumulator_scale)
    expected = F.linear(x.int().double(), weight.int().double(), bias)
    assert torch.equal(out.int().double(), expected)
    assert out.is_valid


@pytest.mark.parametrize("signed", [True, False])
def test_an_input_with_a_zero_point_gives_integers_without_one(signed):
    low = -128.0 if signed else 0.0
    q = torch.randint(0, 256, (2, 3, 6)).float() + low
    zero_point = low + 250.0
    x = QuantTensor((q - zero_point) * 0.01, 0.01, zero_point, 8.0, signed, True)
    layer = QuantLinear(6, 4, bias=False, return_quant_tensor=True)
    out = layer(x)
    expected = F.linear(q.double() - zero_point, layer.quant_weight().int().double())
    assert torch.equal(out.int().double(), expected)


class Shifted(Int8WeightPerTensorFloat):
    """Unsigned weights, ``(q - 100) * scale``; the scale is ``max|w| / 255``."""

    signed = False
    narrow_range = False

    class zero_point_impl(torch.nn.Module):
        def forward(self, x, scale, bit_width):
            return torch.full((), 100.0)


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("zero_point", [0.0, 7.0])
@pytest.mark.parametrize("weight_quant", [Shifted, Int8WeightPerChannelFloat])
def test_zero_points_of_input_and_weight_leave_sums_of_their_differences(
    weight_quant, zero_point, padding_mode
):
    conv = QuantConv2d(
        3,
        4,
        3,
        padding=1,
        padding_mode=padding_mode,
        bias_quant=Int32Bias,
        weight_quant=weight_quant,
        return_quant_tensor=True,
    )
    q = torch.randint(0, 256, (2, 3, 5, 5)).float()
    x = QuantTensor((q - zero_point) * 0.01, 0.01, zero_point, 8.0, False, True)
    out, weight = conv(x), conv.quant_weight()
    # padding with zeros is padding with q = zero_point
    inputs, weights = q.double() - zero_point, weight.int().double() - weight.zero_point.double()
    scale = (weight.scale.double() * x.scale.double()).reshape(-1)
    bias = torch.round(conv.bias.double() / scale)
    if padding_mode == "circular":
        expected = F.conv2d(F.pad(inputs, (1, 1, 1, 1), "circular"), weights, bias)
    else:
        expected = F.conv2d(inputs, weights, bias, padding=1)
    assert out.is_valid and out.zero_point == 0 and out.signed is True
    assert torch.equal(out.int().double(), expected)
    torch.testing.assert_close(out.scale.double().reshape(-1), scale)


def test_bits_hold_sums_of_weights_far_from_their_zero_point():
    layer = QuantLinear(16, 1, bias=False, weight_quant=Shifted, return_quant_tensor=True)
    x = QuantTensor(torch.zeros(1, 16), 0.01, 7.0, 8.0, False, True)
    # |q - 7| <= 248 and |w - 100| <= 155: 16 of their products are below 2**20
    assert layer(x).bit_width == 21


def test_scale_within_the_sum_leaves_no_grid():
    layer = QuantLinear(
        6,
        4,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
        weight_per_channel_broadcastable_shape=(1, 6),
        weight_scaling_stats_permute_dims=(1, 0),
        return_quant_tensor=True,
    )
    x = signed_input()(torch.randn(2, 6))
    out = layer(x)
    assert out.scale is None
    torch.testing.assert_close(out.value, x.value @ layer.quant_weight().value.T)


@pytest.mark.parametrize("role", ["weight", "input"])
def test_zero_points_between_integers_leave_no_grid_of_integers(role):
    real = {
        "weight": {"weight_quant": ShiftedUint8WeightPerTensorFloatHQO},
        "input": {"input_quant": ShiftedUint8ActPerTensorFloatHQO},
    }
    layer = QuantLinear(6, 4, bias=False, return_quant_tensor=True, **real[role])
    assert layer(signed_input()(torch.randn(2, 6))).scale is None


def test_sums_of_minifloats_have_no_grid_of_integers():
    layer = QuantLinear(6, 4, bias=False, return_quant_tensor=True)
    x = QuantTensor(torch.ones(2, 6), 1.0, 0.0, 8.0, True, True, format=FloatFormat(4, 3, bias=7))
    assert layer(x).scale is None and not layer(x).is_valid


@pytest.mark.parametrize("zero_point", [0.0, 100.0, -128.0])
def test_bit_width_holds_the_largest_sum_that_can_occur(zero_point):
    layer = QuantLinear(63, 1, bias=False, return_quant_tensor=True)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    for q in (-128.0, 127.0):
        x = torch.full((1, 63), (q - zero_point) * 0.5)
        out = layer(QuantTensor(x, 0.5, zero_point, 8.0, True, True))
        largest = abs(63 * (q - zero_point) * 127)
        assert 2 ** (out.bit_width.item() - 1) > largest
        assert out.is_valid
    # |q - zero_point| <= 255 at worst, so 63 * 255 * 128 in all: 21 bits and the sign
    assert out.bit_width <= 22


def test_output_without_quantized_input_has_no_grid():
    layer = QuantLinear(6, 4, return_quant_tensor=True)
    out = layer(torch.randn(2, 6))
    assert isinstance(out, QuantTensor)
    assert out.scale is None and not out.is_valid


def test_output_with_a_float_bias_has_no_grid():
    layer = QuantLinear(6, 4, return_quant_tensor=True)
    out = layer(signed_input()(torch.randn(2, 6)))
    assert out.scale is None and not out.is_valid


def test_output_with_a_bias_in_a_scale_of_its_own_has_no_grid():
    layer = QuantLinear(
        6, 4, bias_quant=Int8BiasPerTensorFloatInternalScaling, return_quant_tensor=True
    )
    out = layer(signed_input()(torch.randn(2, 6)))
    assert out.scale is None and not out.is_valid


def test_output_of_an_input_with_a_scale_per_channel_has_no_grid():
    x = signed_input(scaling_per_output_channel=True, per_channel_broadcastable_shape=(1, 6))
    layer = QuantLinear(6, 4, bias=False, return_quant_tensor=True)
    assert layer(x(torch.randn(2, 6))).scale is None


def test_input_that_lacks_part_of_its_grid_gives_an_output_without_grid():
    x = QuantTensor(torch.randn(2, 6), scale=0.1)
    layer = QuantLinear(6, 4, bias=False, return_quant_tensor=True)
    assert layer(x).scale is None


def test_output_quantizer_decides_the_grid_of_the_output():
    layer = QuantLinear(
        6,
        4,
        output_quant=Int8ActPerTensorFloatMinMaxInit,
        output_min_val=-2.0,
        output_max_val=2.0,
        output_bit_width=4,
        return_quant_tensor=True,
    )
    x = torch.randn(3, 6)
    out = layer(x)
    w = layer.quant_weight().value.double()
    expected = torch.round(F.linear(x.double(), w, layer.bias.double()) / 0.25).clamp(-8, 7)
    assert torch.equal(out.int().double(), expected)
    assert out.scale == 0.25 and out.bit_width == 4


def test_input_quantizer_of_the_layer_gives_the_same_as_one_in_front():
    outside = signed_input()
    layer = QuantLinear(6, 4, bias_quant=Int32Bias, return_quant_tensor=True)
    inside = QuantLinear(
        6,
        4,
        input_quant=Int8ActPerTensorFloatMinMaxInit,
        input_min_val=-1.0,
        input_max_val=1.0,
        bias_quant=Int32Bias,
        return_quant_tensor=True,
    )
    inside.load_state_dict(
        {**layer.state_dict(), "input_quant.tensor_quant.scaling_impl.value": torch.tensor(1.0)}
    )
    x = torch.randn(2, 6)
    assert torch.equal(layer(outside(x)).value, inside(x).value)
    assert torch.equal(layer(outside(x)).int(), inside(x).int())


@pytest.mark.parametrize("return_quant_tensor", [True, False])
def test_plain_and_quantized_outputs_have_the_same_values(return_quant_tensor):
    layer = QuantLinear(6, 4, bias_quant=Int16Bias, return_quant_tensor=return_quant_tensor)
    out = layer(signed_input()(torch.randn(2, 6)))
    assert isinstance(out, QuantTensor if return_quant_tensor else torch.Tensor)
    torch.manual_seed(0)
    again = QuantLinear(6, 4, bias_quant=Int16Bias)
    plain = again(signed_input()(torch.randn(2, 6)))
    assert torch.equal(out.value if return_quant_tensor else out, plain)


@pytest.mark.parametrize(("bias_quant", "bits"), [(Int8Bias, 8), (Int16Bias, 16), (Int32Bias, 32)])
def test_bias_is_clamped_to_its_bits_in_the_scale_of_the_accumulator(bias_quant, bits):
    layer = QuantLinear(4, 2, bias_quant=bias_quant)
    with torch.no_grad():
        layer.weight.fill_(1.27)  # scale 0.01
        layer.bias.copy_(torch.tensor([0.5, -100.0]))
    x = QuantTensor(torch.zeros(1, 4), 0.01, 0.0, 8.0, True, True)
    # in steps of 0.01 * 0.01: 5000 and -1000000
    expected = (
        torch.tensor([5000.0, -1e6]).clamp(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) * 1e-4
    )
    torch.testing.assert_close(layer(x)[0], expected)


def test_bias_with_internal_scale_needs_no_input_scale(backend):
    layer = QuantLinear(4, 3, bias_quant=Int8BiasPerTensorFloatInternalScaling)
    bias = layer.quant_bias()
    scale = layer.bias.detach().double().abs().max() / 128
    q = torch.round(layer.bias.double() / scale).clamp(-128, 127)
    assert torch.equal(bias.int().double(), q)
    torch.testing.assert_close(bias.scale.double(), scale)
    torch.testing.assert_close(layer(torch.zeros(1, 4))[0].double(), q * scale)


@pytest.mark.parametrize("bias_quant", [Int8Bias, Int16Bias, Int32Bias])
def test_missing_input_scale_is_an_error_that_says_what_to_do(bias_quant):
    layer = QuantLinear(4, 3, bias_quant=bias_quant)
    with pytest.raises(RuntimeError, match=f"{bias_quant.__name__} takes its scale.*input_quant"):
        layer(torch.randn(2, 4))
    with pytest.raises(RuntimeError, match="takes its scale.*input_quant"):
        layer.quant_bias()
    with pytest.raises(RuntimeError, match="depends on the layer's input"):
        layer.bias_quant.scale()


def test_quant_bias_is_the_bias_that_the_layer_adds():
    layer = QuantLinear(
        4,
        3,
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int16Bias,
        input_quant=Int8ActPerTensorFloatMinMaxInit,
        input_min_val=-1.0,
        input_max_val=1.0,
    )
    bias = layer.quant_bias()
    assert bias.is_valid and bias.bit_width == 16
    assert torch.equal(layer(torch.zeros(1, 4))[0], bias.value)


def test_bias_quantizer_of_a_layer_without_bias_does_nothing():
    layer = QuantLinear(4, 3, bias=False, bias_quant=Int8BiasPerTensorFloatInternalScaling)
    assert layer.quant_bias() is None
    assert layer(torch.randn(2, 4)).shape == (2, 3)
    assert not layer.bias_quant.is_quant_enabled
