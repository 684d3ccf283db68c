"""Properties of integer quantizers, on numbers that hypothesis finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qat.quantizers import ready_made

#: Integer quantizers, and the ends of their grids.
INTEGER = {
    "Int8ActPerTensorFloat": (-128, 127),
    "Uint8ActPerTensorFloat": (0, 255),
    "Int8ActPerTensorFloatMSE": (-128, 127),
    "Int8ActPerTensorFixedPoint": (-128, 127),
    "Int8ActPerTensorFloatMinMaxInit": (-128, 127),
    "Uint8ActPerTensorFloatMaxInit": (0, 255),
    "Int8WeightPerTensorFloat": (-127, 127),
    "Int8WeightPerTensorFloatMSE": (-127, 127),
    "Int8WeightPerTensorFixedPoint": (-127, 127),
    "Int8BiasPerTensorFloatInternalScaling": (-128, 127),
}
numbers = st.floats(-100.0, 100.0, width=32).filter(lambda item: item == 0 or abs(item) > 1e-3)
tensors = st.lists(numbers, min_size=1, max_size=12).map(
    lambda items: torch.tensor([items]).double()
)
few = settings(max_examples=10, deadline=None)


def quantize(name, x, **overrides):
    """``x`` quantized in float64 by the quantizer ``name``, made for it, with its scale."""
    layer = nn.Linear(x.shape[1], 1).double()
    with torch.no_grad():
        layer.weight.copy_(x)
        layer.bias = nn.Parameter(x[0].clone())
    bounds = {} if "Weight" in name else {"min_val": -50.0, "max_val": 50.0}
    quant = ready_made(name).let(module=layer, **bounds, **overrides).tensor_quant.double()
    y, scale, *_ = quant(x)
    return y.detach(), scale.detach(), quant


@pytest.mark.parametrize("name", INTEGER)
@given(x=tensors)
@few
def test_results_are_integers_times_the_scale_within_the_bounds(name, x):
    y, scale, _ = quantize(name, x)
    q = y / scale
    torch.testing.assert_close(q, q.round(), rtol=0, atol=1e-9)
    low, high = INTEGER[name]
    assert low <= q.round().min() and q.round().max() <= high


@pytest.mark.parametrize("name", INTEGER)
@given(x=tensors)
@few
def test_round_trip_error_is_at_most_half_a_step_inside_of_the_range(name, x):
    y, scale, _ = quantize(name, x)
    low, high = INTEGER[name]
    inside = (x >= low * scale) & (x <= high * scale)
    assert bool(((y - x).abs()[inside] <= 0.5 * scale * (1 + 1e-9)).all())


@given(x=tensors, bits=st.integers(2, 12))
@few
def test_largest_error_is_half_of_the_step_that_the_bit_width_gives(x, bits):
    fewer, _, _ = quantize("Int8WeightPerTensorFloat", x, bit_width=bits)
    step = float(x.abs().max()) / (2 ** (bits - 1) - 1)
    assert float((fewer - x).abs().max()) <= 0.5 * step * (1 + 1e-9) + 1e-12


@given(x=tensors)
@few
def test_fixed_point_scales_are_powers_of_two(x):
    for name in ("Int8WeightPerTensorFixedPoint", "Int8ActPerTensorFixedPoint"):
        scale = quantize(name, x)[1]
        if bool(x.any()):
            assert torch.frexp(scale)[0].item() == 0.5
