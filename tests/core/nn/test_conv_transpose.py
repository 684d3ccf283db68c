"""Transposed convolutions: output sizes, groups, products per output."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import (
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantIdentity,
)
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int32Bias,
)

CLASSES = {1: QuantConvTranspose1d, 2: QuantConvTranspose2d, 3: QuantConvTranspose3d}
FUNCTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
PER_CHANNEL = {"weight_quant": Int8WeightPerChannelFloat}


def quantized(shape):
    identity = QuantIdentity(
        Int8ActPerTensorFloatMinMaxInit, min_val=-1.0, max_val=1.0, return_quant_tensor=True
    )
    return identity(torch.randn(shape))


@pytest.mark.parametrize("size", [9, 10])
@pytest.mark.parametrize("dims", CLASSES)
def test_output_size_chooses_between_the_sizes_that_the_stride_makes_possible(dims, size):
    layer = CLASSES[dims](2, 3, 3, stride=2, padding=1, weight_quant=None)
    floats = layer.float_class(2, 3, 3, stride=2, padding=1)
    floats.load_state_dict(layer.state_dict())
    x = torch.randn(2, 2, *[5] * dims)
    sizes = [size] * dims
    out = layer(x, output_size=sizes)
    assert list(out.shape[2:]) == sizes
    assert torch.equal(out, floats(x, output_size=sizes))
    assert torch.equal(layer(x, sizes), out)


def test_output_size_that_is_not_possible_is_torchs_error():
    with pytest.raises(ValueError, match="requested an output size of"):
        QuantConvTranspose1d(2, 3, 3, stride=2)(torch.randn(1, 2, 5), output_size=[20])


@pytest.mark.parametrize("groups", [1, 2])
def test_scale_per_channel_is_that_of_the_weights_second_dimension(groups, backend):
    layer = QuantConvTranspose2d(4, 6, 3, groups=groups, **PER_CHANNEL)
    w = layer.weight.detach().double()
    scale = w.abs().amax((0, 2, 3), keepdim=True) / 127
    assert layer.quant_weight_scale().shape == (1, 6 // groups, 1, 1)
    torch.testing.assert_close(layer.quant_weight_scale().double(), scale, rtol=1e-6, atol=0)
    q = torch.round(w / scale).clamp(-127, 127)
    assert torch.equal(layer.quant_weight().int().double(), q)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dims", CLASSES)
def test_integers_of_the_output_are_those_of_input_weight_and_bias(dims, groups):
    layer = CLASSES[dims](
        4,
        6,
        3,
        stride=2,
        groups=groups,
        **PER_CHANNEL,
        bias_quant=Int32Bias,
        return_quant_tensor=True,
    )
    x = quantized((2, 4, *[3] * dims))
    out, weight = layer(x), layer.quant_weight()
    assert out.is_valid and out.zero_point == 0
    assert out.scale.shape == (6, *[1] * dims)
    # channel c of the output is channel c % (6 / groups) of its group
    per_output = weight.scale.reshape(-1).repeat(groups).double() * x.scale.double()
    torch.testing.assert_close(out.scale.double().reshape(-1), per_output)
    bias = torch.round(layer.bias.double() / per_output)
    expected = FUNCTIONS[dims](
        x.int().double(), weight.int().double(), bias, stride=2, groups=groups
    )
    assert torch.equal(out.int().double(), expected)


@pytest.mark.parametrize(
    ("arguments", "products"),
    [
        ({"kernel_size": 3}, 4 * 9),
        ({"kernel_size": 3, "groups": 2}, 2 * 9),
        ({"kernel_size": 3, "groups": 4}, 9),
        ({"kernel_size": 4, "stride": 2}, 4 * 2 * 2),
        ({"kernel_size": 3, "stride": 2}, 4 * 2 * 2),
        ({"kernel_size": 2, "stride": 3}, 4),
        ({"kernel_size": 3, "stride": 2, "dilation": 2}, 4 * 9),
        ({"kernel_size": 5, "stride": 4, "dilation": 2}, 4 * 3 * 3),
        ({"kernel_size": (1, 5), "stride": (1, 2), "padding": (0, 1)}, 4 * 3),
    ],
    ids=str,
)
def test_accumulator_counts_the_products_that_meet_in_one_output(arguments, products):
    layer = QuantConvTranspose2d(4, 8, **arguments, bias=False, return_quant_tensor=True)
    # of ones, the largest sum is the number of terms
    floats = nn.ConvTranspose2d(4, 8, **arguments, bias=False)
    nn.init.ones_(floats.weight)
    assert floats(torch.ones(1, 4, 16, 16)).max() == products
    assert layer.products_per_output() == products
    out = layer(quantized((1, 4, 8, 8)))
    largest = products * 128 * 128
    assert 2 ** (out.bit_width.item() - 2) <= largest < 2 ** (out.bit_width.item() - 1)


@pytest.mark.parametrize("q", [-128.0, 127.0])
def test_largest_sum_fits_into_the_bits_of_the_accumulator(q):
    layer = QuantConvTranspose2d(5, 2, 3, bias=False, return_quant_tensor=True)
    nn.init.ones_(layer.weight)
    x = QuantTensor(torch.full((1, 5, 4, 4), q * 0.5), 0.5, 0.0, 8.0, True, True)
    out = layer(x)
    assert out.is_valid
    assert out.int().abs().max() == abs(q) * 127 * 5 * 9


def test_padding_other_than_with_zeros_is_refused_when_the_layer_is_built():
    with pytest.raises(ValueError, match="zeros"):
        QuantConvTranspose2d(2, 2, 3, padding_mode="reflect")


def test_positional_arguments_are_those_of_torch():
    layer = QuantConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 3, "zeros")
    assert (layer.stride, layer.padding, layer.output_padding) == ((2, 2), (1, 1), (1, 1))
    assert (layer.groups, layer.bias, layer.dilation) == (2, None, (3, 3))
