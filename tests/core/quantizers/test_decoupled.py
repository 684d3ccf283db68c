"""Weight quantizers with one scale before the rounding and another behind."""

import pytest
import torch
from torch import nn

from qat.nn import QuantConv2d, QuantConvTranspose2d, QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import (
    Int4WeightPerTensorFixedPointDecoupled,
    Int4WeightPerTensorFloatDecoupled,
    Int8AccumulatorAwareWeightQuant,
    Int8AccumulatorAwareZeroCenterWeightQuant,
    Int8ActPerTensorFloat,
    Int8WeightNormL2PerChannelFixedPoint,
    Int8WeightPerChannelFloatDecoupled,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)

PLAIN = [
    Int4WeightPerTensorFloatDecoupled,
    Int4WeightPerTensorFixedPointDecoupled,
    Int8WeightPerChannelFloatDecoupled,
    Int8WeightNormL2PerChannelFixedPoint,
]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
AWARE = [Int8AccumulatorAwareWeightQuant, Int8AccumulatorAwareZeroCenterWeightQuant]


def name_of(item):
    return item.__name__ if isinstance(item, type) else None


def conv(quantizer, dtype=torch.float32, **kwargs):
    torch.manual_seed(5)
    if quantizer in AWARE:
        kwargs.setdefault("input_quant", Uint8ActPerTensorFloat)
    return QuantConv2d(4, 6, 3, bias=False, weight_quant=quantizer, **kwargs).to(dtype)


def rows(weight):
    return weight.detach().double().reshape(weight.shape[0], -1)


def formula(quantizer, weight):
    """Scales in front and behind, in float64, and the number of bits."""
    w = rows(weight)
    largest = w.abs().amax(1, keepdim=True)
    l2 = largest.norm() / len(w) ** 0.5
    if quantizer is Int4WeightPerTensorFloatDecoupled:
        return l2 / 7, l2 / 7, 4
    if quantizer is Int4WeightPerTensorFixedPointDecoupled:
        power = 2 ** torch.ceil(torch.log2(l2))
        return power / 8, power / 8, 4
    return largest / 127, largest / 127, 8


@pytest.mark.parametrize("quantizer", PLAIN, ids=name_of)
def test_value_scale_and_bit_width_are_those_of_the_formula(quantizer):
    layer = conv(quantizer, torch.float64)
    made = layer.quant_weight()
    pre, scale, bits = formula(quantizer, layer.weight)
    top = 2 ** (bits - 1) - 1
    expected = torch.clamp(torch.round(rows(layer.weight) / pre), -top, top) * scale
    torch.testing.assert_close(rows(made.value), expected)
    torch.testing.assert_close(made.scale.detach().flatten(), scale.flatten())
    assert (made.bit_width.item(), made.zero_point.item(), made.signed) == (bits, 0.0, True)
    assert made.is_valid


@pytest.mark.parametrize("quantizer", PLAIN[:3], ids=name_of)
def test_learned_scale_moves_what_comes_out_and_not_what_is_rounded(quantizer):
    layer = conv(quantizer, torch.float64)
    before = layer.quant_weight()
    power = quantizer is Int4WeightPerTensorFixedPointDecoupled
    with torch.no_grad():
        stored = layer.weight_quant.tensor_quant.scaling_impl.value
        stored.copy_(stored + 1.0 if power else 2.0 * stored)
    after = layer.quant_weight()
    torch.testing.assert_close(after.value, 2 * before.value)
    torch.testing.assert_close(after.scale, 2 * before.scale)


def test_learned_norm_moves_what_is_rounded(backend):
    layer = conv(Int8WeightNormL2PerChannelFixedPoint, torch.float64)
    before = layer.quant_weight()
    with torch.no_grad():  # the logarithm of the norm
        layer.weight_quant.tensor_quant.pre_scaling_impl.norm_scaling.value.sub_(0.5)
    after = layer.quant_weight()
    torch.testing.assert_close(after.scale, before.scale)
    scale = rows(before.scale)
    expected = torch.round(rows(layer.weight) / 2**0.5 / scale) * scale
    torch.testing.assert_close(rows(after.value), expected)


