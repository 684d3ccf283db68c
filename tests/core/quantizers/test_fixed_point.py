"""Quantizers whose scale is a power of two, against the formula of their docstrings in float64."""

import math

import pytest
import torch
from torch import nn

from qat.quantizers import ready_made

NARROW, SIGNED, UNSIGNED = (-127, 127, 128), (-128, 127, 128), (0, 255, 256)
#: Lowest and largest integer, what the power of two is divided by; where it comes from; per row.
EXPECTED = {
    "Int8WeightPerTensorFixedPoint": (NARROW, "max", False),
    "Int8WeightPerChannelFixedPoint": (NARROW, "max", True),
    "Int8WeightPerTensorFixedPointMSE": (NARROW, "mse", False),
    "Int8WeightPerChannelFixedPointMSE": (NARROW, "mse", True),
    "Int8ActPerTensorFixedPoint": (SIGNED, "max", False),  # of 50 numbers the 99.999th percentile
    "Uint8ActPerTensorFixedPoint": (UNSIGNED, "max", False),
    "Int8ActPerTensorFixedPointMSE": (SIGNED, "mse", False),
    "Uint8ActPerTensorFixedPointMSE": (UNSIGNED, "mse", False),
    "Int8ActPerTensorFixedPointMinMaxInit": (SIGNED, 1.5, False),
    "Uint8ActPerTensorFixedPointMaxInit": (UNSIGNED, 1.5, False),
    "Int8BiasPerTensorFixedPointInternalScaling": (SIGNED, "max", False),
}
every = pytest.mark.parametrize("name", EXPECTED)


def up(threshold):
    return 2.0 ** math.ceil(math.log2(threshold))


def on_grid(row, power, grid):
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
    return min(powers, key=lambda power: float(((row - on_grid(row, power, grid)) ** 2).sum()))


@every
@pytest.mark.parametrize("bits", [8, 3])
def test_value_and_scale_are_those_of_the_formula(name, bits, backend, quantized):
    (low, high, steps), source, per_row = EXPECTED[name]
    by = 2 ** (8 - bits)
    grid = (-(-(low + (low % 2)) // by) if low else 0, (high + 1) // by - 1, steps // by)
    if low == -127:
        grid = (-grid[1], grid[1], grid[2])
    result = quantized(name, bit_width=bits)
    x = result.x.detach()
    rows = x if per_row else x.reshape(1, -1)
    powers = [power_of(row, grid, source) for row in rows]
    expected = torch.stack([on_grid(r, p, grid) for r, p in zip(rows, powers, strict=True)])

    y, scale, zero_point, bit_width = (item.detach() for item in result.outputs)
    assert scale.flatten().tolist() == [power / grid[2] for power in powers]
    torch.testing.assert_close(y, expected.reshape(x.shape))
    assert (zero_point.item(), bit_width.item()) == (0.0, float(bits))


@every
def test_scale_is_a_power_of_two_in_float32(name, quantized):
    scale = quantized(name, torch.float32).outputs[1]
    assert bool((torch.frexp(scale.detach())[0] == 0.5).all())


def test_learned_power_of_two_gets_its_gradient_through_the_rounding(backend):
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
