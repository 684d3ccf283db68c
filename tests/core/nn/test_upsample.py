"""Upsampling of quantized tensors: copies keep their grid, mixtures are rounded."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import QuantUpsample, QuantUpsamplingBilinear2d, QuantUpsamplingNearest2d
from qat.quantizers import Int8ActPerTensorFloatMinMaxInit


def quantized(shape=(2, 3, 4, 4), bits=8, signed=True, zero_point=0.0):
    low = -(2 ** (bits - 1)) if signed else 0
    q = torch.randint(low, low + 2**bits, shape)
    return QuantTensor((q - zero_point) / 64, 1 / 64, zero_point, float(bits), signed, False)


COPYING = {
    "nearest": lambda **k: QuantUpsample(scale_factor=2, **k),
    "nearest_exact": lambda **k: QuantUpsample(size=(5, 7), mode="nearest-exact", **k),
    "nearest2d": lambda **k: QuantUpsamplingNearest2d(scale_factor=2, **k),
}
MIXING = {
    "bilinear": lambda **k: QuantUpsample(scale_factor=2, mode="bilinear", **k),
    "bilinear_aligned": lambda **k: QuantUpsample(None, 2, "bilinear", True, **k),
    "bicubic": lambda **k: QuantUpsample(size=7, mode="bicubic", **k),
    "bilinear2d": lambda **k: QuantUpsamplingBilinear2d(scale_factor=2, **k),
}
FLOAT = {
    "nearest": nn.Upsample(scale_factor=2),
    "nearest_exact": nn.Upsample(size=(5, 7), mode="nearest-exact"),
    "nearest2d": nn.UpsamplingNearest2d(scale_factor=2),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bilinear_aligned": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "bicubic": nn.Upsample(size=7, mode="bicubic"),
    "bilinear2d": nn.UpsamplingBilinear2d(scale_factor=2),
}
ALL = {**COPYING, **MIXING}


@pytest.mark.parametrize("name", ALL)
def test_a_plain_tensor_is_upsampled_in_float(name):
    x = torch.randn(2, 3, 4, 4)
    layer = ALL[name]()
    out = layer(x)
    assert type(out) is torch.Tensor and torch.equal(out, FLOAT[name](x))
    assert isinstance(layer, type(FLOAT[name]))


@pytest.mark.parametrize("name", COPYING)
def test_copies_stay_on_their_grid(name):
    x = quantized(zero_point=3.0)
    out = COPYING[name]()(x)
    assert torch.equal(out.value, FLOAT[name](x.value))
    assert out.is_valid and out.scale == x.scale and out.zero_point == 3 and out.bit_width == 8


@pytest.mark.parametrize("signed, zero_point", [(True, 0.0), (False, 0.0), (False, 100.0)])
@pytest.mark.parametrize("name", MIXING)
def test_mixtures_are_rounded_to_the_grid_of_the_input(name, signed, zero_point, backend):
    x = quantized(signed=signed, zero_point=zero_point)
    out = MIXING[name]()(x)
    low = -128 if signed else 0
    steps = torch.round(FLOAT[name](x.value).double() * 64)  # exact: the scale is 2**-6
    expected = (steps + zero_point).clamp(low, low + 255)  # bicubic mixtures overshoot
    assert torch.equal(out.int().double(), expected)
    assert out.is_valid and out.scale == x.scale and out.bit_width == 8


def test_mixtures_of_a_binary_tensor_are_ternary():
    x = QuantTensor(torch.tensor([[[[1.0, -1.0]]]]), 1.0, 0.0, 1.0, True)
    out = QuantUpsample(size=(1, 3), mode="bilinear")(x)
    assert out.int().tolist() == [[[[1, 0, -1]]]] and out.bit_width == 2


def test_the_gradient_of_a_mixture_is_that_of_the_float_layer():
    x = quantized().value.requires_grad_()
    weights = torch.randn(2, 3, 8, 8)
    out = QuantUpsamplingBilinear2d(scale_factor=2)(QuantTensor(x, 1 / 64, 0.0, 8.0, True))
    (out.value * weights).sum().backward()
    found, x.grad = x.grad, None
    (
        F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True) * weights
    ).sum().backward()
    torch.testing.assert_close(found, x.grad)


@pytest.mark.parametrize("make_input", [lambda: quantized(), lambda: torch.randn(2, 3, 4, 4)])
def test_output_quantizer_takes_the_place_of_the_rounding(make_input):
    of_output = {"output_min_val": -2.0, "output_max_val": 2.0, "output_bit_width": 4}
    layer = MIXING["bilinear"](output_quant=Int8ActPerTensorFloatMinMaxInit, **of_output)
    x = make_input()
    plain = x.value if isinstance(x, QuantTensor) else x
    expected = torch.round(FLOAT["bilinear"](plain).double() / 0.25).clamp(-8, 7)
    assert torch.equal(layer(x).int().double(), expected)


def test_mixtures_over_several_scales_are_plain():
    scale = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2)
    x = QuantTensor(torch.ones(1, 1, 2, 2) * scale, scale, 0.0, 8.0, True)
    assert type(QuantUpsamplingBilinear2d(scale_factor=2)(x)) is torch.Tensor


def test_scales_per_channel_are_kept():
    scale = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    x = QuantTensor(torch.ones(1, 2, 2, 2) * scale, scale, 0.0, 8.0, True)
    out = QuantUpsamplingBilinear2d(scale_factor=2)(x)
    assert out.is_valid and torch.equal(out.scale, scale)


@pytest.mark.parametrize("name", ALL)
def test_plain_tensors_come_out_where_asked_for(name):
    assert type(ALL[name](return_quant_tensor=False)(quantized())) is torch.Tensor


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="QuantUpsample has no argument bit_width"):
        QuantUpsample(scale_factor=2, bit_width=4)