@pytest.mark.parametrize("quantizer", PLAIN + AWARE, ids=name_of)
def test_learned_parameters_get_gradients(quantizer, backend):
    layer = conv(quantizer)
    layer(torch.randn(2, 4, 5, 5)).square().sum().backward()
    names = [name for name, _ in layer.weight_quant.named_parameters()]
    assert all("scaling" in name for name in names)
    for parameter in (layer.weight, *layer.weight_quant.parameters()):
        assert bool(parameter.grad.isfinite().all())
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("quantizer", PLAIN + AWARE, ids=name_of)
def test_gradient_of_an_all_zero_weight_is_finite(quantizer):
    for dtype in DTYPES:
        layer = conv(quantizer, dtype)
        nn.init.zeros_(layer.weight)
        layer.weight_quant.init_tensor_quant()
        assert not layer.quant_weight().value.any()
        layer(torch.randn(1, 4, 5, 5, dtype=dtype)).sum().backward()
        assert bool(layer.weight.grad.isfinite().all())


@pytest.mark.parametrize("quantizer", PLAIN[:3], ids=name_of)
def test_scales_in_front_are_shared_by_layers(quantizer):
    first = conv(quantizer)
    second = QuantConv2d(4, 6, 3, bias=False, weight_quant=first.weight_quant)
    both = torch.cat([rows(first.weight), rows(second.weight)], dim=1)
    assert torch.equal(first.weight_quant.scale(), second.weight_quant.scale())
    pre, _, _ = formula(quantizer, both)
    largest = rows(second.quant_weight().value / second.quant_weight().scale)
    torch.testing.assert_close(largest, torch.round(rows(second.weight) / pre))


@pytest.mark.parametrize("quantizer", [PLAIN[3], *AWARE], ids=name_of)
def test_norm_shared_by_layers_is_refused(quantizer):
    layer = conv(quantizer)
    with pytest.raises(ValueError, match="learned for one layer, but 2 share the quantizer"):
        QuantConv2d(4, 6, 3, weight_quant=layer.weight_quant)


# By the layer's input


def accumulated(layer, x_int):
    """Largest magnitude of a sum of integer products, as a layer without bias gives it."""
    made = layer.quant_weight()
    q = torch.round(made.value.detach().double() / made.scale.detach().double())
    output_size = (None,) if isinstance(layer, QuantConvTranspose2d) else ()
    return layer.compute(x_int, q, None, *output_size).abs().max().item()


@pytest.mark.parametrize("quantizer", AWARE, ids=name_of)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("kind", ["linear", "conv", "depthwise", "transposed"])
def test_layer_never_overflows_its_accumulator(kind, signed, quantizer):
    options = {
        "bias": False,
        "weight_quant": quantizer,
        "weight_accumulator_bit_width": 13,
        "input_quant": Int8ActPerTensorFloat if signed else Uint8ActPerTensorFloat,
    }
    make, shape = {
        "linear": (lambda: QuantLinear(64, 5, **options), (32, 64)),
        "conv": (lambda: QuantConv2d(8, 6, 3, **options), (4, 8, 6, 6)),
        "depthwise": (lambda: QuantConv2d(8, 8, 3, groups=8, **options), (4, 8, 6, 6)),
        "transposed": (lambda: QuantConvTranspose2d(8, 6, 3, **options), (4, 8, 6, 6)),
    }[kind]
    layer = make()
    low, high = (-128, 127) if signed else (0, 255)
    corners = torch.where(torch.rand(shape) < 0.5, low, high).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        out = layer(torch.randn(shape))
        (torch.randn_like(out) * out).sum().backward()
        optimizer.step()
        worst = corners
        if kind == "linear":  # each row the worst input of one channel
            worst = torch.where(layer.quant_weight().value.detach() > 0, high, low).double()
        assert accumulated(layer, worst) <= 2**12 - 1


@pytest.mark.parametrize("quantizer", AWARE, ids=name_of)
@pytest.mark.parametrize("returned", [True, False], ids=["QuantTensor", "tensor"])
def test_grid_of_the_input_comes_from_input_quant_or_from_the_layer_before(quantizer, returned):
    own = conv(quantizer, weight_accumulator_bit_width=14, return_quant_tensor=returned)
    before = QuantReLU(return_quant_tensor=True)
    after = conv(
        quantizer,
        weight_accumulator_bit_width=14,
        input_quant=None,
        return_quant_tensor=returned,
    )
    x = torch.rand(2, 4, 5, 5)
    one, other = own(x), after(before(x))
    if returned:
        assert one.is_valid
        one, other = one.value, other.value
    torch.testing.assert_close(one, other)


