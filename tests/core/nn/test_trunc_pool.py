"""Average pooling by truncation, and the layers that narrow an accumulator."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import (
    ClampQuantAccumulator,
    QuantConv2d,
    QuantIdentity,
    TruncAdaptiveAvgPool2d,
    TruncAvgPool2d,
    TruncQuantAccumulator,
)
from qat.quantizers import (
    ClampTo8bit,
    Int8ActPerTensorFloatMinMaxInit,
    RoundTo8bit,
    ShiftRoundSaturateTo8bit,
    TruncTo8bit,
)

BOUNDS = {"min_val": -1.0, "max_val": 1.0}


def quantized(*shape, bits=8, signed=True):
    low = -(2 ** (bits - 1)) if signed else 0
    q = torch.randint(low, low + 2**bits, shape)
    return QuantTensor(q / 128, 1 / 128, 0.0, float(bits), signed, False)


POOLS = {
    "windows": (TruncAvgPool2d, nn.AvgPool2d, (2,), 4),
    "strided": (TruncAvgPool2d, nn.AvgPool2d, (3, 1), 9),
    "rectangles": (TruncAvgPool2d, nn.AvgPool2d, ((2, 3),), 6),
    "padded": (TruncAvgPool2d, nn.AvgPool2d, (3, 2, 1), 9),
    "global": (TruncAdaptiveAvgPool2d, nn.AdaptiveAvgPool2d, (1,), 36),
    "halves": (TruncAdaptiveAvgPool2d, nn.AdaptiveAvgPool2d, ((2, 3),), 6),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_plain_tensor_is_pooled_in_float(name):
    pool, float_pool, arguments, _ = POOLS[name]
    x = torch.randn(2, 3, 6, 6)
    out = pool(*arguments)(x)
    assert type(out) is torch.Tensor and torch.equal(out, float_pool(*arguments)(x))
    assert isinstance(pool(*arguments), float_pool)


@pytest.mark.parametrize("quantizer, rounding", [(TruncTo8bit, "floor"), (RoundTo8bit, "round")])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", POOLS)
def test_the_sum_of_the_integers_loses_its_low_bits(name, signed, quantizer, rounding, backend):
    pool, float_pool, arguments, count = POOLS[name]
    x = quantized(2, 3, 6, 6, signed=signed)
    out = pool(*arguments, trunc_quant=quantizer)(x)

    # the accumulator holds count * 255 or -count * 128: 8 bits and as many as count has
    factor = 2 ** (count - 1).bit_length()
    sums = torch.round(float_pool(*arguments)(x.int().double()) * count)
    low = -128 if signed else 0
    expected = getattr(torch, rounding)(sums / factor).clamp(low, low + 255)
    assert torch.equal(out.int().double(), expected)
    assert out.bit_width == 8 and out.signed is signed
    torch.testing.assert_close(out.scale, torch.tensor(factor / count / 128))


@pytest.mark.parametrize("keyword", ["bit_width", "trunc_bit_width"])
def test_attributes_are_given_with_or_without_their_role(keyword):
    assert TruncAvgPool2d(2, **{keyword: 4})(quantized(1, 1, 2, 2)).bit_width == 4
    assert TruncQuantAccumulator(TruncTo8bit, **{keyword: 4}).trunc_quant.bit_width() == 4
    clamp = ClampQuantAccumulator(ClampTo8bit, **{keyword.replace("trunc", "clamp"): 4})
    assert clamp(quantized(3)).bit_width == 4


def test_an_attribute_named_like_the_role_is_not_cut():
    pool = TruncAvgPool2d(2, trunc_quant=ShiftRoundSaturateTo8bit, trunc_scaling_impl_type="msb")
    assert list(pool.parameters()) == []


def test_misspelt_attributes_are_refused():
    with pytest.raises(TypeError, match="TruncAvgPool2d has no argument .*bitwidth"):
        TruncAvgPool2d(2, bitwidth=4)


def test_attributes_without_a_quantizer_are_refused():
    with pytest.raises(ValueError, match="bit_width would change a quantizer, but trunc_quant"):
        TruncQuantAccumulator(bit_width=4)


def test_gradient_is_that_of_the_average():
    x = quantized(1, 2, 4, 4).value.requires_grad_()
    of_x = QuantTensor(x, 1 / 128, 0.0, 8.0, True)
    weights = torch.randn(1, 2, 2, 2)
    (TruncAvgPool2d(2)(of_x).value * weights).sum().backward()
    expected = weights.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    torch.testing.assert_close(x.grad, expected)


def test_without_a_quantizer_the_sums_stay_exact():
    x = quantized(1, 2, 4, 4)
    out = TruncAvgPool2d(2, trunc_quant=None)(x)
    assert torch.equal(out.int().double(), F.avg_pool2d(x.int().double(), 2, divisor_override=1))
    assert out.bit_width == 10


@pytest.mark.parametrize(
    "pool",
    [
        TruncAvgPool2d(3, 2, ceil_mode=True),
        TruncAvgPool2d(3, 1, 1, count_include_pad=False),
        TruncAdaptiveAvgPool2d(7),
    ],
)
def test_windows_without_a_common_grid_are_refused(pool):
    with pytest.raises(NotImplementedError, match=r"input \[1, 1, 6, 6\] on which windows have"):
        pool(quantized(1, 1, 6, 6))
    assert pool(torch.randn(1, 1, 6, 6)).shape[0] == 1


def test_a_quant_tensor_without_a_grid_is_pooled_in_float():
    x = torch.randn(1, 1, 4, 4)
    assert torch.equal(TruncAvgPool2d(2)(QuantTensor(x)), F.avg_pool2d(x, 2))


@pytest.mark.parametrize("return_quant_tensor", [True, False])
def test_plain_tensors_come_out_where_asked_for(return_quant_tensor):
    x = quantized(1, 1, 4, 4)
    flow = {"return_quant_tensor": return_quant_tensor}
    for layer in (
        TruncAvgPool2d(2, **flow),
        TruncAdaptiveAvgPool2d(2, **flow),
        TruncQuantAccumulator(TruncTo8bit, **flow),
        ClampQuantAccumulator(ClampTo8bit, **flow),
    ):
        assert isinstance(layer(x), QuantTensor) is return_quant_tensor


def test_the_accumulator_of_a_convolution_is_truncated(backend):
    flow = {"return_quant_tensor": True}
    first = QuantIdentity(Int8ActPerTensorFloatMinMaxInit, **BOUNDS, **flow)
    layer = QuantConv2d(2, 3, 3, bias=False, **flow)
    wide = layer(first(torch.randn(1, 2, 5, 5)))
    out = TruncQuantAccumulator(TruncTo8bit)(wide)
    factor = 2 ** (int(wide.bit_width) - 8)
    assert torch.equal(out.int(), torch.div(wide.int(), factor, rounding_mode="floor"))


@pytest.mark.parametrize("layer", [TruncQuantAccumulator, ClampQuantAccumulator])
def test_accumulator_layers_without_a_quantizer_hand_on_what_they_get(layer):
    x, plain = quantized(3), torch.randn(3)
    assert layer()(x) is x and layer()(plain) is plain


def test_a_proxy_is_shared_between_pools():
    first = TruncAvgPool2d(2, bit_width=5)
    second = TruncAdaptiveAvgPool2d(1, trunc_quant=first.trunc_quant)
    assert second.trunc_quant is first.trunc_quant
    assert second(quantized(1, 1, 4, 4)).bit_width == 5
    assert first.trunc_quant.quant_injector.module == (first, second)
