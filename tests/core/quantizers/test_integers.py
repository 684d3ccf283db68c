"""Integer quantizers without a zero point, against their formulas in float64.

Those that learn a zero point are in ``test_shifted.py``; the bits of the other backends are
compared in ``test_every_quantizer.py``.
"""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qat.quantizers import ready_made


@dataclass(frozen=True)
class Grid:
    """Bits, integers from ``low`` to ``high``, and how many steps the threshold is wide."""

    bits: int
    low: int
    high: int
    steps: int
    threshold: str
    per_channel: bool = False


NARROW, SIGNED, UNSIGNED = (8, -127, 127, 127), (8, -128, 127, 128), (8, 0, 255, 255)
EXPECTED = {
    "Int8WeightPerTensorFloat": Grid(*NARROW, "max"),
    "Int8WeightPerChannelFloat": Grid(*NARROW, "max", per_channel=True),
    "Int8WeightPerTensorFloatMSE": Grid(*NARROW, "mse"),
    "Int8WeightPerChannelFloatMSE": Grid(*NARROW, "mse", per_channel=True),
    "SignedBinaryWeightPerTensorConst": Grid(1, -1, 1, 1, "0.1"),
    "SignedTernaryWeightPerTensorConst": Grid(2, -1, 1, 1, "0.1"),
    "Int8ActPerTensorFloat": Grid(*SIGNED, "max"),  # of 50 numbers the 99.999th percentile
    "Uint8ActPerTensorFloat": Grid(*UNSIGNED, "max"),
    "Int8ActPerTensorFloatMSE": Grid(*SIGNED, "mse"),
    "Uint8ActPerTensorFloatMSE": Grid(*UNSIGNED, "mse"),
    "Int8ActPerTensorFloatMinMaxInit": Grid(*SIGNED, "1.5"),
    "Uint8ActPerTensorFloatMaxInit": Grid(*UNSIGNED, "1.5"),
    "SignedBinaryActPerTensorConst": Grid(1, -1, 1, 1, "1.0"),
    "SignedTernaryActPerTensorConst": Grid(2, -1, 1, 1, "1.0"),
    "Int8Bias": Grid(8, -128, 127, 1, "0.01"),
    "Int16Bias": Grid(16, -(2**15), 2**15 - 1, 1, "0.01"),
    "Int24Bias": Grid(24, -(2**23), 2**23 - 1, 1, "0.01"),
    "IntBias": Grid(32, -(2**31), 2**31 - 1, 1, "0.01"),
    "Int32Bias": Grid(32, -(2**31), 2**31 - 1, 1, "0.01"),
    "Int8BiasPerTensorFloatInternalScaling": Grid(*SIGNED, "max"),
}


def on_grid(x, scale, grid):
    if grid.bits == 1:
        return torch.where(x < 0, -scale, scale)
    return torch.clamp(torch.round(x / scale), grid.low, grid.high) * scale


def threshold_of(rows, grid):
    largest = rows.abs().amax(dim=1, keepdim=True)
    if grid.threshold == "max":
        return largest
    if grid.threshold == "mse":
        candidates = [largest * i / 100 for i in range(1, 101)]
        errors = [((rows - on_grid(rows, c / grid.steps, grid)) ** 2).sum(1) for c in candidates]
        best = torch.stack(errors).argmin(dim=0)
        return torch.stack([candidates[i][row] for row, i in enumerate(best)])
    return torch.tensor([[float(grid.threshold)]], dtype=torch.float64)


@pytest.mark.parametrize("name", EXPECTED)
def test_value_scale_zero_point_and_bit_width_are_those_of_the_formula(name, quantized):
    grid, result = EXPECTED[name], quantized(name)
    x = result.x.detach()
    y, scale, zero_point, bit_width = result.outputs

    rows = x if grid.per_channel else x.reshape(1, -1)
    expected_scale = threshold_of(rows, grid) / grid.steps
    expected = on_grid(rows, expected_scale, grid).reshape(x.shape)

    torch.testing.assert_close(scale.detach().reshape(expected_scale.shape), expected_scale)
    torch.testing.assert_close(y.detach(), expected)
    assert scale.shape == ((4, 1) if grid.per_channel else ())
    assert (zero_point.item(), bit_width.item()) == (0.0, float(grid.bits))


# Scales that are powers of two

FIXED_NARROW, FIXED_SIGNED, FIXED_UNSIGNED = (-127, 127, 128), (-128, 127, 128), (0, 255, 256)
#: Lowest and largest integer, what the power of two is divided by; where it comes from; per row.
FIXED_POINT = {
    "Int8WeightPerTensorFixedPoint": (FIXED_NARROW, "max", False),
    "Int8WeightPerChannelFixedPoint": (FIXED_NARROW, "max", True),
    "Int8WeightPerTensorFixedPointMSE": (FIXED_NARROW, "mse", False),
    "Int8WeightPerChannelFixedPointMSE": (FIXED_NARROW, "mse", True),
    "Int8ActPerTensorFixedPoint": (FIXED_SIGNED, "max", False),
    "Uint8ActPerTensorFixedPoint": (FIXED_UNSIGNED, "max", False),
    "Int8ActPerTensorFixedPointMSE": (FIXED_SIGNED, "mse", False),
    "Uint8ActPerTensorFixedPointMSE": (FIXED_UNSIGNED, "mse", False),
    "Int8ActPerTensorFixedPointMinMaxInit": (FIXED_SIGNED, 1.5, False),
    "Uint8ActPerTensorFixedPointMaxInit": (FIXED_UNSIGNED, 1.5, False),
    "Int8BiasPerTensorFixedPointInternalScaling": (FIXED_SIGNED, "max", False),
}
fixed = pytest.mark.parametrize("name", FIXED_POINT)


