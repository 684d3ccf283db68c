"""Quantizers in half types, and under autocast with state in float32.

In one type, the gradients stay near those in float64: a scale of a weight is about 1e-3, and the
derivative of ``w / scale`` to it, up to ``128 / 1e-3``, is more than float16 holds.

Under autocast the reference is float32 arithmetic: the integers of the tensor as it is, on the
scale as it is. They are compared as values, rounded once: bfloat16 cannot tell all steps of 8 bits
apart.
"""

import copy

import pytest
import torch
from torch import nn

from qat.enums import FloatToIntImplType
from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloatMSE,
    LSQPlusAct,
    PACTAct,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8WeightPerChannelFloat,
    ShiftedUint8WeightPerTensorFloatHQO,
    ShiftedUint8WeightPerTensorFloatMSE,
    Uint8ActPerTensorFloat,
)

DTYPES = (torch.float16, torch.bfloat16)
HALF = pytest.mark.parametrize("half", DTYPES, ids=str)
RANDOM = {FloatToIntImplType.STOCHASTIC_ROUND}
WEIGHTS = [
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloatMSE,
    ShiftedUint8WeightPerChannelFloat,
    ShiftedUint8WeightPerTensorFloatHQO,
    ShiftedUint8WeightPerTensorFloatMSE,
]


def quantized_weight(layer):
    """Value and gradients, by name, of a layer whose weight is quantized."""
    made = layer.quant_weight()
    made.value.double().square().sum().backward()
    named = {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return made, named


@pytest.mark.parametrize("rounding", FloatToIntImplType, ids=str)
@pytest.mark.parametrize("quantizer", WEIGHTS)
def test_gradients_of_a_weight_are_finite_in_half_precision(quantizer, rounding):
    for dtype in DTYPES:
        check_gradients(quantizer, rounding, dtype)


@pytest.mark.parametrize("quantizer", WEIGHTS)
def test_gradients_of_a_weight_are_finite_in_half_precision_on_every_backend(backend, quantizer):
    for dtype in DTYPES:
        check_gradients(quantizer, FloatToIntImplType.ROUND, dtype)


def check_gradients(quantizer, rounding, dtype):
    torch.manual_seed(0)
    options = {"weight_quant": quantizer, "weight_float_to_int_impl_type": rounding}
    layer = QuantLinear(40, 6, **options).to(dtype)
    made, gradients = quantized_weight(layer)
    assert made.value.dtype == made.scale.dtype == made.zero_point.dtype == dtype
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert len(gradients) == sum(1 for _ in layer.parameters()) - 1  # all but the bias


@pytest.mark.parametrize("rounding", sorted(set(FloatToIntImplType) - RANDOM), ids=str)
def test_gradient_of_a_scale_in_float16_is_that_of_the_rounding_error(rounding):
    # Sum of g * (q - w / s): the two parts, g * q and -g * w / s, are 200 times as large.
    torch.manual_seed(0)
    layer = QuantLinear(
        40,
        6,
        weight_quant=Int8WeightPerTensorFloatMSE,
        weight_float_to_int_impl_type=rounding,
        weight_narrow_range=False,
    ).half()
    scaling = layer.weight_quant.tensor_quant.scaling_impl
    made = layer.quant_weight()
    w, s = layer.weight.detach().double(), made.scale.detach().double()
    incoming = torch.rand_like(made.value).masked_fill((w / s).abs() > 126, 0.0)  # inside the grid
    made.value.backward(incoming)
    q = (2 * made.value.detach().double() / s).round() / 2  # learned rounding starts half-way
    error = (q - w / s) * incoming.double()
    assert scaling.value.grad.item() * 128 == pytest.approx(
        error.sum().item(), abs=0.02 * error.abs().sum().item()
    )


@pytest.mark.parametrize("quantizer", [ShiftedUint8ActPerTensorFloat, LSQPlusAct])
def test_small_activations_with_a_zero_point_get_finite_gradients_in_float16(backend, quantizer):
    torch.manual_seed(0)
    exact = QuantIdentity(act_quant=quantizer, bit_width=8, collect_stats_steps=1)
    x = torch.rand(8, 16) * 0.3 - 0.1
    exact(x)
    half = copy.deepcopy(exact).half()
    made = []
    for layer, seen in ((exact, x), (half, x.half())):
        seen = (2 * seen).requires_grad_()  # beyond the grid: scale and zero point learn
        layer(seen).square().sum().backward()
        made.append([seen.grad, *(p.grad for p in layer.parameters())])
    for wanted, found in zip(*made, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found.float(), wanted, rtol=0.1, atol=0.1)


# The state in float32

ROUNDINGS = ("round", "floor")  # one op, and its parts
ACTIVATIONS = {
    "signed": lambda **k: QuantIdentity(act_quant=Int8ActPerTensorFloat, **k),
    "relu": lambda **k: QuantReLU(act_quant=Uint8ActPerTensorFloat, **k),
    "shifted": lambda **k: QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat, **k),
}