def test_width_and_sign_of_the_input_bound_the_weights():
    layer = conv(AWARE[0], weight_accumulator_bit_width=15)
    wide = layer.quant_weight().value.abs().sum()
    layer = conv(AWARE[0], weight_accumulator_bit_width=15, input_bit_width=4)
    narrow = layer.quant_weight().value.abs().sum()
    assert 0 < wide < narrow / 8
    layer = conv(AWARE[0], weight_accumulator_bit_width=15, input_quant=Int8ActPerTensorFloat)
    assert wide < layer.quant_weight().value.abs().sum()


@pytest.mark.parametrize("quantizer", AWARE, ids=name_of)
def test_input_without_grid_is_an_error_with_a_remedy(quantizer):
    layer = conv(quantizer, input_quant=None)
    match = r"QuantConv2d with a weight of shape \(6, 4, 3, 3\): .* give the layer an input_quant"
    for call in (lambda: layer(torch.randn(1, 4, 5, 5)), layer.quant_weight):
        with pytest.raises(RuntimeError, match=match):
            call()


def test_grid_of_the_accumulator_and_its_bias_are_as_with_any_weight():
    layer = QuantLinear(
        8,
        3,
        weight_quant=AWARE[1],
        input_quant=Int8ActPerTensorFloat,
        bias_quant=Int32Bias,
        return_quant_tensor=True,
    )
    out = layer(torch.randn(4, 8))
    assert out.is_valid
    assert layer.quant_bias().bit_width.item() == 32


@pytest.mark.parametrize("quantizer", AWARE, ids=name_of)
def test_scale_and_bit_width_are_known_without_an_input(quantizer):
    proxy = conv(quantizer, input_quant=None).weight_quant
    assert proxy.bit_width().item() == 8.0
    assert proxy.zero_point().item() == 0.0
    largest = rows(proxy.tracked_modules[0].weight).abs().amax(1)
    torch.testing.assert_close(proxy.scale().flatten().double(), largest / 127)


def test_input_too_wide_for_the_accumulator_is_refused_at_its_call():
    layer = conv(AWARE[0], input_quant=None, weight_accumulator_bit_width=10)
    layer.weight_quant.bit_width()
    x = torch.rand(1, 4, 5, 5)
    layer(QuantReLU(return_quant_tensor=True, bit_width=4)(x))
    with pytest.raises(ValueError, match="product with an unsigned input of 16 bit"):
        layer(QuantReLU(return_quant_tensor=True, bit_width=16)(x))


def test_disabled_quantizer_asks_for_nothing():
    layer = conv(AWARE[0], input_quant=None)
    layer.weight_quant.disable_quant = True
    assert layer(torch.randn(1, 4, 5, 5)).shape == (1, 6, 3, 3)


def test_weight_bound_to_the_input_is_quantized_at_every_call(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    layer = conv(AWARE[0], input_quant=None, weight_accumulator_bit_width=12).eval()
    wide = QuantIdentity(return_quant_tensor=True)
    narrow = QuantIdentity(return_quant_tensor=True, bit_width=2)
    x = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        seen = [layer.weight_quant(layer.weight, q(x)).value for q in (wide, narrow, wide)]
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("rounding", ["round", "ceil", "floor", "stochastic_round"])
def test_rounding_that_can_enlarge_a_weight_is_refused(rounding):
    with pytest.raises(ValueError, match=f"{rounding}.*accumulator overflow; use 'round_to_zero'"):
        conv(AWARE[0], weight_float_to_int_impl_type=rounding)


@pytest.mark.parametrize("bits", [0, 1, 2, 33])
def test_accumulator_that_holds_nothing_is_refused_when_built(bits):
    with pytest.raises(ValueError, match=f"bit_width is {bits}"):
        conv(AWARE[0], weight_accumulator_bit_width=bits)


def test_proxy_of_another_quantizer_asks_for_no_input():
    assert not conv(Int8WeightPerTensorFloat).weight_quant.requires_quant_input
    assert conv(AWARE[0]).weight_quant.requires_quant_input