def up(threshold):
    return 2.0 ** math.ceil(math.log2(threshold))


def on_power(row, power, grid):
    low, high, steps = grid
    scale = power / steps
    return torch.clamp(torch.round(row / scale), low, high) * scale


def power_of(row, grid, source):
    largest = float(row.abs().max())
    if source == "max":
        return up(largest)
    if source != "mse":
        return up(source)
    # fractions from 1/20 on: the powers down to that of a twentieth
    powers = {up(largest * i / 100) for i in range(5, 101)}
    return min(powers, key=lambda power: float(((row - on_power(row, power, grid)) ** 2).sum()))


@fixed
@pytest.mark.parametrize("bits", [8, 3])
def test_fixed_point_value_and_scale_are_those_of_the_formula(name, bits, quantized):
    (low, high, steps), source, per_row = FIXED_POINT[name]
    by = 2 ** (8 - bits)
    grid = (-(-(low + (low % 2)) // by) if low else 0, (high + 1) // by - 1, steps // by)
    if low == -127:
        grid = (-grid[1], grid[1], grid[2])
    result = quantized(name, bit_width=bits)
    x = result.x.detach()
    rows = x if per_row else x.reshape(1, -1)
    powers = [power_of(row, grid, source) for row in rows]
    expected = torch.stack([on_power(r, p, grid) for r, p in zip(rows, powers, strict=True)])

    y, scale, zero_point, bit_width = (item.detach() for item in result.outputs)
    assert scale.flatten().tolist() == [power / grid[2] for power in powers]
    torch.testing.assert_close(y, expected.reshape(x.shape))
    assert (zero_point.item(), bit_width.item()) == (0.0, float(bits))


@fixed
def test_scale_is_a_power_of_two_in_float32(name, quantized):
    scale = quantized(name, torch.float32).outputs[1]
    assert bool((torch.frexp(scale.detach())[0] == 0.5).all())


def test_learned_power_of_two_gets_its_gradient_through_the_rounding():
    quant = ready_made("Int8ActPerTensorFixedPointMinMaxInit").let(min_val=-1.0, max_val=0.7)
    tensor_quant = quant.tensor_quant.double()
    tensor_quant(torch.tensor([5.0, 0.0]).double())[0].sum().backward()
    # clipped at 127 * s, s = 2**v / 128: the gradient to v is 127 / 128 * ln 2
    expected = 127 / 128 * math.log(2.0)
    assert tensor_quant.scaling_impl.value.grad.item() == pytest.approx(expected)


def test_power_of_two_per_channel_follows_the_channel_of_a_transposed_convolution():
    layer = nn.ConvTranspose2d(2, 3, 1).double()
    layer.output_channel_dim = 1
    quant = ready_made("Int8WeightPerChannelFixedPoint").let(module=layer).tensor_quant.double()
    largest = layer.weight.detach().abs().amax(dim=(0, 2, 3))
    scale = quant(layer.weight)[1]
    assert scale.shape == (1, 3, 1, 1)
    assert scale.flatten().tolist() == [up(float(each)) / 128 for each in largest]


# Scales from a half-quadratic search

HALF_QUADRATIC = {"Int8WeightPerTensorFloatHQO": False, "Int8WeightPerChannelFloatHQO": True}


def on_levels(row, scale, levels):
    return torch.clamp(torch.round(row / scale), -levels, levels) * scale


@pytest.mark.parametrize("bits", [8, 4, 3])
@pytest.mark.parametrize("name", HALF_QUADRATIC)
def test_value_is_on_the_grid_of_a_scale_no_worse_than_the_maximum(name, bits, quantized):
    result = quantized(name, bit_width=bits)
    x, levels = result.x.detach(), 2 ** (bits - 1) - 1
    y, scale, zero_point, bit_width = (item.detach() for item in result.outputs)
    assert scale.shape == ((4, 1) if HALF_QUADRATIC[name] else ())
    assert (zero_point.item(), bit_width.item()) == (0.0, float(bits))
    rows = x if HALF_QUADRATIC[name] else x.reshape(1, -1)
    for row, made, s in zip(rows, y.reshape(rows.shape), scale.flatten(), strict=True):
        torch.testing.assert_close(made, on_levels(row, s, levels))
        at_maximum = on_levels(row, row.abs().max() / levels, levels)
        assert (made - row).abs().sum() <= (at_maximum - row).abs().sum() * (1 + 1e-9)


@pytest.mark.parametrize("name", HALF_QUADRATIC)
def test_scale_from_a_search_is_learned(name, quantized):
    result = quantized(name)
    result.quant(result.x)[0].square().sum().backward()
    assert bool((result.quant.scaling_impl.value.grad != 0).any())


# Properties, on numbers that hypothesis finds

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
