"""A scale and a shift per channel, plain and quantized."""

import pytest
import torch

from qat.nn import QuantIdentity, QuantScaleBias, ScaleBias
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
)

SHAPES = {
    (2, 3, 4, 5): ((1, -1, 1, 1), (1, 3, 1, 1)),
    (2, 3, 4): ((1, -1, 1, 1), (1, 3, 1)),
    (2, 3): ((1, -1, 1, 1), (1, 3)),
    (2, 4, 3): ((1, 1, -1), (1, 1, 3)),
    (3, 4): ((-1, 1), (3, 1)),
    (0, 3, 4, 5): ((1, -1, 1, 1), (1, 3, 1, 1)),
}


def filled(layer):
    torch.nn.init.normal_(layer.weight)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    return layer


def test_it_starts_as_the_identity():
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(ScaleBias(3, bias=True)(x), x)
    assert list(ScaleBias(3, bias=True).state_dict()) == ["weight", "bias"]
    assert list(ScaleBias(3, bias=False).state_dict()) == ["weight"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_channel_is_scaled_and_shifted(shape, bias):
    runtime_shape, spread = SHAPES[shape]
    layer = filled(ScaleBias(3, bias, runtime_shape))
    x = torch.randn(shape)
    expected = x * layer.weight.reshape(spread)
    if bias:
        expected = expected + layer.bias.reshape(spread)
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("runtime_shape", [(1, 3, 1, 1), (1, 1), (), (-1, -1), (1, -2)])
@pytest.mark.parametrize("kind", [ScaleBias, QuantScaleBias])
def test_runtime_shape_without_one_place_for_the_channels_is_refused(kind, runtime_shape):
    with pytest.raises(ValueError, match=f"{kind.__name__}: runtime_shape is .* give one -1"):
        kind(3, True, runtime_shape)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("quantizer", [Int8WeightPerTensorFloat, Int8WeightPerChannelFloat])
def test_integers_of_the_output_are_those_of_input_scale_and_shift(quantizer, shape, bias, backend):
    runtime_shape, spread = SHAPES[shape]
    layer = filled(
        QuantScaleBias(
            3,
            bias,
            runtime_shape,
            weight_quant=quantizer,
            bias_quant=Int32Bias,
            return_quant_tensor=True,
        )
    )
    act = Int8ActPerTensorFloatMinMaxInit
    x = QuantIdentity(act, min_val=-1.0, max_val=1.0, return_quant_tensor=True)(torch.randn(shape))
    out = layer(x)
    w = layer.weight.detach().double()
    per_channel = quantizer is Int8WeightPerChannelFloat
    scale = (w.abs() if per_channel else w.abs().max()) / 127
    q = torch.round(w / scale).reshape(spread)
    expected = x.int().double() * q
    if bias:
        scale = scale.float().double()
        b = torch.round(layer.bias.detach().double() / (scale * x.scale.double()))
        expected = expected + b.reshape(spread)
    assert torch.equal(out.int().double(), expected)
    assert out.zero_point == 0
    assert out.scale.shape == (spread if per_channel else ())


def test_one_product_is_all_that_an_output_sums():
    layer = QuantScaleBias(3, bias=False, return_quant_tensor=True)
    x = QuantIdentity(
        Int8ActPerTensorFloatMinMaxInit, min_val=-1.0, max_val=1.0, return_quant_tensor=True
    )(torch.randn(2, 3))
    assert layer.products_per_output() == 1
    assert layer(x).bit_width == 16  # 128 * 128 = 2**14, so that 2**15 holds it with its sign


def test_without_quantizers_it_is_the_float_layer_bit_by_bit():
    layer = filled(QuantScaleBias(3, bias=True, weight_quant=None))
    floats = ScaleBias(3, bias=True)
    floats.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(layer(x), floats(x))
    assert list(layer.state_dict()) == list(floats.state_dict())
    again = QuantScaleBias.from_float(floats, weight_bit_width=4)
    assert again.weight is floats.weight and again.bias is floats.bias
    assert again.quant_weight().bit_width == 4
