"""Half precision: the gradients of every way to quantize an integer stay near those in float64.

A scale of a weight is about 1e-3, and the derivative of ``w / scale`` to it, up to ``128 / 1e-3``,
is more than float16 holds.
"""

import copy

import pytest
import torch

from qat.enums import FloatToIntImplType
from qat.nn import QuantIdentity, QuantLinear
from qat.quantizers import (
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloatMSE,
    LSQPlusAct,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8WeightPerChannelFloat,
    ShiftedUint8WeightPerTensorFloatHQO,
    ShiftedUint8WeightPerTensorFloatMSE,
)

HALF = [torch.float16, torch.bfloat16]
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


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("rounding", FloatToIntImplType, ids=str)
@pytest.mark.parametrize("quantizer", WEIGHTS)
def test_gradients_of_a_weight_are_finite_in_half_precision(backend, quantizer, rounding, dtype):
    torch.manual_seed(0)
    layer = QuantLinear(40, 6, weight_quant=quantizer, weight_float_to_int_impl_type=rounding).to(
        dtype
    )
    made, gradients = quantized_weight(layer)
    assert made.value.dtype == made.scale.dtype == made.zero_point.dtype == dtype
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert len(gradients) == sum(1 for _ in layer.parameters()) - 1  # all but the bias


@pytest.mark.parametrize("rounding", sorted(set(FloatToIntImplType) - RANDOM), ids=str)
def test_gradient_of_a_scale_in_float16_is_that_of_the_rounding_error(backend, rounding):
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