def calibrated(make, **options):
    """In evaluation, after one batch in float32."""
    layer = make(collect_stats_steps=1, return_quant_tensor=True, **options)
    torch.manual_seed(0)
    layer(torch.randn(64, 40) * 3)
    return layer.eval()


def by_formula(x, made, rounding):
    """In float32, rounded to the type of ``x`` at the end."""
    low, high = (-128, 127) if made.signed else (0, 255)
    q = getattr(torch, rounding)(x.float() / made.scale) + made.zero_point
    return ((q.clamp(low, high) - made.zero_point) * made.scale).to(x.dtype)


@HALF
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("make", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_integers_are_those_of_float32_arithmetic(make, rounding, half, backend):
    layer = calibrated(make, float_to_int_impl_type=rounding)
    x = (torch.randn(200, 40) * 3).to(half)
    with torch.autocast("cpu", dtype=half):
        made = layer(x)
    assert (made.value.dtype, made.scale.dtype) == (half, torch.float32)
    expected = by_formula(torch.relu(x) if isinstance(layer, QuantReLU) else x, made, rounding)
    assert torch.equal(made.value, expected)


def test_compiled_whole_the_integers_are_the_same(compiler):
    half = torch.bfloat16
    layer = calibrated(ACTIVATIONS["relu"])
    x = (torch.randn(50, 40) * 3).to(half)
    compiled = torch.compile(lambda x: layer(x).value, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", dtype=half):
        assert torch.equal(compiled(x), layer(x).value)


@HALF
def test_the_scale_has_one_type_in_training_and_evaluation(half, backend):
    for scaling in ("stats", "parameter_from_stats"):
        layer = QuantIdentity(return_quant_tensor=True, scaling_impl_type=scaling)
        with torch.autocast("cpu", dtype=half):
            x, modes = torch.randn(8).to(half), (True, False)
            kinds = {layer.train(mode)(x).scale.dtype for mode in modes}
        assert kinds == {torch.float32}


@HALF
def test_gradient_of_a_scale_is_summed_in_float32(half, backend):
    layer = calibrated(ACTIVATIONS["signed"])
    parameter = layer.act_quant.tensor_quant.scaling_impl.value
    x = (torch.randn(4000) * 0.5).to(half)
    found = []
    for item in (x, x.float()):
        layer.zero_grad()
        layer(item).value.float().sum().backward()
        found.append(parameter.grad.item())
    # the same errors, each within half a step; the incoming gradient is 1, exact in every type
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@HALF
def test_pact_clips_at_the_bound_as_it_is(half, backend):
    layer = QuantIdentity(act_quant=PACTAct, scaling_init=0.1, max_val=0.1, bit_width=8)
    near = torch.tensor(0.1).to(half)
    x = torch.stack([torch.nextafter(near, near - 1), near, torch.nextafter(near, near + 1)])
    x = torch.cat([x, torch.linspace(0, 0.1, 300).to(half)]).requires_grad_()
    bound = next(layer.parameters())
    y = layer(x)
    y.float().sum().backward()
    expected = (x.float() / (bound / 255)).round().clamp(0, 255) * (bound / 255)
    assert torch.equal(y, expected.to(half))
    assert torch.equal(x.grad, ((x.float() > 0) & (x.float() < bound)).to(half))
    assert bound.grad == (x.float() >= bound).sum()


@HALF
def test_a_convolution_behind_it_runs_in_the_half_type(half, backend):
    model = nn.Sequential(QuantIdentity(collect_stats_steps=1), nn.Conv2d(2, 3, 3))
    with torch.autocast("cpu", dtype=half):
        for _ in range(2):
            out = model(torch.randn(2, 2, 6, 6).to(half))
        out.float().square().sum().backward()
    assert out.dtype == half
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
